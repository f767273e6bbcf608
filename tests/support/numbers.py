"""Mobile numbers that no other test uses."""

from __future__ import annotations

import itertools
import os

_next = itertools.count(1)


def number() -> str:
    """Return a fresh mainland number, as a visitor types it."""
    return f"139{os.getpid() % 1000:03}{next(_next):05}"
