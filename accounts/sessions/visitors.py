"""The session of a visitor who has not signed in: a signed cookie with the browser's id, and no row.

Written like a session key, in letters and digits only. Django's TimestampSigner would make another form of it, and take
every visitor's cookie away at the upgrade.
"""

from __future__ import annotations

import hmac
import re
import time

from django.conf import settings

from project import keys

# A browser's id (128 random bits), the second in which it was signed, and the signature.
VISITOR = re.compile(r"(?P<planted>[0-9a-f]{32})(?P<second>[0-9a-f]{8})(?P<signature>[0-9a-f]{32})")


def visitor_key(planted: str) -> str:
    """Return the session key of a visitor without a row."""
    signed = f"{planted}{int(time.time()):08x}"
    return signed + _signature(signed)


def visitor(key: str | None) -> str | None:
    """Return the browser id in the key of a session without a row, None if the key is not ours or too old.

    Signatures of SECRET_KEY_FALLBACKS count as well.
    """
    match = VISITOR.fullmatch(key or "")
    if match is None or time.time() - int(match["second"], 16) > settings.SESSION_COOKIE_AGE:
        return None
    signed = match["planted"] + match["second"]
    secrets = (None, *settings.SECRET_KEY_FALLBACKS)
    ours = [hmac.compare_digest(match["signature"], _signature(signed, secret)) for secret in secrets]
    return match["planted"] if any(ours) else None


def _signature(signed: str, secret: str | None = None) -> str:
    return hmac.digest(keys.derive("visitor", secret), signed.encode(), "sha256").hex()[:32]
