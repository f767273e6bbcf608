"""A delivery's beginning: the row that promises an SMS, in one statement as long as nothing stands against it."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Q
from django.db.models.functions import Now

from project.live.push import push
from project.prepared import Slot, filled
from tasks.clock import ago, ahead
from tasks.delivery.events import CHANGED, group
from tasks.delivery.queries import HOUR
from tasks.delivery.transitions import UNFINISHED, stopped, useful_life
from tasks.models import Delivery, State

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

# What a request gives. The other columns have defaults of the database's.
GIVEN = ("id", "mobile", "purpose", "browser", "address", "language", "own")

# SQLite has one writer, and lets the others sleep for longer and longer, also when it is free: so they take turns here.
_turn = threading.Lock()
# Seconds after which one goes on without. Somebody else has the file then, and each waits for SQLite as long as the
# first: one after the other, the last of sixteen would wait for minutes.
TURN = 0.5


class TooSoon(Exception):
    """The number's cooldown is running by the rows, whatever the gate said. The visitor sees the countdown."""

    def __init__(self, seconds: float) -> None:
        """Keep how many seconds are left."""
        super().__init__()
        self.seconds = seconds


def accept(
    delivery_id: str, *, mobile: str, purpose: str, browser: str, address: str, language: str, own: bool = False
) -> Delivery:
    """Write the row that promises an SMS, and let it supersede what has not left for the same number and purpose.

    `own` says that the browser has signed in with this number before: its requests are counted apart. Raises TooSoon,
    or django.db.Error when the database cannot take it: then nothing was promised.
    """
    cooldown = timedelta(seconds=settings.SMS_COOLDOWN)
    delivery = Delivery(
        id=delivery_id, mobile=mobile, purpose=purpose, browser=browser, address=address, language=language, own=own
    )
    created_at = _write_if_clear(delivery, cooldown)
    if created_at is None:
        created_at = _write_over_older(delivery, cooldown)
    delivery.state = State.QUEUED
    delivery.created_at = created_at
    delivery.resend_at = created_at + cooldown
    return delivery


def _write_if_clear(delivery: Delivery, cooldown: timedelta) -> datetime | None:
    """Write the row and return when, unless an older one of the number has a say in it; then None."""
    sql, params, converters, column = _insert(connection.vendor, cooldown, useful_life())
    with _in_turn(), connection.cursor() as cursor:
        cursor.execute(sql, filled(params, {name: getattr(delivery, name) for name in GIVEN}))
        row = cursor.fetchone()
    if row is None:
        return None
    when: datetime = row[0]
    for convert in converters:
        when = convert(when, column, connection)
    return when


@contextmanager
def _in_turn() -> Iterator[None]:
    mine = connection.vendor == "sqlite" and _turn.acquire(timeout=TURN)
    try:
        yield
    finally:
        if mine:
            _turn.release()


@cache
def _insert(vendor: str, cooldown: timedelta, life: timedelta) -> tuple[str, tuple[Any, ...], list[Any], Any]:
    """Return the statement for this kind of database, its parameters, and what makes a time of its answer.

    Django has no conditional INSERT. Its conditions and times are Django's own, so they are the ones of the slow road.
    """
    mobile, purpose = Slot("mobile"), Slot("purpose")
    against = Delivery.objects.filter(_cooldown_runs() | _can_be_superseded(purpose), mobile=mobile).values("pk")
    compiler = against.query.get_compiler(connection=connection)
    unless, unless_params = compiler.as_sql()
    later: Any = ahead(cooldown)
    resend_at, resend_params = compiler.compile(later.resolve_expression(against.query))
    meta: Any = Delivery._meta
    quote = connection.ops.quote_name
    table = quote(meta.db_table)
    # The database has no default for the last three.
    columns = [quote(meta.get_field(name).column) for name in (*GIVEN, "reason", "lease_token", "resend_at")]
    created_at = meta.get_field("created_at").get_col(meta.db_table)
    sql = (
        f"INSERT INTO {table} ({', '.join(columns)})"
        f" SELECT {', '.join(['%s'] * len(GIVEN))}, '', '', {resend_at}"
        f" WHERE NOT EXISTS ({unless}) RETURNING {quote(created_at.target.column)}"
    )
    converters = [*connection.ops.get_db_converters(created_at), *created_at.get_db_converters(connection)]
    return sql, (*(Slot(name) for name in GIVEN), *resend_params, *unless_params), converters, created_at


def _write_over_older(delivery: Delivery, cooldown: timedelta) -> datetime:
    """Write the row, once the number's cooldown is over, in place of what has not left. Raises TooSoon.

    The gate in Redis decides when all is well. But Redis may have been emptied between the gate and the row of another
    request, and a process may have been asleep between the gate and its own.
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
    # INSERT has returned the database's own.
    return delivery.created_at


def _cooldown_runs() -> Q:
    """Return what is true of a number's row that stands against another SMS."""
    return Q(created_at__gt=ago(HOUR), resend_at__gt=Now())


def _can_be_superseded(purpose: str) -> Q:
    """Return what is true of a row that a newer one for the same purpose puts out of use."""
    return Q(purpose=purpose, superseded_at=None, created_at__gt=ago(useful_life()), state__in=UNFINISHED)


def _tell_superseded(mobile: str, purpose: str) -> None:
    """Tell the pages whose request has just been superseded."""
    rows = Delivery.objects.filter(mobile=mobile, purpose=purpose, created_at__gt=ago(useful_life()))
    for browser in rows.exclude(superseded_at=None).values_list("browser", flat=True).distinct():
        push(group(browser), CHANGED)
