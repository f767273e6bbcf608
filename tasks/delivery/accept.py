"""The row of an accepted request: one statement, unless an older row of the number matters."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Q
from django.db.models.functions import Now

from project.live.push import push
from project.sql import Statement
from tasks.clock import ago, ahead
from tasks.delivery.events import CHANGED, group
from tasks.delivery.queries import HOUR
from tasks.delivery.transitions import UNFINISHED, stopped, useful_life
from tasks.models import Delivery

if TYPE_CHECKING:
    from collections.abc import Iterator

# Django has no conditional INSERT. The conditions are those of `_cooldown_runs` and `_can_be_superseded`, and the other
# columns have the database's defaults.
ACCEPT = Statement("""
    INSERT INTO tasks_delivery
        (id, mobile, purpose, browser, address, language, own, reason, lease_token, resend_at)
    SELECT
        %(id)s, %(mobile)s, %(purpose)s, %(browser)s, %(address)s, %(language)s, %(own)s, '', '', {now + cooldown}
    WHERE NOT EXISTS (
        SELECT 1 FROM tasks_delivery
        WHERE mobile = %(mobile)s AND (
            (created_at > {now - hour} AND resend_at > {now})
            OR (purpose = %(purpose)s AND superseded_at IS NULL AND created_at > {now - life}
                AND state IN ('queued', 'retrying', 'sending'))
        )
    )
    RETURNING *
""")

# SQLite has one writer, and the others sleep for longer and longer even when it is free, so they take turns here.
_turn = threading.Lock()
# How long to wait for a turn. If another process holds the file, all wait for SQLite at once: one after the other, the
# last of sixteen would wait for minutes.
TURN_SECONDS = 0.5


class TooSoon(Exception):
    """The number's cooldown is running by the rows, whatever Redis said. The visitor sees the countdown."""

    def __init__(self, seconds: float) -> None:
        """Keep how many seconds are left."""
        super().__init__()
        self.seconds = seconds


def accept(
    delivery_id: str, *, mobile: str, purpose: str, browser: str, address: str, language: str, own: bool = False
) -> Delivery:
    """Write the row, which supersedes what has not left for the same number and purpose.

    `own` means that the browser has signed in with this number before: its requests are counted apart. Raises TooSoon,
    or django.db.Error if the database is away: then nothing is accepted.
    """
    cooldown = timedelta(seconds=settings.SMS_COOLDOWN)
    given = {
        "id": delivery_id, "mobile": mobile, "purpose": purpose,
        "browser": browser, "address": address, "language": language, "own": own,
    }  # fmt: skip
    with _in_turn():
        written = ACCEPT.objects(Delivery, **given, cooldown=cooldown, hour=HOUR, life=useful_life())
    return written[0] if written else _write_over_older(Delivery(**given), cooldown)


@contextmanager
def _in_turn() -> Iterator[None]:
    mine = connection.vendor == "sqlite" and _turn.acquire(timeout=TURN_SECONDS)
    try:
        yield
    finally:
        if mine:
            _turn.release()


def _write_over_older(delivery: Delivery, cooldown: timedelta) -> Delivery:
    """Supersede what has not left and write the row, if the number's cooldown is over. Raises TooSoon.

    The cooldown in Redis decides as a rule. But Redis may have been emptied before another request had its row, or this
    process may have been suspended between its cooldown and its row.
    """
    mobile, purpose = delivery.mobile, delivery.purpose
    with transaction.atomic():
        if settings.SMS_COOLDOWN:
            running = Delivery.objects.filter(_cooldown_runs(), mobile=mobile).annotate(now=Now())
            if (row := running.order_by("-resend_at").first()) is not None:
                raise TooSoon((row.resend_at - row.now).total_seconds())
        older = Delivery.objects.filter(_can_be_superseded(purpose), mobile=mobile)
        superseded = older.update(superseded_at=Now(), state=stopped())
        delivery.resend_at = ahead(cooldown)
        delivery.save(force_insert=True)
    if superseded:
        _tell_superseded(mobile, purpose)
    # The INSERT has returned the database's time.
    delivery.resend_at = delivery.created_at + cooldown
    return delivery


def _cooldown_runs() -> Q:
    """Match a row of the number whose cooldown is running."""
    return Q(created_at__gt=ago(HOUR), resend_at__gt=Now())


def _can_be_superseded(purpose: str) -> Q:
    """Match a row that a newer one for the same purpose supersedes."""
    return Q(purpose=purpose, superseded_at=None, created_at__gt=ago(useful_life()), state__in=UNFINISHED)


def _tell_superseded(mobile: str, purpose: str) -> None:
    """Notify the pages whose request has just been superseded."""
    rows = Delivery.objects.filter(mobile=mobile, purpose=purpose, created_at__gt=ago(useful_life()))
    for browser in rows.exclude(superseded_at=None).values_list("browser", flat=True).distinct():
        push(group(browser), CHANGED)
