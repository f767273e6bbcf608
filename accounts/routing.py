"""Where the sockets are."""

from __future__ import annotations

from channels.routing import URLRouter
from django.urls import path, re_path

from accounts.consumers import PageConsumer, PhoneConsumer, QueueConsumer
from accounts.door import refuse

websocket = URLRouter(
    [
        path("ws/", PageConsumer.as_asgi()),
        path("ws/dev/phone/", PhoneConsumer.as_asgi()),
        path("ws/dev/queue/", QueueConsumer.as_asgi()),
        # Any other path; without this the router's error would be a traceback in the log.
        re_path("", refuse),  # type: ignore[arg-type]
    ]
)
