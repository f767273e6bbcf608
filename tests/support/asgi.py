"""A visitor of an ASGI application without a server between."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


async def ask(
    application: Any, method: str, path: str, *, address: str = "127.0.0.1", leaves: asyncio.Event | None = None
) -> int:
    """Send one request and return its status; 0 when the visitor left without one."""
    said: list[dict[str, Any]] = []
    await visit(application, said.append, method=method, path=path, address=address, leaves=leaves)
    return int(said[0]["status"]) if said else 0


async def visit(
    application: Any, heard: Callable[[dict[str, Any]], object], *pieces: dict[str, Any],
    method: str = "GET", path: str = "/", address: str = "127.0.0.1", leaves: asyncio.Event | None = None,
) -> None:  # fmt: skip
    """Send one request, its body in pieces, hear what is answered, and perhaps leave before."""
    coming = list(pieces or ({"type": "http.request", "body": b"", "more_body": False},))

    async def receive() -> dict[str, Any]:
        if not coming:
            await (leaves or asyncio.Event()).wait()
        return coming.pop(0) if coming else {"type": "http.disconnect"}

    async def send(event: dict[str, Any]) -> None:
        heard(event)
        await asyncio.sleep(0)

    scope = {
        "type": "http", "method": method, "path": path, "query_string": b"", "headers": [], "http_version": "1.1",
        "scheme": "http", "server": ("127.0.0.1", 80), "client": (address, 1),
    }  # fmt: skip
    await application(scope, receive, send)
