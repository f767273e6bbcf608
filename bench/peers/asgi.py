"""Django's own ASGI handler, as `startproject` writes it. The environment says whose settings."""

from __future__ import annotations

from django.core.asgi import get_asgi_application

application = get_asgi_application()
