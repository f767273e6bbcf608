"""Simulated sends for numbers that must not receive an SMS, so that no page can tell (T-9, T-10, T-11).

Everything but the send is the same: the request counts against every limit and has its row, its attempts and its
pushes. The simulated send takes as long and ends as the gateway's recent ones did. The web process never looks up who
has an account; only the worker does. docs/delivery.md lists what a patient stranger may still see.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import cache

from django.conf import settings
from django.contrib.auth import get_user_model
from django.db import connections
from django.db.models.functions import Now

from project import outage
from project.sql import Statement
from tasks.gateways import Answer, Outcome
from tasks.models import Attempt, Delivery, Report
from tasks.routing import circuit_breaker

logger = logging.getLogger(__name__)

# The real deliveries to imitate. Two bounds, because a stranger's many decoys may lie in between.
LATEST_DELIVERIES = 100
MAX_AGE = timedelta(days=7)
# Of those, the newest attempts: how the provider behaves today.
LATEST_ATTEMPTS = 20
# For a gateway that has not sent anything yet.
DEFAULT_SECONDS = 0.4
# Slightly more than a gateway may take. An attempt that took longer was a suspended worker.
MAX_SECONDS = 6.5
# A younger SMS without a report may still be reported.
REPORTED_WITHIN = timedelta(minutes=2)
# Nobody watches a page for longer.
MAX_REPORT_SECONDS = 600.0


@cache
def account_of_number() -> Statement:
    """Return the query that runs once a delivery. The user model is that of the layer above."""
    return Statement(f"SELECT is_active FROM {get_user_model()._meta.db_table} WHERE mobile = %(mobile)s")  # noqa: S608


def is_due(mobile: str) -> bool:
    """Tell whether a number must not receive an SMS: its account is inactive, or it has none and SIGN_UP is off."""
    account = account_of_number().row(mobile=mobile)
    return not (account[0] if account else settings.SIGN_UP)


def send(token: str, gateway: str) -> Answer:
    """Return the answer that the gateway would give, after the time that it would take, without sending anything.

    `token` is the id of the attempt under way. If the gateway's last real send ended in a fault of its own, so does
    this one: a decoy that always succeeds would stand out. Refusals are not imitated, because a number with an
    account has had its SMS before.
    """
    fault = circuit_breaker.last_fault(gateway)
    answer = fault or Answer(Outcome.ACCEPTED)
    # By the database's clock, as the real ones were measured, so the time since the claim is included.
    began, now = _clock(token)
    durations = [(ended - started).total_seconds() for started, ended, _id in _recent(gateway, answer.outcome, now)]
    took = min(random.choice(durations or [DEFAULT_SECONDS]), MAX_SECONDS)  # noqa: S311
    time.sleep(max(0.0, took - (now - began).total_seconds()))
    return Answer(answer.outcome, answer.reason, provider_code="DECOY", detail="no SMS is wanted for this number")


def report_in(token: str, gateway: str) -> float | None:
    """Return after how many seconds the gateway would report an SMS as delivered, None if it would not.

    Drawn from the reports of its recent real sends. Reports of failures are left out.
    """
    if not getattr(settings, f"{gateway.upper()}_RECEIPT_SECRET", ""):
        return None
    _began, now = _clock(token)
    tries = _recent(gateway, Outcome.ACCEPTED, now)
    ids = [provider_id for _started, _ended, provider_id in tries if provider_id]
    reports = {each.provider_id: each for each in Report.objects.filter(gateway=gateway, provider_id__in=ids)}
    delays: list[float | None] = []
    for _started, ended, provider_id in tries:
        report = reports.get(provider_id)
        if report is not None and report.delivered:
            delays.append((report.received_at - ended).total_seconds())
        elif report is None and now - ended > REPORTED_WITHIN:
            delays.append(None)
    delay = random.choice(delays or [None])  # noqa: S311
    return None if delay is None or delay > MAX_REPORT_SECONDS else max(0.0, delay)


def later(seconds: float, call: Callable[[], object]) -> None:
    """Call something later, in this process. If the process is killed the call is lost, as a real report may be.

    Not by the queue: its scheduler ticks once a second, and reports that all come with the tick would stand out.
    """

    def run() -> None:
        try:
            call()
        except Exception as error:  # noqa: BLE001  (in a thread of its own nobody else would see it)
            logger.warning("a decoy's report is lost: %s", outage.name(error))
        finally:
            connections.close_all()

    timer = threading.Timer(seconds, run)
    # A worker that stops does not wait for it.
    timer.daemon = True
    timer.start()


def _clock(token: str) -> tuple[datetime, datetime]:
    """Return when an attempt began, and the database's time now."""
    attempt = Attempt.objects.annotate(now=Now()).get(pk=token)
    return attempt.started_at, attempt.now


def _recent(gateway: str, outcome: Outcome, now: datetime) -> list[tuple[datetime, datetime, str]]:
    """Return start, end and provider's id of the gateway's recent real attempts with this outcome."""
    newest = Delivery.objects.filter(decoy=False, created_at__gt=now - MAX_AGE).order_by("-created_at")
    tries = Attempt.objects.filter(
        delivery__in=list(newest.values_list("pk", flat=True)[:LATEST_DELIVERIES]),
        gateway=gateway,
        outcome=outcome,
        ended_at__isnull=False,
    )
    found = tries.order_by("-started_at").values_list("started_at", "ended_at", "provider_id")[:LATEST_ATTEMPTS]
    return [(began, ended, provider_id) for began, ended, provider_id in found if ended]
