"""The app of the home page."""

from __future__ import annotations

from django.apps import AppConfig


class HomeConfig(AppConfig):
    """The home page, and the error pages of a proxy."""

    name = "home"
    default_auto_field = "django.db.models.BigAutoField"
