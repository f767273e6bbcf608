"""T-57: slow connections in the hundreds, a byte every five seconds each, and a visitor who must not notice."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import httpx

from tests.tools.scan.proxy import unchecked

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

# Seconds between two bytes.
PAUSE = 5.0
# Seconds between two connections.
APART = 0.02
# Seconds within which each has to be closed.
LONGEST = 15.0
HEAD = b"GET /login/ HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: " + b"a" * 1000
SOCKET = b"GET /ws/ HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: "
BODY = (
    b"POST /code/ HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/x-www-form-urlencoded\r\n"
    b"Content-Length: 60000\r\n\r\n"
)


@dataclass(slots=True)
class Kind:
    """One way to be slow: what is sent at once, then what drips, in TLS or before it."""

    name: str
    at_once: bytes
    drip: bytes
    tls: bool = True


KINDS = (
    # The head of a ClientHello of 512 bytes.
    Kind("TLS handshake", b"", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500), tls=False),
    Kind("head", b"", HEAD),
    Kind("body", BODY, b"mobile=" + b"1" * 1000),
    Kind("socket's handshake", b"", SOCKET + b"a" * 1000),
)


@dataclass(slots=True)
class Result:
    """How long each connection was held, by kind, and how long the visitor waited each time; in seconds."""

    held: dict[str, list[float]] = field(default_factory=dict)
    waits: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    @property
    def p99(self) -> float:
        """The visitor's wait that one in a hundred exceeds."""
        return sorted(self.waits)[int(len(self.waits) * 0.99)] if self.waits else float("inf")

    @property
    def longest(self) -> float:
        """The longest that any connection was held."""
        return max(max(times) for times in self.held.values())

    def __str__(self) -> str:
        """Say it in a line."""
        kinds = ", ".join(f"{name} {max(times):.1f} s" for name, times in self.held.items())
        return f"held at most: {kinds}; a visitor's p99 of {len(self.waits)}: {self.p99 * 1000:.0f} ms"


async def hold(port: int, kind: Kind, tls: ssl.SSLContext, after: float) -> float:
    """Open one connection, drip, and return after how many seconds it was closed; at most 3 times LONGEST."""
    await asyncio.sleep(after)
    began = time.monotonic()
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=tls if kind.tls else None)
    except OSError:
        # This machine was so busy that the handshake itself was a drip.
        return time.monotonic() - began

    async def drip() -> None:
        writer.write(kind.at_once)
        for byte in kind.drip:
            writer.write(bytes([byte]))
            await asyncio.sleep(PAUSE)

    dripping = asyncio.ensure_future(drip())
    with suppress(OSError, TimeoutError):
        async with asyncio.timeout(LONGEST * 3):
            while await reader.read(4096):
                pass
    dripping.cancel()
    with suppress(OSError):
        writer.close()
    return time.monotonic() - began


async def visit(url: str, result: Result, stop: Callable[[], bool]) -> None:
    """Open the login page again and again, from another address."""
    transport = httpx.AsyncHTTPTransport(verify=False, local_address="127.0.0.2")
    async with httpx.AsyncClient(transport=transport, timeout=20) as client:
        while not stop():
            began = time.monotonic()
            try:
                answer = await client.get(f"{url}/login/")
            except httpx.TransportError as error:
                result.failures.append(type(error).__name__)
                continue
            result.waits.append(time.monotonic() - began)
            if answer.status_code != 200:
                result.failures.append(str(answer.status_code))
            await asyncio.sleep(0.02)


async def _run(port: int, url: str, each: int) -> Result:
    result = Result()
    ended = False
    visitor = asyncio.ensure_future(visit(url, result, lambda: ended))
    kinds = [kind for kind in KINDS for _ in range(each)]
    tls = unchecked()
    # One after another, or what is measured is how fast this process opens them.
    holds = [hold(port, kind, tls, number * APART) for number, kind in enumerate(kinds)]
    for kind, took in zip(kinds, await asyncio.gather(*holds), strict=True):
        result.held.setdefault(kind.name, []).append(took)
    ended = True
    await visitor
    return result


def run(port: int, url: str, each: int = 50) -> Result:
    """Hold `each` connections of each kind at a port, while a visitor opens the page at `url`."""
    return asyncio.run(_run(port, url, each))
