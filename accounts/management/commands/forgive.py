"""Let somebody in again who was shut out by wrong guesses, theirs or a stranger's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.core.management.base import BaseCommand

from accounts import guesses
from accounts.mobile import BadMobile, canonical

if TYPE_CHECKING:
    from argparse import ArgumentParser


class Command(BaseCommand):
    """`manage.py forgive alice +8613800138000`"""

    help = "Forgets the wrong guesses at a username's password, or at a mobile number's codes and password."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take whom."""
        parser.add_argument("who", nargs="+", help="a username, or a mobile number in any spelling")

    def handle(self, *args: Any, who: list[str], **options: Any) -> None:
        """Forget, and say what there was."""
        for name in who:
            try:
                subject = canonical(name)
            except BadMobile:
                subject = name.lower()
            forgiven = [kind for kind in guesses.FREE if guesses.forgive(kind, subject)]
            self.stdout.write(f"{name}: {' and '.join(forgiven) or 'there was nothing'} forgiven")
