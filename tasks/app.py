"""The Huey instance, by the name that `huey_consumer tasks.app.huey` is given."""

from __future__ import annotations

import os

import django
from django.apps import apps
from django.conf import settings

from project import var_dir
from project.run import valkey

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")

# huey_consumer imports this file first, before anything of Django: a worker starts. All other programs come here
# when Django is set up.
starting = not apps.models_ready
if starting:
    var_dir.prepare()

huey = settings.HUEY

if starting:
    if settings.EMBEDDED_VALKEY:
        valkey.ensure(settings.VAR_DIR)
    django.setup()
