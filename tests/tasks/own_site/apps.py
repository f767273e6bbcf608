"""Registers the site's tasks."""

from __future__ import annotations

from django.apps import AppConfig


class OwnSiteConfig(AppConfig):
    """A site's own app."""

    name = "tests.tasks.own_site"
    label = "own_site"

    def ready(self) -> None:
        """Import the tasks, in every process."""
        from tests.tasks.own_site import tasks as tasks
