"""Queries of the web process: the newest delivery of a browser, and guesses at its code."""

from __future__ import annotations

from datetime import timedelta

from django.db.models import Exists, OuterRef
from django.db.models.functions import Now

from project.sql import Statement, utc
from tasks.clock import ago
from tasks.delivery.transitions import code_life
from tasks.models import Delivery

# A request that is older neither moves along with a login nor blocks the next one.
HOUR = timedelta(hours=1)


GUESS = Statement("""
    UPDATE tasks_delivery SET guesses = guesses + 1
    WHERE id = %(id)s AND used_at IS NULL AND withdrawn_at IS NULL
        AND guesses < %(most)s AND created_at > {now - life}
    RETURNING guesses
""")
REPEAT = Statement("""
    UPDATE tasks_delivery SET guesses = guesses + 1
    WHERE id = %(id)s AND used_at < {now - least} AND used_at > {now - longest} AND withdrawn_at IS NULL
        AND guesses < %(most)s AND created_at > {now - life}
    RETURNING guesses
""")
LATEST = Statement("""
    SELECT *, {now} AS now FROM tasks_delivery WHERE browser = %(browser)s ORDER BY created_at DESC LIMIT 1
""")


def count_guess(delivery: Delivery, *, most: int) -> int | None:
    """Count a guess at the code before it is compared, and return how many there were; None when none may follow.

    The row is locked until the transaction ends, so the next guess is counted after this one is decided.
    """
    counted = GUESS.row(id=delivery.pk, most=most, life=code_life())
    return counted[0] if counted else None


def count_repeat(delivery: Delivery, least: timedelta, longest: timedelta, *, most: int) -> int | None:
    """Count a guess at a code that was used that long ago, as `count_guess` does at one that was not."""
    counted = REPEAT.row(id=delivery.pk, most=most, least=least, longest=longest, life=code_life())
    return counted[0] if counted else None


def mark_used(delivery: Delivery) -> None:
    """Record that the code has signed its visitor in, with the commit of the caller."""
    Delivery.objects.filter(pk=delivery.pk).update(used_at=Now())


def move(before: str, after: str) -> None:
    """Hand the unused requests of a browser over to its new id, except those from before a code that it has used.

    A visitor who has come in by a code is done with what they requested earlier: a mistyped number, for example.
    """
    used_later = Delivery.objects.filter(browser=before, used_at__isnull=False, created_at__gt=OuterRef("created_at"))
    unused = Delivery.objects.filter(browser=before, used_at=None, created_at__gt=ago(HOUR))
    unused.exclude(Exists(used_later)).update(browser=after)


def latest(browser: str) -> Delivery | None:
    """Return the newest delivery of a browser, with the database's time as `now`, or None."""
    for row in LATEST.objects(Delivery, browser=browser):
        row.now = utc(row.now)  # type: ignore[attr-defined]
        return row
    return None
