"""Taking a request back: it went to a wrong number. What has not left does not leave, and its code opens nothing.

The number's cooldown stays, and what was not sent counts until its code would have ended: asking and taking back in
turn floods nobody.
"""

from __future__ import annotations

from django.db.models import Case, F, When
from django.db.models.functions import Now

from tasks.delivery.transitions import UNFINISHED, stopped
from tasks.models import Delivery, State

# Nothing of it reaches a phone any more.
STAYED = (State.SUPERSEDED, State.FAILED, State.EXPIRED)


def withdraw(delivery_id: str) -> bool:
    """Take a request back. False if it was taken back before, or if its code has signed somebody in."""
    row = Delivery.objects.filter(pk=delivery_id, withdrawn_at=None, used_at=None)
    # As a newer request does it. A worker may claim it in this instant.
    moved = row.update(
        withdrawn_at=Now(),
        superseded_at=Case(When(superseded_at=None, state__in=UNFINISHED, then=Now()), default=F("superseded_at")),
        state=stopped(),
    )
    return bool(moved)
