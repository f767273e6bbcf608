"""The sockets' URLs, routed by Channels as `urls.py` is by Django."""

from __future__ import annotations

from channels.routing import URLRouter
from django.urls import path, re_path

from accounts.consumers import PageConsumer
from accounts.dev.consumers import PhoneConsumer, QueueConsumer
from accounts.live.connection_limits import refuse
from project import site_apps

websocket_urlpatterns = [
    path("ws/", PageConsumer.as_asgi()),
    path("ws/dev/phone/", PhoneConsumer.as_asgi()),
    path("ws/dev/queue/", QueueConsumer.as_asgi()),
    *site_apps.websocket_urlpatterns(),
    # URLRouter raises for any other path, which daphne logs with a traceback and answers with 500.
    re_path(r"", refuse),  # type: ignore[arg-type]
]
websocket = URLRouter(websocket_urlpatterns)
