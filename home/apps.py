"""The app of the first page."""

from __future__ import annotations

from django.apps import AppConfig


class HomeConfig(AppConfig):
    """What a visitor sees first."""

    name = "home"
    default_auto_field = "django.db.models.BigAutoField"
