"""The states of a delivery, and which answer leads to which. The table is in docs/delivery.md."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from django.conf import settings
from django.db.models import Case, Exists, F, OuterRef, Value, When

from tasks import gateways
from tasks.gateways import Outcome, Reason
from tasks.models import WAITING, Attempt, Delivery, State
from tasks.routing import gateway_chain

if TYPE_CHECKING:
    from tasks.delivery.claiming import Claim
    from tasks.gateways import Answer
    from tasks.routing.gateway_chain import Turn

MAX_ATTEMPTS = 4
# Between two attempts.
RETRY_DELAY = timedelta(seconds=5)
UNFINISHED = (*WAITING, State.SENDING)


def code_life() -> timedelta:
    """Return how long after the request its code works."""
    return timedelta(seconds=settings.SMS_CODE_TTL)


def useful_life() -> timedelta:
    """Return how long after the request an SMS may still leave, so that no code arrives as it expires."""
    return code_life() * 0.9


def stopped() -> Case:
    """Return the state of a row whose SMS is not to leave any more, as an expression for an UPDATE.

    A send under way cannot be stopped, but is not tried again. If an earlier attempt may have left, it is unknown.
    """
    unsure = Exists(Attempt.objects.filter(delivery=OuterRef("pk"), outcome=Outcome.UNKNOWN))
    return Case(
        When(unsure, state__in=WAITING, then=Value(State.UNKNOWN)),
        When(state__in=WAITING, then=Value(State.SUPERSEDED)),
        default=F("state"),
    )


def next_state(delivery: Delivery, claim: Claim, answer: Answer) -> tuple[State, Turn | None]:
    """Return the state that an answer leads to, and the gateway of the next attempt if it may be another."""
    if answer.outcome == Outcome.ACCEPTED:
        return State.SENT, None
    superseded = Delivery.objects.filter(pk=delivery.pk).exclude(superseded_at=None).exists()
    # An earlier attempt may have reached the phone.
    unsure = delivery.tries.filter(outcome=Outcome.UNKNOWN).exclude(pk=claim.token).exists()
    again = delivery.attempts < MAX_ATTEMPTS and not superseded
    if answer.outcome == Outcome.UNKNOWN:
        if again and (repeats_safely(claim) or settings.SMS_AMBIGUOUS == "resend"):
            return State.RETRYING, None
        return State.UNKNOWN, None
    # A fault of the provider and not of the number: another may succeed. Never after an attempt of unknown outcome.
    anothers = answer.outcome == Outcome.NOT_SENT or answer.reason in {Reason.OPERATOR, Reason.ROUTE}
    if anothers and again and not unsure:
        turn = gateway_chain.following(delivery, claim.gateway, answer.outcome)
        if turn:
            return State.RETRYING, turn
    if answer.outcome == Outcome.NOT_SENT and again:
        return State.RETRYING, None
    if unsure:
        return State.UNKNOWN, None
    return (State.SUPERSEDED if superseded else State.FAILED), None


def repeats_safely(claim: Claim) -> bool:
    """Tell whether the provider recognises a repeated send by its reference."""
    return gateways.get(claim.gateway).idempotent
