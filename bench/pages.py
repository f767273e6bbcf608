"""The servers of open pages, one process each: Latchkey's, Channels' as its documentation has it, bare `websockets`."""

from __future__ import annotations

import contextlib
import secrets
import socket
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench import sites as all_sites
from tests.support.stack import BIN, PATIENCE, Part, free_port, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from bench.sites import Sites

LATCHKEY, CORE, PUBSUB, BARE = "latchkey", "channels, core layer", "channels, pub/sub layer", "websockets"


@dataclass(frozen=True, slots=True)
class Server:
    """One process that keeps pages open."""

    name: str
    part: Part
    port: int

    @property
    def url(self) -> str:
        """Where a page opens its socket."""
        return f"http://127.0.0.1:{self.port}/ws/"

    @property
    def memory(self) -> int:
        """Bytes of memory that it has, without what is swapped out."""
        said = subprocess.run(
            ["ps", "-o", "rss=", "-p", str(self.part.pid)], capture_output=True, text=True, check=True
        )
        return int(said.stdout) * 1024


def servers(sites: Sites, *names: str) -> dict[str, Callable[[], AbstractContextManager[Server]]]:
    """Return how to run each of these, in a process that has just begun. Without the peers there is only Latchkey."""
    return {
        name: lambda name=name: _running(sites, name)  # type: ignore[misc]
        for name in names
        if name == LATCHKEY or sites.installed
    }


@contextlib.contextmanager
def _running(sites: Sites, name: str) -> Iterator[Server]:
    port = free_port()
    folder = sites.folder("pages")
    folder.mkdir(exist_ok=True)
    python = str(all_sites.VENV / "bin" / "python")
    daphne = [python, "-m", "daphne", "-v", "0", "-p", str(port), "bench.peers.sockets_asgi:application"]
    environment = {"PATH": "/usr/bin:/bin"}
    if name == LATCHKEY:
        # Another web process of the site that runs, with its database and its Redis.
        environment = sites.latchkey.stack.environment
        command = [str(BIN / "daphne"), "-v", "0", "-p", str(port), "asgi:application"]
    elif name == BARE:
        command = [python, "-m", "bench.peers.bare_sockets", str(port)]
    else:
        command = daphne
        environment |= {
            "DJANGO_SETTINGS_MODULE": "bench.peers.sockets_settings",
            "SECRET_KEY": secrets.token_urlsafe(40),
            "REDIS_URL": sites.redis(4),
            "LAYER": "core" if name == CORE else "pubsub",
        }
    part = Part(name, command, environment, folder / f"{name.replace('/', '')}.log")
    part.start()
    try:
        wait_until(lambda: _listens(port), PATIENCE, f"{name} does not answer, see {part.log}")
        if name == LATCHKEY:
            # The site's other two processes may have settled on both cores, and this one shall have what they have.
            all_sites.on_one_core(part.pid)
        yield Server(name, part, port)
    finally:
        part.kill()


def _listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False
