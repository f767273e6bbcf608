"""Which browser this is: a random id in its session, by which all its tabs share one truth.

A login and a logout are each followed by a fresh one: who has planted or kept the id from before hears nothing of
what comes after. At a login what was asked for moves along; at a logout it stays behind.
"""

from __future__ import annotations

import hashlib
import secrets

from django.contrib.sessions.backends.base import SessionBase

KEY = "browser"


def of(session: SessionBase) -> str | None:
    """Return the keyed hash of the session's browser id, None when none is planted."""
    planted = session.get(KEY)
    return hashed(planted) if isinstance(planted, str) else None


def plant(session: SessionBase) -> str:
    """Return the hash of the browser id, planted now if there is none."""
    if KEY not in session:
        session[KEY] = secrets.token_hex(16)
    return hashed(session[KEY])


def replant(session: SessionBase) -> str:
    """Give the browser another id, and return its hash."""
    session[KEY] = secrets.token_hex(16)
    return hashed(session[KEY])


def hashed(planted: str) -> str:
    """Return what stands for a planted id in rows and group names.

    Not keyed: the id is 128 random bits, which nobody finds by trying. So a new SECRET_KEY takes no page its SMS.
    """
    return hashlib.sha256(f"latchkey.browser.{planted}".encode()).hexdigest()[:32]
