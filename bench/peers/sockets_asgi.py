"""A page on Channels: it joins the group that its cookie names, and passes on each event's text. No session, no row."""

from __future__ import annotations

from typing import Any

from channels.generic.websocket import AsyncWebsocketConsumer
from channels.routing import ProtocolTypeRouter, URLRouter
from django.core.asgi import get_asgi_application
from django.http import parse_cookie
from django.urls import path


class PageConsumer(AsyncWebsocketConsumer):  # type: ignore[misc]
    """One open page."""

    async def connect(self) -> None:
        """Join, accept, and say the first word."""
        cookies = parse_cookie(dict(self.scope["headers"]).get(b"cookie", b"").decode("latin-1"))
        self.group = f"browser.{cookies['csrftoken']}"
        await self.channel_layer.group_add(self.group, self.channel_name)
        await self.accept()
        await self.send(text_data="here")

    async def disconnect(self, code: int) -> None:
        """Leave."""
        await self.channel_layer.group_discard(self.group, self.channel_name)

    async def delivery_changed(self, event: dict[str, Any]) -> None:
        """Pass it on."""
        await self.send(text_data=event["text"])


application = ProtocolTypeRouter(
    {"http": get_asgi_application(), "websocket": URLRouter([path("ws/", PageConsumer.as_asgi())])}
)
