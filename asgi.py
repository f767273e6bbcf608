"""The ASGI application: HTTP goes to Django's WSGI handler in pools of threads, WebSockets go to Channels.

Importing this file changes nothing in the process and starts nothing. What else a server needs happens when it
begins to serve: see `project/server/process.py`.
"""

from __future__ import annotations

import os

from django.core.wsgi import get_wsgi_application

from project import var_dir

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")
var_dir.prepare()
# Django is set up here; the imports below need its models.
django_application = get_wsgi_application()

from channels.routing import ProtocolTypeRouter
from django.conf import settings

from accounts.live.connection_limits import ConnectionLimits
from accounts.live.polls import Polls
from accounts.routing import websocket
from accounts.throttling.client_ip import socket_address
from project.live.handshakes import Handshakes
from project.server import django_request, process
from project.server.asgi_wrapper import AsgiWrapper, ThisMachineOnly
from project.server.drain import Drain
from project.server.thread_pools import ThreadPools

# Threads for requests: they wait for Redis and the database, so there are more than cores.
WORKERS = 16
# Threads that may hash a password: at most four hashes of 100 MiB at once, and one core is left for everything else.
HASHERS = max(1, min(4, (os.cpu_count() or 2) - 1))

django_request.install(django_application)
handshakes = Handshakes(websocket)

application = ProtocolTypeRouter(
    {
        "http": AsgiWrapper(
            Polls(
                ThreadPools(django_application, workers=WORKERS, hashers=HASHERS, address_of=socket_address),
                handshakes,
            )
        ),
        "websocket": ConnectionLimits(handshakes, settings.SOCKET_ORIGINS),
        "lifespan": process.lifespan,
    }
)

if settings.DEBUG:
    application = ThisMachineOnly(application)

application = Drain(application)
process.start_when_daphne_serves(application.take_signals)
