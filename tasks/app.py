"""The Huey instance, by the name that `huey_consumer tasks.app.huey` is given."""

from __future__ import annotations

import os

import django
from django.apps import apps
from django.conf import settings

from project.run import valkey

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")

huey = settings.HUEY

# huey_consumer imports this file first, before anything of Django: a worker starts. Everybody else comes from Django.
if not apps.models_ready:
    if settings.EMBEDDED_VALKEY:
        valkey.ensure(settings.VAR_DIR)
    django.setup()
