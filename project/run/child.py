"""Child processes that end with us: a child never outlives the process that started it, however that one ends.

No library does this without a second Python around each child. Linux has a signal for it (PR_SET_PDEATHSIG), but it is
sent when the *thread* that started the child ends, and macOS has nothing. A pipe works everywhere: only we hold its
writing end, so its reader sees the end of file when we are gone.
"""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# The shell script that becomes the child, and leaves behind a reader of the pipe.
TETHER = str(Path(__file__).with_name("tether.sh"))


def start(
    command: Sequence[str],
    *,
    cwd: Path,
    env: Mapping[str, str] | None = None,
    output: int | None = None,
    umask: int = -1,
    keep_open: Sequence[int] = (),
) -> subprocess.Popen[bytes]:
    """Start a command in a process group of its own, so that a Ctrl-C in the terminal reaches it only through us.

    `output` takes what it prints and its errors alike; `keep_open` are descriptors that it inherits, none of them 3.
    """
    return subprocess.Popen(
        ["/bin/sh", TETHER, *command],
        cwd=cwd,
        env=env,
        stdin=subprocess.PIPE,
        stdout=output,
        stderr=output if output is None else subprocess.STDOUT,
        umask=umask,
        pass_fds=keep_open,
        process_group=0,
    )


def reap(child: subprocess.Popen[bytes]) -> int:
    """Wait for the child to end, end its watcher, and return the exit code; below zero it is the signal."""
    code = child.wait()
    # macOS answers "not permitted" for a group of ended processes.
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, signal.SIGKILL)
    if child.stdin:
        child.stdin.close()
    return code


def stop(child: subprocess.Popen[bytes], within: float) -> int:
    """Stop the child, by force if it takes longer than `within` seconds, and return its exit code."""
    child.terminate()
    try:
        child.wait(within)
    except subprocess.TimeoutExpired:
        child.kill()
    return reap(child)
