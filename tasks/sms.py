"""The task that sends a code. It takes an id: nothing in the queue tells a number or a code."""

from __future__ import annotations

import math

from django.conf import settings
from django.utils import timezone, translation
from django.utils.translation import gettext as _
from huey.contrib.djhuey import db_task
from huey.exceptions import CancelExecution

from tasks import circuit, delivery, gateways
from tasks.gateways import Message
from tasks.models import Delivery, State


class NotYet(CancelExecution):
    """The attempt failed and another is due: Huey takes it as the wish to be called again, by the task's policy."""


# Huey's scheduler ticks once a second, so an attempt follows the last after 5 to 6 s.
@db_task(retries=3, retry_delay=5)
def send_sms_code(delivery_id: str) -> None:
    """Make the next attempt of a delivery, if it is due and nobody else is at it.

    The row decides, not the queue: rung twice, late or for something long over, this does nothing.
    Raises NotYet when it is to be rung again.
    """
    state = None
    # Once, as a rule: after a retryable failure the next attempt is not due yet. Another gateway is tried at once.
    while claim := delivery.claim(delivery_id):
        answer = gateways.get(claim.gateway).send(compose(claim.delivery))
        circuit.note(claim.gateway, answer)
        state = delivery.record(claim, answer)
    if state == State.RETRYING:
        raise NotYet


def compose(row: Delivery) -> Message:
    """Return the SMS for a delivery, in the language of the page that asked.

    The last line binds the code to our host, so that a browser offers it nowhere else
    (WICG, Origin-bound one-time codes delivered via SMS). The host is the configured one, never a request's.
    """
    life = settings.SMS_CODE_TTL - (timezone.now() - row.created_at).total_seconds()
    minutes = max(1, math.ceil(life / 60))
    code = row.code
    with translation.override(row.language):
        words = _("%(code)s is your Latchkey code. It works for %(minutes)d min. Tell it to nobody.") % {
            "code": code,
            "minutes": minutes,
        }
    text = f"{words}\n\n@{settings.PUBLIC_HOST} #{code}"
    return Message(to=row.mobile, code=code, minutes=minutes, text=text, reference=row.pk)
