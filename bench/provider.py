"""`python -m bench.provider PORT SECONDS`: a Yuntongxun that takes every message, after so long, and costs little.

The tests' own checks each request, which on two cores would be half of what is measured.
"""

from __future__ import annotations

import asyncio
import secrets
import sys
from functools import partial

REPLY = b'{"statusCode": "000000", "templateSMS": {"dateCreated": "20260101000000", "smsMessageSid": "%s"}}'


class Connection(asyncio.Protocol):
    """One connection of a worker: a request at a time, each with a length."""

    def __init__(self, seconds: float) -> None:
        """Take how long an answer takes."""
        self.seconds, self.buffer = seconds, b""
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep where answers go."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer a request that is whole, when its time has come."""
        self.buffer += data
        head, end, body = self.buffer.partition(b"\r\n\r\n")
        if not end:
            return
        _, _, after = head.lower().partition(b"\r\ncontent-length:")
        if len(body) >= int(after.partition(b"\r\n")[0]):
            self.buffer = b""
            asyncio.get_running_loop().call_later(self.seconds, self._answer)

    def _answer(self) -> None:
        assert self.transport is not None
        said = REPLY % secrets.token_hex(16).encode()
        self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(said) + said)


async def main(port: int, seconds: float) -> None:
    """Serve until killed."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(partial(Connection, seconds), "127.0.0.1", port, backlog=256)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), float(sys.argv[2])))
