"""Many open pages at once: WebSocket clients that cost so little that the server is what is measured.

They answer pings, as a browser does, and hand on each text with the moment at which it came.
"""

from __future__ import annotations

import asyncio
import base64
import os
import resource
import struct
import time
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

# Handshakes at a time: a server that is asked for all at once answers none of them soon.
AT_ONCE = 25
# A server on a busy machine cuts off a handshake that takes it too long, and a page comes again.
TRIES = 3
# Seconds that one may take on a busy machine.
PATIENCE = 60
# What Chromium sends besides, for a server may keep it as long as the page is open.
HEADERS = {
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0",
    "Accept-Language": "en-US,en;q=0.9",
    "Cache-Control": "no-cache",
    "Pragma": "no-cache",
}
TEXT, CLOSE, PING, PONG = 1, 8, 9, 10
SHORT, LONG = 126, 127


class Refused(Exception):
    """A handshake was answered with something else than 101; the message is the answer's first line."""


class CutOff(Refused):
    """A handshake was not answered at all."""


class Page(asyncio.Protocol):
    """One open page. `heard` is called with it and each text."""

    __slots__ = ("_came", "_transport", "closed", "first", "heard", "n", "opened")

    def __init__(self, n: int, request: bytes, heard: Callable[[Page, str], None] | None) -> None:
        """Take the page's number, its handshake, and who listens."""
        self.n, self.heard, self._came = n, heard, request
        loop = asyncio.get_running_loop()
        # The handshake's answer, and the first text.
        self.opened: asyncio.Future[None] | None = loop.create_future()
        self.first: asyncio.Future[None] | None = loop.create_future()
        self.closed = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask to come in."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.write(self._came)
        self._came = b""

    def data_received(self, data: bytes) -> None:
        """Take what has come; what is not whole yet is kept."""
        self._came += data
        if self.opened:
            head, end, rest = self._came.partition(b"\r\n\r\n")
            if not end:
                return
            status = head.split(b"\r\n", 1)[0].decode("latin-1")
            if " 101 " in status + " ":
                self.opened.set_result(None)
            else:
                self.opened.set_exception(Refused(status))
            self.opened, self._came = None, rest
        while (found := frame(self._came)) is not None:
            opcode, payload, self._came = found
            self._take(opcode, payload)

    def connection_lost(self, problem: Exception | None) -> None:
        """Note that the server has gone."""
        self.closed = True
        for waiting in (self.opened, self.first):
            if waiting and not waiting.done():
                waiting.set_exception(CutOff("closed"))
                # Nobody may be waiting for the first text.
                waiting.exception()

    def leave(self) -> None:
        """Hang up."""
        self._transport.abort()

    def _take(self, opcode: int, payload: bytes) -> None:
        if opcode == TEXT:
            if self.first:
                self.first.set_result(None)
                self.first = None
            if self.heard:
                self.heard(self, payload.decode())
        elif opcode == PING:
            # Masked with nothing: allowed, and free.
            self._transport.write(bytes((0x80 | PONG, 0x80 | len(payload), 0, 0, 0, 0)) + payload)
        elif opcode == CLOSE:
            self._transport.close()


def frame(came: bytes) -> tuple[int, bytes, bytes] | None:
    """Return the first frame's kind and content and what is behind it, None when it is not whole."""
    if len(came) < 2:
        return None
    size, at = came[1], 2
    if size == SHORT:
        at = 4
    elif size == LONG:
        at = 10
    if len(came) < at:
        return None
    if size == SHORT:
        (size,) = struct.unpack(">H", came[2:4])
    elif size == LONG:
        (size,) = struct.unpack(">Q", came[2:10])
    if len(came) < at + size:
        return None
    return came[0] & 0x0F, came[at : at + size], came[at + size :]


async def enter(
    url: str, cookies: Iterable[str], heard: Callable[[Page, str], None] | None = None, *, told: bool = True
) -> list[Page]:
    """Open a page at an address for each cookie, in order. Raises Refused.

    With `told`, each is open when its server has said something, as Latchkey's and the peers' pages all do at first.
    """
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or 80
    slots = asyncio.Semaphore(AT_ONCE)
    loop = asyncio.get_running_loop()

    async def one(n: int, cookie: str) -> Page:
        async with slots, asyncio.timeout(PATIENCE):
            for left in reversed(range(TRIES)):
                request = handshake(parts.netloc, parts.path, cookie)
                _, page = await loop.create_connection(lambda: Page(n, request, heard), host, port)  # noqa: B023
                opened, first = page.opened, page.first
                try:
                    if opened:
                        await opened
                    if told and first:
                        await first
                    break
                except CutOff:
                    if not left:
                        raise
            return page

    return list(await asyncio.gather(*(one(n, cookie) for n, cookie in enumerate(cookies))))


def handshake(host: str, path: str, cookie: str) -> bytes:
    """Return the bytes with which a page of this host asks for its socket."""
    lines = [
        f"GET {path} HTTP/1.1",
        f"Host: {host}",
        "Connection: Upgrade",
        "Upgrade: websocket",
        f"Origin: http://{host}",
        "Sec-WebSocket-Version: 13",
        f"Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}",
        *(f"{name}: {value}" for name, value in HEADERS.items()),
        f"Cookie: {cookie}",
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def room(pages: int) -> int:
    """Return how many pages there can be, at most as many as are asked for: each is an open file, here and there."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        # The servers that we start have as many.
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return min(pages, hard - 500)


async def until(done: Callable[[], bool], seconds: float) -> bool:
    """Wait until something is so, for so long at most, and return whether it is."""
    deadline = time.monotonic() + seconds
    while not done():
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(0.01)
    return True
