"""Sessions: `SESSION_ENGINE` names this package.

Whoever is signed in has a row, found by the hash of the key in their cookie (store.py). A visitor who has only come by
has none: their session is the cookie itself, signed (visitors.py), so a million opened pages leave nothing behind, and
a new visitor's page waits for no disk. The row comes with the first thing worth keeping, a login as a rule, under a key
of its own. browser_id.py tells which browser a session belongs to.
"""

from __future__ import annotations

from accounts.sessions.keys import KEY, hashed, is_session
from accounts.sessions.store import SETTLE, SessionStore, end_unread, ended_visitor, has_ended, is_unread
from accounts.sessions.visitors import VISITOR, visitor, visitor_key

__all__ = [
    "KEY",
    "SETTLE",
    "VISITOR",
    "SessionStore",
    "end_unread",
    "ended_visitor",
    "has_ended",
    "hashed",
    "is_session",
    "is_unread",
    "visitor",
    "visitor_key",
]
