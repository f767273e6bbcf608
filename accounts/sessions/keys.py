"""The key of a session in the browser's cookie, and its hash in the table."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

from django.conf import settings

if TYPE_CHECKING:
    from django.http import HttpRequest

# What Django makes: 32 of 36 letters, 165 random bits (ASVS 5.0, 7.2.3: at least 128).
KEY = re.compile(r"[0-9a-z]{32}")


def hashed(key: str) -> str:
    """Return the hash of a session's key for its row: 160 bits, the most that Django's column holds.

    Not salted or slow, because nobody finds 165 random bits by trying. Not keyed: a new SECRET_KEY must find the row.
    """
    return hashlib.sha256(f"latchkey.session.{key}".encode()).hexdigest()[:40]


def is_session(request: HttpRequest) -> bool:
    """Tell whether the request has the key of a session with a row, expired or not."""
    return KEY.fullmatch(request.COOKIES.get(settings.SESSION_COOKIE_NAME, "")) is not None
