"""What must be done now and then, by whichever worker comes first; twice does no harm."""

from __future__ import annotations

import logging
import time
from datetime import timedelta

from django.conf import settings
from django.core.management import call_command
from django.db import transaction
from huey import crontab
from huey.contrib.djhuey import db_periodic_task

from tasks import delivery, pumping
from tasks.models import Attempt, Delivery, Report

logger = logging.getLogger(__name__)

# Rows that one transaction deletes. SQLite has one writer, and a visitor may be waiting to be it.
BATCH = 500
# Seconds between two of them: who waits for SQLite only looks again and again, and would miss a shorter gap.
PAUSE = 0.1


@db_periodic_task(crontab(hour="4", minute="17"))
def clear_sessions() -> None:
    """Delete the sessions that have run out: every visitor has one, signed in or not."""
    call_command("clearsessions")


@db_periodic_task(crontab(hour="4", minute="37"))
def forget() -> None:
    """Delete what is older than SMS_KEEP_DAYS: deliveries that are over, with their attempts, and reports."""
    if not settings.SMS_KEEP_DAYS:
        return
    old = delivery.ago(timedelta(days=settings.SMS_KEEP_DAYS))
    deliveries = Delivery.objects.filter(created_at__lt=old).exclude(state__in=delivery.UNFINISHED)
    reports = Report.objects.filter(received_at__lt=old)
    gone = 0
    while batch := list(deliveries.order_by("created_at").values_list("pk", flat=True)[:BATCH]):
        with transaction.atomic():
            Attempt.objects.filter(delivery__in=batch).delete()
            Delivery.objects.filter(pk__in=batch).delete()
        gone += len(batch)
        time.sleep(PAUSE)
    while received := list(reports.order_by("pk").values_list("pk", flat=True)[:BATCH]):
        Report.objects.filter(pk__in=received).delete()
        time.sleep(PAUSE)
    logger.info("%d deliveries older than %d days are deleted", gone, settings.SMS_KEEP_DAYS)


@db_periodic_task(crontab(minute="*/10"))
def watch_spending() -> None:
    """Warn of ranges of numbers that are sent to and never let anybody in."""
    pumping.watch()
