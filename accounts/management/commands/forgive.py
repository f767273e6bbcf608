"""Let somebody in again who was locked out by wrong guesses or used-up limits, theirs or a stranger's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.core.management.base import BaseCommand, CommandError

from accounts.backends import claim_of, meant
from accounts.throttling import failed_attempts
from project import redis
from tasks import limits

if TYPE_CHECKING:
    from argparse import ArgumentParser


MEANS = {"limits": "requests of the last day", "password": "wrong passwords", "code": "wrong codes"}


class Command(BaseCommand):
    """`manage.py forgive alice +8613800138000`"""

    help = (
        "Opens everything of an account or a mobile number: forgets wrong passwords and wrong codes, and counts the "
        "codes of the last day no more. The account's own number and its username go along with either."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take whom."""
        parser.add_argument("who", nargs="+", help="a username, or a mobile number in any spelling")

    def handle(self, *args: Any, who: list[str], **options: Any) -> None:
        """Forget, and say what there was."""
        for name in who:
            self.stdout.write(f"{name}: {self._forgive(name)}")

    def _forgive(self, name: str) -> str:
        claim, typed = claim_of(name), meant(name)
        mobile = (claim.user.mobile if claim.user else None) or (typed if typed.startswith("+") else None)
        found = {"password": failed_attempts.forgive("password", claim.subject)}
        if mobile:
            found["code"] = failed_attempts.forgive("code", mobile)
            try:
                found = {"limits": limits.forgive(mobile), **found}
            except redis.Unavailable as error:
                raise CommandError(f"{name}: the limits are not forgiven, Redis is away: {error}") from error
        opened = [what for what, count in found.items() if count]
        counts = ", ".join(f"{MEANS[what]}: {count}" for what, count in found.items())
        return f"{' and '.join(opened) or 'there was nothing'} forgiven ({counts})"
