"""Periodic tasks of the database. A task that runs twice does no harm."""

from __future__ import annotations

import logging
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.contrib.sessions.models import Session
from django.db import transaction
from django.db.models.functions import Now
from huey import crontab
from huey.contrib.djhuey import db_periodic_task

from tasks import delivery, pumping
from tasks.models import Attempt, Delivery, Report

if TYPE_CHECKING:
    from collections.abc import Iterator

    from django.db.models import QuerySet

logger = logging.getLogger(__name__)

# A task's module and name stand in the queue and in what an operator has revoked, so these stay as they were.
NAMED_IN = "tasks.upkeep"
# Rows that one transaction deletes. SQLite has one writer, and a visitor's request may be waiting for its turn.
BATCH = 500
# Seconds between two transactions: SQLite's waiting writers only poll, and would miss a shorter gap.
PAUSE_SECONDS = 0.1


def _batches(rows: QuerySet[Any]) -> Iterator[list[Any]]:
    """Yield the keys of one batch of rows after another. The caller deletes each batch."""
    while batch := list(rows.values_list("pk", flat=True)[:BATCH]):
        yield batch
        time.sleep(PAUSE_SECONDS)


@db_periodic_task(crontab(hour="4", minute="17"), __module__=NAMED_IN)
def clear_sessions() -> None:
    """Delete the sessions that have expired.

    Django's `clearsessions` does it in one statement: with a hundred thousand sessions nobody could write meanwhile.
    """
    over = Session.objects.filter(expire_date__lt=Now())
    for batch in _batches(over.order_by("expire_date")):
        over.filter(pk__in=batch).delete()


@db_periodic_task(crontab(hour="4", minute="37"), __module__=NAMED_IN)
def forget() -> None:
    """Delete what is older than SMS_KEEP_DAYS: finished deliveries with their attempts, and reports."""
    if not settings.SMS_KEEP_DAYS:
        return
    old = delivery.ago(timedelta(days=settings.SMS_KEEP_DAYS))
    deliveries = Delivery.objects.filter(created_at__lt=old).exclude(state__in=delivery.UNFINISHED)
    reports = Report.objects.filter(received_at__lt=old)
    gone = 0
    for batch in _batches(deliveries.order_by("created_at")):
        with transaction.atomic():
            Attempt.objects.filter(delivery__in=batch).delete()
            Delivery.objects.filter(pk__in=batch).delete()
        gone += len(batch)
    for batch in _batches(reports.order_by("pk")):
        Report.objects.filter(pk__in=batch).delete()
    logger.info("%d deliveries older than %d days are deleted", gone, settings.SMS_KEEP_DAYS)


@db_periodic_task(crontab(minute="*/10"), __module__=NAMED_IN)
def watch_spending() -> None:
    """Warn of ranges of numbers that receive codes with which nobody signs in."""
    pumping.watch()
