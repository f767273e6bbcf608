"""The least that an open page can cost in Python: the `websockets` library, and a server that says one word.

python -m bench.peers.bare_sockets PORT
"""

from __future__ import annotations

import asyncio
import sys

from websockets.asyncio.server import ServerConnection, serve


async def page(socket: ServerConnection) -> None:
    """Say the first word and stay."""
    await socket.send("here")
    await socket.wait_closed()


async def main(port: int) -> None:
    """Serve until killed."""
    async with serve(page, "127.0.0.1", port) as server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
