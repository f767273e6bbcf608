"""Where the sockets are."""

from __future__ import annotations

from typing import Any

from channels.routing import URLRouter
from django.urls import path, re_path

from accounts.consumers import PageConsumer, PhoneConsumer, QueueConsumer


async def nowhere(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Refuse a socket to any other path; without this the router's error would be a traceback in the log."""
    await receive()
    await send({"type": "websocket.close"})


websocket = URLRouter(
    [
        path("ws/", PageConsumer.as_asgi()),
        path("ws/dev/phone/", PhoneConsumer.as_asgi()),
        path("ws/dev/queue/", QueueConsumer.as_asgi()),
        re_path("", nowhere),  # type: ignore[arg-type]
    ]
)
