"""Withdrawal of a request that went to a wrong number: no SMS leaves any more, and its code is void.

The number's cooldown stays, and the request counts until its code would have expired, so requesting and withdrawing in
turn gets round no limit.
"""

from __future__ import annotations

from django.db.models import Case, F, When
from django.db.models.functions import Now

from tasks.delivery.transitions import UNFINISHED, stopped
from tasks.models import Delivery, State

# No SMS of it reaches a phone any more.
STAYED = (State.SUPERSEDED, State.FAILED, State.EXPIRED)


def withdraw(delivery_id: str) -> bool:
    """Withdraw a request. Return False if it is withdrawn already, or if its code has been used."""
    row = Delivery.objects.filter(pk=delivery_id, withdrawn_at=None, used_at=None)
    # As a newer request supersedes it. A worker may claim it at this moment.
    moved = row.update(
        withdrawn_at=Now(),
        superseded_at=Case(When(superseded_at=None, state__in=UNFINISHED, then=Now()), default=F("superseded_at")),
        state=stopped(),
    )
    return bool(moved)
