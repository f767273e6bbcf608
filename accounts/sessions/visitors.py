"""The session of a visitor who has not signed in: a signed cookie with the browser's id, and no row."""

from __future__ import annotations

import re

from django.conf import settings
from django.core.signing import BadSignature, TimestampSigner

# A browser's id (128 random bits), when it was signed, and the signature: what TimestampSigner makes.
VISITOR = re.compile(r"(?P<planted>[0-9a-f]{32}):[0-9A-Za-z]+:[0-9A-Za-z_-]{43}")
SALT = "latchkey.visitor"


def visitor_key(planted: str) -> str:
    """Return the session key of a visitor without a row."""
    return TimestampSigner(salt=SALT).sign(planted)


def visitor(key: str | None) -> str | None:
    """Return the browser id in the key of a session without a row, None if the key is not ours or too old.

    Signatures of SECRET_KEY_FALLBACKS count as well.
    """
    if key is None or not VISITOR.fullmatch(key):
        return None
    try:
        return TimestampSigner(salt=SALT).unsign(key, max_age=settings.SESSION_COOKIE_AGE)
    except BadSignature:
        return None
