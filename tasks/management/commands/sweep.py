"""`manage.py sweep`: what each worker's sweeper does, as a process of its own, for where no worker can run."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from tasks import sweeper


class Command(BaseCommand):
    """Sweeps until it is stopped, or once."""

    help = "Recover what a kill, a lost notification or a restart left behind, once a second until stopped."

    def add_arguments(self, parser: CommandParser) -> None:
        """Take --once."""
        parser.add_argument("--once", action="store_true", help="do one round and end")

    def handle(self, *args: Any, **options: Any) -> None:
        """Sweep. SIGTERM and SIGINT end it between two rounds or in one; a round may be cut off anywhere."""
        if options["once"]:
            sweeper.sweep()
        else:
            sweeper.run()
