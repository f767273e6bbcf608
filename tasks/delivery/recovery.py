"""Recovery by the sweeper: lost notifications, dead workers, and deliveries that are too late."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any

from django.db.models.functions import Now

from project.live.push import push
from tasks import cooldown, limits
from tasks.clock import ago
from tasks.delivery.claiming import Claim
from tasks.delivery.events import CHANGED, group
from tasks.delivery.queries import HOUR
from tasks.delivery.recording import give_up
from tasks.delivery.transitions import useful_life
from tasks.gateways import Outcome
from tasks.models import WAITING, Attempt, Delivery, State

logger = logging.getLogger(__name__)

# A worker claims a delivery within this time of its notification, or the notification is presumed lost.
OVERDUE = timedelta(seconds=2)


def overdue(most: int) -> list[str]:
    """Return the deliveries that should have been claimed by now, for the caller to enqueue again.

    Every worker has a sweeper. `rung_at` is the referee: one of them moves it, then the row rests for a while.
    """
    missed = ago(OVERDUE)
    late = Delivery.objects.filter(state__in=WAITING, due_at__lt=missed, rung_at__lt=missed)
    return [pk for pk in late.values_list("pk", flat=True)[:most] if late.filter(pk=pk).update(rung_at=Now())]


def expire() -> int:
    """End the deliveries that are too late for their code. Return how many."""
    late = Delivery.objects.filter(state__in=WAITING, created_at__lte=ago(useful_life()))
    ended = 0
    for row in late:
        unsure = row.tries.filter(outcome=Outcome.UNKNOWN).exists()
        end: dict[str, Any] = {"state": State.UNKNOWN}
        if not unsure:
            end = {"state": State.EXPIRED, "resend_at": Now()}
        # A worker may claim it at this moment; then it is left alone.
        if Delivery.objects.filter(pk=row.pk, state__in=WAITING).update(**end):
            if not unsure:
                cooldown.release(row.mobile, row.pk)
                limits.release(row)
            logger.info("delivery %s: now %s (too late for its code)", row.pk[:8], end["state"])
            push(group(row.browser), CHANGED)
            ended += 1
    return ended


def release_limits() -> int:
    """Stop counting the requests that were superseded or withdrawn before an SMS left. Return how many.

    Not before their code would have expired, so requesting and withdrawing in turn gets round no limit.
    """
    stopped = Delivery.objects.filter(state=State.SUPERSEDED, counted=True, due_at__gt=ago(HOUR))
    rows = list(stopped.filter(created_at__lte=ago(useful_life())))
    for row in rows:
        limits.release(row)
    return len(rows)


def reclaim() -> int:
    """Close the attempts whose worker is gone. Return how many."""
    closed = 0
    for row in Delivery.objects.filter(state=State.SENDING, lease_until__lt=Now()):
        gateway = Attempt.objects.values_list("gateway", flat=True).get(pk=row.lease_token)
        closed += give_up(Claim(row, row.lease_token, gateway))
    return closed


def oldest_waiting() -> float:
    """Return for how many seconds the longest-waiting delivery has been due, 0 if none waits."""
    row = Delivery.objects.filter(state__in=WAITING).annotate(now=Now()).order_by("due_at").first()
    return 0.0 if row is None else max(0.0, (row.now - row.due_at).total_seconds())
