"""The application that daphne serves: HTTP in Django's ordinary synchronous stack, WebSockets in Channels beside it."""

from __future__ import annotations

import gc
import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")
# a2wsgi would take it for the site's path.
os.environ.pop("SCRIPT_NAME", None)

from django.conf import settings
from django.core.wsgi import get_wsgi_application

# Django is set up here; what follows needs its models.
django_application = get_wsgi_application()

from channels.routing import ProtocolTypeRouter

from accounts.door import Door
from accounts.routing import websocket
from project import server, valkey, wire
from project.front import Front, ThisMachineOnly
from project.pool import Pool

if settings.EMBEDDED_VALKEY:
    valkey.ensure(settings.VAR_DIR)
    if valkey.url(settings.VAR_DIR) != settings.REDIS_URL:
        raise SystemExit("The embedded Valkey had to move to another port. Please start again.")

server.install()
wire.install()

# Threads for requests. More would only wait for the two or so that hash a password.
WORKERS = 16

application = ProtocolTypeRouter(
    {
        "http": Front(Pool(django_application, workers=WORKERS)),  # type: ignore[arg-type]
        "websocket": Door(websocket, settings.SOCKET_ORIGINS),
    }
)

if settings.DEBUG:
    application = ThisMachineOnly(application)

# What is here now stays: the collector need not look at it again, which is what a lone visitor's slowest answers were.
gc.collect()
gc.freeze()
