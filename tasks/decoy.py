"""Where no SMS is wanted for a number, a decoy stands in for the gateway, and no page can tell (T-9, T-10, T-11).

Everything else is as ever: the request is counted against every limit, has its row, its attempts and its pushes, and
this takes as long and ends as the gateway lately did. The web never asks who has an account; only the worker does.
What a patient stranger may still see is in docs/delivery.md.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta

from django.conf import settings
from django.contrib.auth import get_user_model
from django.db import connections
from django.db.models.functions import Now

from tasks.gateways import Answer, Outcome
from tasks.models import Attempt, Delivery, Report
from tasks.routing import circuit_breaker

logger = logging.getLogger(__name__)

# How many of the last real deliveries tell a gateway's habits, and how old they may be. Two bounds, because a
# stranger's many decoys may lie between them.
LATEST = 100
WEEK = timedelta(days=7)
# Of those, so many attempts: what the provider is like today.
HABITS = 20
# Seconds that a gateway takes which has not sent anything yet.
USUAL = 0.4
# Seconds that a gateway may take, and a little. A worker that slept in mid-send is no habit.
LONGEST = 6.5
# A real SMS that is younger may still be reported.
SETTLED = timedelta(minutes=2)
# Seconds. Nobody watches a page for longer.
LONGEST_REPORT = 600.0


def is_due(mobile: str) -> bool:
    """Tell whether no SMS is wanted: the number's account is inactive, or it has none and SIGN_UP makes none."""
    account = get_user_model().objects.filter(mobile=mobile).values("is_active").first()
    return not (account["is_active"] if account else settings.SIGN_UP)


def send(token: str, gateway: str) -> Answer:
    """Answer as the gateway would now, after as long; nothing leaves. `token` is the id of the attempt under way.

    While the gateway's last real send ended in a fault of its own, so does this: a decoy that always succeeds would
    stand out. That a number is refused is not imitated: a number with an account has had its SMS before.
    """
    fault = circuit_breaker.last_fault(gateway)
    answer = fault or Answer(Outcome.ACCEPTED)
    # By the database's clock, as the real ones were measured, so that what came before this is part of it.
    began, now = _clock(token)
    usual = [(ended - started).total_seconds() for started, ended, _id in _habits(gateway, answer.outcome, now)]
    took = min(random.choice(usual or [USUAL]), LONGEST)  # noqa: S311
    time.sleep(max(0.0, took - (now - began).total_seconds()))
    return Answer(answer.outcome, answer.reason, provider_code="DECOY", detail="no SMS is wanted for this number")


def report_in(token: str, gateway: str) -> float | None:
    """Return in how many seconds the gateway would report an SMS as delivered, None if it would not.

    Drawn from what it has reported of its last real ones. Reports that one did not arrive are left out.
    """
    if not getattr(settings, f"{gateway.upper()}_RECEIPT_SECRET", ""):
        return None
    _began, now = _clock(token)
    tries = _habits(gateway, Outcome.ACCEPTED, now)
    ids = [provider_id for _started, _ended, provider_id in tries if provider_id]
    reports = {each.provider_id: each for each in Report.objects.filter(gateway=gateway, provider_id__in=ids)}
    delays: list[float | None] = []
    for _started, ended, provider_id in tries:
        report = reports.get(provider_id)
        if report is not None and report.delivered:
            delays.append((report.received_at - ended).total_seconds())
        elif report is None and now - ended > SETTLED:
            delays.append(None)
    delay = random.choice(delays or [None])  # noqa: S311
    return None if delay is None or delay > LONGEST_REPORT else max(0.0, delay)


def later(seconds: float, call: Callable[[], object]) -> None:
    """Call something after a while, in this process: a kill loses it, as a report may be lost.

    Not by the queue: its scheduler ticks once a second, and what always comes with the tick is no provider's report.
    """

    def run() -> None:
        try:
            call()
        except Exception as error:  # noqa: BLE001  (a thread of its own: nobody else would hear of it)
            logger.warning("a decoy's report is lost: %s", type(error).__name__)
        finally:
            connections.close_all()

    timer = threading.Timer(seconds, run)
    # A worker that is to end does not wait for it.
    timer.daemon = True
    timer.start()


def _clock(token: str) -> tuple[datetime, datetime]:
    """Return when an attempt began, and the database's time now."""
    attempt = Attempt.objects.annotate(now=Now()).get(pk=token)
    return attempt.started_at, attempt.now


def _habits(gateway: str, outcome: Outcome, now: datetime) -> list[tuple[datetime, datetime, str]]:
    """Return of the gateway's last real attempts with this outcome: began, ended, and the provider's id."""
    newest = Delivery.objects.filter(decoy=False, created_at__gt=now - WEEK).order_by("-created_at")
    tries = Attempt.objects.filter(
        delivery__in=list(newest.values_list("pk", flat=True)[:LATEST]),
        gateway=gateway,
        outcome=outcome,
        ended_at__isnull=False,
    )
    found = tries.order_by("-started_at").values_list("started_at", "ended_at", "provider_id")[:HABITS]
    return [(began, ended, provider_id) for began, ended, provider_id in found if ended]
