"""CPU affinity: one core for all threads of a process that run Python.

Only one thread of a process runs Python at a time (the GIL). On several cores each switch wakes another core, which
often finds the interpreter taken again; on one core the next thread goes on at once.

Saves: enough for half as many code requests again (docs/performance.md), where ONE_CORE=1 is set.
Breaks if: the kernel refuses `sched_setaffinity`, as some sandboxes do; then nothing is changed.
"""

from __future__ import annotations

import logging
import os
import secrets
import socket
import sys

logger = logging.getLogger(__name__)

# The cores for threads that release the interpreter while they work, such as hashing.
_others: set[int] = set()
# Open sockets, each of which reserves a core as long as the process lives.
_claims: list[socket.socket] = []


def pin(name: str = "latchkey") -> int | None:
    """Pin this thread, and those that it starts from now on, to one core, and return which.

    Each process that gives this name gets another core. Returns None and changes nothing where that is no gain or
    not possible: not on Linux, with a single core, or when each is taken by another process of this machine.
    """
    if sys.platform != "linux":
        return None
    cores = list(os.sched_getaffinity(0))
    # Processes that cannot see each other, as in containers, must not all take the first core.
    secrets.SystemRandom().shuffle(cores)
    for core in cores if len(cores) > 1 else []:
        claim = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            # An abstract address (unix(7)): no file, for all users, and free when its process is gone.
            claim.bind(f"\0{name} core {core}")
            os.sched_setaffinity(0, {core})
        except OSError:
            # Another process has this core, or a sandbox forbids to choose.
            claim.close()
            continue
        _claims.append(claim)
        _others.update(set(cores) - {core})
        logger.info("on core %d", core)
        return core
    return None


def unpin() -> None:
    """Let this thread run on every core but the pinned one."""
    if _others:
        os.sched_setaffinity(0, _others)
