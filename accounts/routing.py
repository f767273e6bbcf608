"""Where the sockets are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from accounts.consumers import PageConsumer, PhoneConsumer, QueueConsumer
from accounts.live.connection_limits import refuse

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

PLACES: dict[str, Callable[[Any, Any, Any], Awaitable[None]]] = {
    "/ws/": PageConsumer.as_asgi(),
    "/ws/dev/phone/": PhoneConsumer.as_asgi(),
    "/ws/dev/queue/": QueueConsumer.as_asgi(),
}


def websocket(scope: dict[str, Any], receive: Any, send: Any) -> Awaitable[None]:
    """Serve a socket at its place; there is none at any other path."""
    application: Callable[[Any, Any, Any], Awaitable[None]] = PLACES.get(scope["path"], refuse)
    return application(scope, receive, send)
