"""The app of what happens after the response."""

from __future__ import annotations

from django.apps import AppConfig


class TasksConfig(AppConfig):
    """Registers our tasks with Huey in every process, the web's and the worker's."""

    name = "tasks"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Import the tasks: `run_huey` only looks for modules called tasks, and an unknown task is dropped."""
        from project import database  # noqa: F401  (watches the connections)
        from tasks import debug, periodic, segments, sms, sweeper  # noqa: F401
