"""A delivery's way from accepted to resolved. Every step is a conditional UPDATE: one player wins, the others stop.

The queue's doorbell may be lost, doubled, late or forged: whoever comes looks at the row and claims it, or leaves.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings
from django.db import Error as DatabaseError
from django.db import transaction
from django.db.models import Case, DateTimeField, ExpressionWrapper, F, Value, When
from django.db.models.expressions import Combinable
from django.db.models.functions import Now

from project.push import push
from tasks import gate, gateways
from tasks.gateways import Answer, Outcome, Reason
from tasks.models import WAITING, Attempt, Delivery, State, random_id

logger = logging.getLogger(__name__)

MAX_ATTEMPTS = 4
# Between two attempts.
RETRY_DELAY = timedelta(seconds=5)
# Longer than a gateway may take (6 s in all) and a slow database. Who holds a lease past it is taken for dead.
LEASE = timedelta(seconds=15)
# A doorbell rings within this, or it is taken for lost.
OVERDUE = timedelta(seconds=2)

# The event on a browser's group. It carries no content: each page reads the row.
CHANGED = "delivery.changed"
UNFINISHED = (*WAITING, State.SENDING)
# Where it is news that an SMS went out after all, from a worker that had lost its lease.
UNSURE = (*WAITING, State.UNKNOWN, State.EXPIRED, State.FAILED)


def group(browser: str) -> str:
    """Return the name of the group that a browser's pages listen to."""
    return f"browser.{browser}"


def code_life() -> timedelta:
    """Return how long after the request its code works."""
    return timedelta(seconds=settings.SMS_CODE_TTL)


def useful_life() -> timedelta:
    """Return how long after the request an SMS may still leave. A code that arrives as it dies only angers."""
    return code_life() * 0.9


def ago(age: timedelta) -> Combinable:
    """Return the database's time that long ago."""
    return ExpressionWrapper(Now() - age, output_field=DateTimeField())


def ahead(wait: timedelta) -> Combinable:
    """Return the database's time that far ahead."""
    return ExpressionWrapper(Now() + wait, output_field=DateTimeField())


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to make one attempt. Its token fences the end: who lost the lease cannot overwrite who took it."""

    delivery: Delivery
    token: str
    gateway: str


def accept(delivery_id: str, *, mobile: str, purpose: str, browser: str, address: str, language: str) -> Delivery:
    """Write the row that promises an SMS, and let it supersede what has not left for the same number and purpose.

    Raises django.db.Error when the database cannot take it: then nothing was promised.
    """
    cooldown = timedelta(seconds=settings.SMS_COOLDOWN)
    with transaction.atomic():
        older = Delivery.objects.filter(
            mobile=mobile, purpose=purpose, superseded_at=None, created_at__gt=ago(useful_life()), state__in=UNFINISHED
        )
        # One that is being sent right now cannot be stopped, but it is marked and will not be tried again.
        superseded = older.update(
            superseded_at=Now(), state=Case(When(state__in=WAITING, then=Value(State.SUPERSEDED)), default=F("state"))
        )
        delivery = Delivery(
            id=delivery_id, mobile=mobile, purpose=purpose, browser=browser, address=address, language=language
        )
        delivery.resend_at = ahead(cooldown)
        delivery.save(force_insert=True)
    # INSERT has returned created_at, so this is the row's own value.
    delivery.resend_at = delivery.created_at + cooldown
    if superseded:
        _push_superseded(mobile, purpose)
    return delivery


def claim(delivery_id: str) -> Claim | None:
    """Take the right to make the next attempt, or answer None: it is not due, too late, over, or somebody else's.

    The attempt's row is committed before this returns, so no SMS leaves without a record of it.
    """
    token = random_id()
    gateway = settings.SMS_GATEWAYS[0]
    with transaction.atomic():
        claimed = Delivery.objects.filter(
            pk=delivery_id,
            state__in=WAITING,
            attempts__lt=MAX_ATTEMPTS,
            superseded_at=None,
            due_at__lte=Now(),
            created_at__gt=ago(useful_life()),
        ).update(state=State.SENDING, attempts=F("attempts") + 1, lease_token=token, lease_until=ahead(LEASE))
        if claimed != 1:
            return None
        delivery = Delivery.objects.get(pk=delivery_id)
        Attempt.objects.create(id=token, delivery=delivery, n=delivery.attempts, gateway=gateway)
    push(group(delivery.browser), CHANGED)
    return Claim(delivery, token, gateway)


def record(claim: Claim, answer: Answer) -> State:
    """Write how an attempt ended, then tell the open pages. Returns where the delivery stands now."""
    delivery = claim.delivery
    with transaction.atomic():
        # The sweeper may have closed this attempt as unknown when its lease ran out. What the provider said is better.
        Attempt.objects.filter(pk=claim.token).update(
            outcome=answer.outcome,
            provider_id=answer.provider_id[:64],
            provider_code=answer.provider_code[:64],
            detail=answer.detail[:200],
            ended_at=Now(),
        )
        state = _finish(delivery, claim, answer)
    if state == State.FAILED and answer.reason != Reason.WAIT:
        gate.give_back(delivery.mobile, delivery.pk)
    logger.info(
        "delivery %s attempt %d by %s: %s %s, now %s",
        delivery.pk[:8], delivery.attempts, claim.gateway, answer.outcome, answer.provider_code, state,
    )  # fmt: skip
    push(group(delivery.browser), CHANGED)
    return state


def _finish(delivery: Delivery, claim: Claim, answer: Answer) -> State:
    """Move the row on from `sending`, fenced by the lease, and return its state."""
    state = _next_state(delivery, claim, answer)
    change: dict[str, object] = {"state": state, "reason": answer.reason}
    if state == State.RETRYING:
        change["due_at"] = ahead(RETRY_DELAY)
    if state == State.FAILED and answer.reason != Reason.WAIT:
        change["resend_at"] = Now()
    if answer.outcome == Outcome.UNKNOWN and state == State.RETRYING and not _repeats_safely(claim):
        change["possibly_duplicated"] = True
    # Two players: the worker that comes back late, and the sweeper that has given its lease away. The token decides.
    row = Delivery.objects.filter(pk=delivery.pk)
    if row.filter(state=State.SENDING, lease_token=claim.token).update(**change):
        return state
    if answer.outcome == Outcome.ACCEPTED and not row.filter(state__in=UNSURE).update(state=State.SENT):
        # Somebody else is sending it in this moment.
        row.filter(state=State.SENDING).update(possibly_duplicated=True)
    delivery.refresh_from_db(fields=["state"])
    return State(delivery.state)


def _next_state(delivery: Delivery, claim: Claim, answer: Answer) -> State:
    """Decide what an answer means for the delivery (the table is in docs/delivery.md)."""
    if answer.outcome == Outcome.ACCEPTED:
        return State.SENT
    superseded = Delivery.objects.filter(pk=delivery.pk).exclude(superseded_at=None).exists()
    # Whatever this attempt says, an earlier one may be on somebody's phone.
    unsure = delivery.tries.filter(outcome=Outcome.UNKNOWN).exclude(pk=claim.token).exists()
    again = delivery.attempts < MAX_ATTEMPTS and not superseded
    if answer.outcome == Outcome.NOT_SENT and again:
        return State.RETRYING
    if answer.outcome == Outcome.UNKNOWN:
        if again and (_repeats_safely(claim) or settings.SMS_AMBIGUOUS == "resend"):
            return State.RETRYING
        return State.UNKNOWN
    if unsure:
        return State.UNKNOWN
    return State.SUPERSEDED if superseded else State.FAILED


def _repeats_safely(claim: Claim) -> bool:
    """Tell whether the provider itself knows a repeat by its reference."""
    return gateways.get(claim.gateway).idempotent


def mark_used(delivery: Delivery) -> None:
    """Write that the code has signed somebody in. Never raises: the code is used up, and the visitor comes in."""
    try:
        Delivery.objects.filter(pk=delivery.pk).update(used_at=Now())
    except DatabaseError as error:
        logger.warning("delivery %s was used, which is not written: %s", delivery.pk[:8], type(error).__name__)


def latest(browser: str) -> Delivery | None:
    """Return what this browser asked for last, with `now`, the database's time, beside it; None if nothing yet."""
    return Delivery.objects.filter(browser=browser).annotate(now=Now()).order_by("-created_at").first()


def _push_superseded(mobile: str, purpose: str) -> None:
    """Tell the pages whose request has just been superseded."""
    rows = Delivery.objects.filter(
        mobile=mobile, purpose=purpose, state=State.SUPERSEDED, created_at__gt=ago(useful_life())
    )
    for browser in rows.values_list("browser", flat=True).distinct():
        push(group(browser), CHANGED)


def overdue(most: int) -> list[str]:
    """Return what should have been claimed by now, for this caller to ring: the bell is lost, or no worker ran.

    Every worker has a sweeper. Moving `due_at` is the referee: one of them gets the row, then it rests for a while.
    """
    late = Delivery.objects.filter(state__in=WAITING, due_at__lt=ago(OVERDUE))
    return [pk for pk in late.values_list("pk", flat=True)[:most] if late.filter(pk=pk).update(due_at=Now())]


def expire() -> int:
    """End what is too late for its code. Returns how many."""
    late = Delivery.objects.filter(state__in=WAITING, created_at__lte=ago(useful_life()))
    ended = 0
    for delivery in late:
        unsure = delivery.tries.filter(outcome=Outcome.UNKNOWN).exists()
        # A worker may claim it in this instant; then it is that worker's.
        if Delivery.objects.filter(pk=delivery.pk, state__in=WAITING).update(
            state=State.UNKNOWN if unsure else State.EXPIRED, resend_at=Now()
        ):
            gate.give_back(delivery.mobile, delivery.pk)
            push(group(delivery.browser), CHANGED)
            ended += 1
    return ended


def reclaim() -> int:
    """Close the attempts whose worker is gone: nobody knows what became of them. Returns how many."""
    closed = 0
    for delivery in Delivery.objects.filter(state=State.SENDING, lease_until__lt=Now()):
        gateway = Attempt.objects.values_list("gateway", flat=True).get(pk=delivery.lease_token)
        record(
            Claim(delivery, delivery.lease_token, gateway),
            Answer(Outcome.UNKNOWN, detail="the worker did not come back"),
        )
        closed += 1
    return closed


def oldest_waiting() -> float:
    """Return how many seconds the longest-waiting delivery has been due, 0 when none waits."""
    row = Delivery.objects.filter(state__in=WAITING).annotate(now=Now()).order_by("due_at").first()
    return 0.0 if row is None else max(0.0, (row.now - row.due_at).total_seconds())
