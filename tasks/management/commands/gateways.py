"""`manage.py gateways`: which gateways there are, in the order in which they are tried, and how each is doing."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db.models import Count, Q

from project import outage, redis
from tasks import delivery
from tasks.gateways import Outcome
from tasks.models import Attempt
from tasks.routing import circuit_breaker


class Command(BaseCommand):
    """Prints a line a gateway."""

    help = "Show every gateway with its circuit and its last hour."

    def handle(self, *args: Any, **options: Any) -> None:
        """Read the circuits from Redis and the hour from the table."""
        real = Attempt.objects.filter(started_at__gt=delivery.ago(delivery.HOUR), delivery__decoy=False)
        counts = {
            row["gateway"]: row
            for row in real.values("gateway").annotate(
                n=Count("pk"),
                accepted=Count("pk", filter=Q(outcome=Outcome.ACCEPTED)),
                unknown=Count("pk", filter=Q(outcome=Outcome.UNKNOWN)),
            )
        }
        for name in settings.SMS_GATEWAYS:
            try:
                state = circuit_breaker.look(name)
            except redis.Unavailable as error:
                raise CommandError(f"Redis is away: {outage.name(error)}") from error
            said = f"open, tried again in {state.open_for} s" if state.open_for else "closed"
            row = counts.get(name, {"n": 0, "accepted": 0, "unknown": 0})
            self.stdout.write(
                f"{name}: circuit {said}, {state.faults} faults in a row, {state.reports} in reports; "
                f"last hour {row['n']} attempts, {row['accepted']} accepted, {row['unknown']} unknown"
            )
        for region, chain in settings.SMS_ROUTES.items():
            self.stdout.write(f"{region}: {' then '.join(chain)}")
