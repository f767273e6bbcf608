"""What the web asks of a delivery: the newest of a browser, and guesses at its code."""

from __future__ import annotations

from datetime import timedelta

from django.db.models import F
from django.db.models.functions import Now

from project.prepared import Prepared, PreparedUpdate
from tasks.clock import ago
from tasks.delivery.transitions import code_life
from tasks.models import Delivery

# For so long a request is shown to a browser that has signed in, and stands in the way of the next.
HOUR = timedelta(hours=1)

_ROW = Prepared(lambda delivery_id: Delivery.objects.filter(pk=delivery_id))
_GUESSED = PreparedUpdate(
    lambda delivery_id, most, life: (
        Delivery.objects.filter(
            pk=delivery_id, used_at=None, withdrawn_at=None, guesses__lt=most, created_at__gt=ago(life)
        ),
        {"guesses": F("guesses") + 1},
    )
)
_USED = PreparedUpdate(lambda delivery_id: (Delivery.objects.filter(pk=delivery_id), {"used_at": Now()}))


def count_guess(delivery: Delivery, *, most: int) -> int | None:
    """Count a guess at the code before it is compared, and return how many there were; None when none may follow.

    The row is locked until the transaction ends, so the next guess is counted after this one is decided.
    """
    if not _GUESSED.run(delivery_id=delivery.pk, most=most, life=code_life()):
        return None
    row = _ROW.first(delivery_id=delivery.pk)
    return None if row is None else row.guesses


def mark_used(delivery: Delivery) -> None:
    """Write that the code has signed somebody in. It is used up with the same commit."""
    _USED.run(delivery_id=delivery.pk)


_LATEST = Prepared(lambda browser: Delivery.objects.filter(browser=browser).annotate(now=Now()).order_by("-created_at"))


def move(before: str, after: str) -> None:
    """Show what a browser has under way to the same one under its new name, and to nobody under the old one."""
    Delivery.objects.filter(browser=before, used_at=None, created_at__gt=ago(HOUR)).update(browser=after)


def latest(browser: str) -> Delivery | None:
    """Return what this browser asked for last, with `now`, the database's time, beside it; None if nothing yet."""
    return _LATEST.first(browser=browser)
