"""The task that sends a code. Its argument is an id: the queue holds no number and no code."""

from __future__ import annotations

import logging
import math
import threading
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import Error as DatabaseError
from django.utils import translation
from django.utils.translation import ngettext
from huey.contrib.djhuey import db_task
from huey.exceptions import CancelExecution

from project import database, outage, sms_text
from project.log import Expected
from tasks import decoy, delivery, gateways
from tasks.delivery import Claim
from tasks.gateways import Answer, Message, Outcome, Reason
from tasks.models import Delivery, State
from tasks.routing import circuit_breaker

if TYPE_CHECKING:
    from huey.api import Task

logger = logging.getLogger(__name__)

# Seconds between queries for a row that is just being written. As a rule the second or third query finds it.
PAUSES = (0.004, 0.006, 0.01, 0.02, 0.03, 0.06, 0.13, 0.25, 0.25)
# How long a worker waits at least for the row after the task was enqueued (seconds).
MET = sum(PAUSES) * 2 / 3
# Never set, only waited for: time.sleep fails where a library sets the clock back (libfaketime).
_NEVER = threading.Event()


class NotYet(CancelExecution):
    """The attempt failed and another is due: Huey calls the task again, by its retry policy."""


class SMSNotSent(Expected):
    """The last attempt has failed, and the fault is not the number's. Huey reports it; the row says `failed`."""


@dataclass(frozen=True, slots=True)
class Attempted:
    """An attempt that is over: its claim, the gateway's answer, and where the delivery stands now."""

    claim: Claim
    answer: Answer
    state: State

    @property
    def is_our_failure(self) -> bool:
        """Tell whether the delivery has failed although nothing is wrong with the visitor's number."""
        if self.state != State.FAILED or self.answer.reason in {Reason.NUMBER, Reason.WAIT}:
            return False
        # An accepted one has failed by a carrier's report, which speaks of the number.
        return self.answer.outcome in {Outcome.NOT_SENT, Outcome.REFUSED}

    def __str__(self) -> str:
        """Return it in words that hold no number, no code and nothing that the provider said."""
        row = self.claim.delivery
        return (
            f"delivery {row.pk[:8]} has failed: no SMS was sent in {row.attempts} of {delivery.MAX_ATTEMPTS} attempts, "
            f"the last by {self.claim.gateway}: {self.answer.outcome}"
        )


# Huey's scheduler ticks once a second, so an attempt follows the last after 5 to 6 s.
@db_task(retries=3, retry_delay=5, context=True)
def send_sms_code(delivery_id: str, task: Task | None = None) -> None:
    """Make the next attempt of a delivery, if it is due and nobody else is making it.

    The row decides, not the queue: called twice, late or for something long over, this does nothing. Huey passes its
    own `task`. Raises NotYet when another attempt is due, and SMSNotSent when the last one has failed.
    """
    try:
        last = _work_off(delivery_id)
    except DatabaseError as error:
        if not database.is_away(error):
            raise
        logger.warning("delivery %s: the database is away (%s)", delivery_id[:8], outage.name(error))
        raise NotYet from None
    if last is None:
        return
    if last.state == State.RETRYING:
        raise NotYet
    if last.is_our_failure:
        if task is not None:
            # The row is finished, so there is nothing to try again.
            task.retries = 0
        # Raised here and not deeper: error trackers keep the variables of each frame, and below is the number.
        words = str(last)
        del last
        raise SMSNotSent(words)


def _work_off(delivery_id: str) -> Attempted | None:
    """Make attempts as long as one is due, and return the last, None when there was none."""
    last = None
    # Once, as a rule: after a retryable failure the next attempt is not due yet. Another gateway is tried at once.
    while claim := _claim(delivery_id):
        last = _imitate(claim) if claim.delivery.decoy else _send(claim)
        if last.state != State.RETRYING:
            return last
    return last


def _claim(delivery_id: str) -> Claim | None:
    """Claim the next attempt, once the row exists: the task is enqueued a moment before the row is committed.

    A request that came to nothing never has a row.
    """
    for pause in (0, *PAUSES):
        _NEVER.wait(pause)
        with suppress(delivery.NotWritten):
            return delivery.claim(delivery_id)
    return None


def _send(claim: Claim) -> Attempted:
    """Make the attempt and record it."""
    answer = gateways.get(claim.gateway).send(compose(claim.delivery, claim.age))
    circuit_breaker.note(claim.gateway, answer)
    return Attempted(claim, answer, delivery.record(claim, answer))


def _imitate(claim: Claim) -> Attempted:
    """Imitate an attempt for a number that is to get no SMS, and record it."""
    answer = decoy.send(claim.token, claim.gateway)
    state = delivery.record(claim, answer)
    if answer.outcome == Outcome.ACCEPTED:
        seconds = decoy.report_in(claim.token, claim.gateway)
        if seconds is not None:
            decoy.later(seconds, partial(delivery.reported, claim.token, delivered=True))
    return Attempted(claim, answer, state)


def compose(row: Delivery, age: timedelta) -> Message:
    """Return the SMS for a delivery, in the language of the page that asked.

    The last line binds the code to our host, so that a browser offers it nowhere else
    (WICG, Origin-bound one-time codes delivered via SMS). The host is the configured one, never a request's.
    """
    life = settings.SMS_CODE_TTL - age.total_seconds()
    seconds = max(1, int(life))
    minutes = max(1, math.ceil(life / 60))
    code = row.code
    name = settings.SMS_SENDER or settings.SITE_NAME
    if wording := settings.SMS_TEXTS.get(row.language):
        words = sms_text.filled(wording, code=code, minutes=minutes, name=name)
    else:
        with translation.override(row.language):
            words = ngettext(
                "%(code)s is your %(name)s code. It expires in %(minutes)d minute. Don't share it with anyone.",
                "%(code)s is your %(name)s code. It expires in %(minutes)d minutes. Don't share it with anyone.",
                minutes,
            ) % {"code": code, "minutes": minutes, "name": name}
    text = f"{words}\n\n@{settings.PUBLIC_HOST} #{code}"
    return Message(to=row.mobile, code=code, minutes=minutes, seconds=seconds, text=text, reference=row.pk)
