"""The task that sends a code. It takes an id: nothing in the queue tells a number or a code."""

from __future__ import annotations

import logging
import math
import threading
from contextlib import suppress
from functools import partial

from django.conf import settings
from django.db import Error as DatabaseError
from django.utils import timezone, translation
from django.utils.translation import gettext as _
from huey.contrib.djhuey import db_task
from huey.exceptions import CancelExecution

from project import database
from tasks import decoy, delivery, gateways
from tasks.delivery import Claim
from tasks.gateways import Message, Outcome
from tasks.models import Delivery, State
from tasks.routing import circuit_breaker

logger = logging.getLogger(__name__)

# Seconds between looks for a row that is just being written, a little more than half a second in all. As a rule the
# second or third look finds it, and the pages have shown "queued" by then.
PAUSES = (0.004, 0.006, 0.01, 0.02, 0.03, 0.06, 0.13, 0.25, 0.25)
# Seconds from the bell on in which a row that is ever written is met by whoever comes for it.
MET = sum(PAUSES) * 2 / 3
# To wait with: time.sleep fails where the clock is set back by a library (libfaketime).
_NEVER = threading.Event()


class NotYet(CancelExecution):
    """The attempt failed and another is due: Huey takes it as the wish to be called again, by the task's policy."""


# Huey's scheduler ticks once a second, so an attempt follows the last after 5 to 6 s.
@db_task(retries=3, retry_delay=5)
def send_sms_code(delivery_id: str) -> None:
    """Make the next attempt of a delivery, if it is due and nobody else is at it.

    The row decides, not the queue: rung twice, late or for something long over, this does nothing.
    Raises NotYet when it is to be rung again.
    """
    try:
        state = _work_off(delivery_id)
    except DatabaseError as error:
        if not database.is_away(error):
            raise
        logger.warning("delivery %s: the database is away (%s)", delivery_id[:8], type(error).__name__)
        raise NotYet from None
    if state == State.RETRYING:
        raise NotYet


def _work_off(delivery_id: str) -> State | None:
    """Make attempts as long as one is due, and return where the last one has left the delivery, None without one."""
    state = None
    # Once, as a rule: after a retryable failure the next attempt is not due yet. Another gateway is tried at once.
    while claim := _come(delivery_id):
        state = _imitate(claim) if claim.delivery.decoy else _send(claim)
        if state != State.RETRYING:
            return state
    return state


def _come(delivery_id: str) -> Claim | None:
    """Claim the next attempt, once the row is there: the bell is rung a moment before it is committed.

    Of a request that came to nothing there never is one.
    """
    for pause in (0, *PAUSES):
        _NEVER.wait(pause)
        with suppress(delivery.NotWritten):
            return delivery.claim(delivery_id)
    return None


def _send(claim: Claim) -> State:
    """Make the attempt and return where the delivery stands then."""
    answer = gateways.get(claim.gateway).send(compose(claim.delivery))
    circuit_breaker.note(claim.gateway, answer)
    return delivery.record(claim, answer)


def _imitate(claim: Claim) -> State:
    """Do as if, for a number that is to get no SMS, and return where the delivery stands then."""
    answer = decoy.send(claim.token, claim.gateway)
    state = delivery.record(claim, answer)
    if answer.outcome == Outcome.ACCEPTED:
        seconds = decoy.report_in(claim.token, claim.gateway)
        if seconds is not None:
            decoy.later(seconds, partial(delivery.reported, claim.token, delivered=True))
    return state


def compose(row: Delivery) -> Message:
    """Return the SMS for a delivery, in the language of the page that asked.

    The last line binds the code to our host, so that a browser offers it nowhere else
    (WICG, Origin-bound one-time codes delivered via SMS). The host is the configured one, never a request's.
    """
    life = settings.SMS_CODE_TTL - (timezone.now() - row.created_at).total_seconds()
    seconds = max(1, int(life))
    minutes = max(1, math.ceil(life / 60))
    code = row.code
    with translation.override(row.language):
        words = _("%(code)s is your Latchkey code. It works for %(minutes)d min. Tell it to nobody.") % {
            "code": code,
            "minutes": minutes,
        }
    text = f"{words}\n\n@{settings.PUBLIC_HOST} #{code}"
    return Message(to=row.mobile, code=code, minutes=minutes, seconds=seconds, text=text, reference=row.pk)
