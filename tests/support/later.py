"""An ASGI application that refuses every socket for now: `daphne tests.support.later:application`."""

from __future__ import annotations

from typing import Any

import asgi  # noqa: F401  (what our server changes in daphne)
from project.live.handshakes import TRY_AGAIN_LATER


async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Refuse."""
    await receive()
    await send({"type": "websocket.close", "code": TRY_AGAIN_LATER})
