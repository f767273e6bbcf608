"""A core of its own for the threads that take turns at Python.

One thread at a time runs Python in a process (the GIL). On several cores each turn wakes another core up, to find the
interpreter taken again as often as not; on one core whoever has just sent a command to Redis goes on at once.
"""

from __future__ import annotations

import logging
import os
import secrets
import socket
import sys

logger = logging.getLogger(__name__)

# The cores that are left for threads that work without Python, as who hashes does.
_others: set[int] = set()
# Held for as long as the process lives.
_claims: list[socket.socket] = []


def pin(name: str = "latchkey") -> int | None:
    """Keep this thread, and those that it starts from now on, on one core, and return which.

    Each process that calls itself by this name gets another one. None, and nothing is changed, where that is no gain
    or not possible: not on Linux, with a single core, or when each is taken by another process of this machine.
    """
    if sys.platform != "linux":
        return None
    cores = list(os.sched_getaffinity(0))
    # Processes that cannot see each other, as in containers, shall not all take the first.
    secrets.SystemRandom().shuffle(cores)
    for core in cores if len(cores) > 1 else []:
        claim = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            # An abstract address (unix(7)): no file, for all users, and free when its process is gone.
            claim.bind(f"\0{name} core {core}")
            os.sched_setaffinity(0, {core})
        except OSError:
            # It is another's, or a sandbox lets nobody choose.
            claim.close()
            continue
        _claims.append(claim)
        _others.update(set(cores) - {core})
        logger.info("on core %d", core)
        return core
    return None


def unpin() -> None:
    """Let this thread run on every core but that one."""
    if _others:
        os.sched_setaffinity(0, _others)
