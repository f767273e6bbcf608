"""The id of a browser: random, in its session, shared by all its tabs.

A login and a logout each replace it, so nobody who planted or kept the old id follows what comes after. At a login the
requests under way move along; at a logout they stay behind.
"""

from __future__ import annotations

import hashlib
import secrets

from django.contrib.sessions.backends.base import SessionBase

KEY = "browser"


def of(session: SessionBase) -> str | None:
    """Return the hash of the session's browser id, None if it has none."""
    planted = session.get(KEY)
    return hashed(planted) if isinstance(planted, str) else None


def plant(session: SessionBase) -> str:
    """Return the hash of the session's browser id, which is created if there is none."""
    if KEY not in session:
        session[KEY] = secrets.token_hex(16)
    return hashed(session[KEY])


def replant(session: SessionBase) -> str:
    """Give the browser another id, and return its hash."""
    session[KEY] = secrets.token_hex(16)
    return hashed(session[KEY])


def hashed(planted: str) -> str:
    """Return the hash of an id for rows and group names.

    Not keyed: nobody finds 128 random bits by trying. So a new SECRET_KEY parts no page from its delivery.
    """
    return hashlib.sha256(f"latchkey.browser.{planted}".encode()).hexdigest()[:32]
