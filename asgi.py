"""The application that daphne serves: HTTP in Django's ordinary synchronous stack, WebSockets in Channels beside it."""

from __future__ import annotations

import gc
import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")
# a2wsgi would take it for the site's path.
os.environ.pop("SCRIPT_NAME", None)

from django.conf import settings
from django.core.wsgi import get_wsgi_application

from project import var_dir

var_dir.prepare()
# Django is set up here; what follows needs its models.
django_application = get_wsgi_application()

from channels.routing import ProtocolTypeRouter

from accounts.live.connection_limits import ConnectionLimits
from accounts.routing import websocket
from accounts.throttling.client_ip import socket_address
from project.run import valkey
from project.server import cpu_affinity, daphne_request, daphne_websocket
from project.server.asgi_wrapper import Front, ThisMachineOnly
from project.server.thread_pools import Lanes

if settings.EMBEDDED_VALKEY:
    valkey.ensure(settings.VAR_DIR)
    if valkey.url(settings.VAR_DIR) != settings.REDIS_URL:
        raise SystemExit("The embedded Valkey had to move to another port. Please start again.")

daphne_request.install()
daphne_websocket.install()
# After the embedded Valkey, which has a core of its own then.
if settings.ONE_CORE:
    cpu_affinity.settle()

# Threads for requests: they wait for Redis and the database, so there are more than cores.
WORKERS = 16
# Threads that may hash a password: at most four hashes of 100 MiB at once, and one core is everybody else's.
HASHERS = max(1, min(4, (os.cpu_count() or 2) - 1))

application = ProtocolTypeRouter(
    {
        "http": Front(Lanes(django_application, workers=WORKERS, hashers=HASHERS, address_of=socket_address)),
        "websocket": ConnectionLimits(websocket, settings.SOCKET_ORIGINS),
    }
)

if settings.DEBUG:
    application = ThisMachineOnly(application)

# What is here now stays: the collector need not look at it again, which is what a lone visitor's slowest answers were.
gc.collect()
gc.freeze()
# And it looks at what thousands of open pages hold far less often: a whole look stops all countdowns at once. The first
# look, at new objects only, stays a short one: each request leaves some hundred in circles.
gc.set_threshold(2_000, 20, 2_500)
