"""A delivery's way from accepted to resolved. Every step is a conditional UPDATE: one player wins, the others stop.

The queue's doorbell may be lost, doubled, late or forged: whoever comes looks at the row and claims it, or leaves.
How the row comes to be is told in tasks/delivery/accept.py.
"""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass, field
from datetime import timedelta

from django.conf import settings
from django.db import Error as DatabaseError
from django.db import close_old_connections, transaction
from django.db.models import Case, Exists, F, OuterRef, Value, When
from django.db.models.functions import Now

from project import database
from project.live.push import push
from project.prepared import Prepared, PreparedInsert, PreparedUpdate
from tasks import cooldown, decoy, gateways, limits
from tasks.clock import ago as ago
from tasks.clock import ahead as ahead
from tasks.gateways import Answer, Outcome, Reason
from tasks.models import WAITING, Attempt, Delivery, Report, State, random_id
from tasks.routing import gateway_chain
from tasks.routing.gateway_chain import Turn

logger = logging.getLogger(__name__)

MAX_ATTEMPTS = 4
# Between two attempts.
RETRY_DELAY = timedelta(seconds=5)
HOUR = timedelta(hours=1)
# Longer than a gateway may take (6 s in all) and a slow database. Who holds a lease past it is taken for dead.
LEASE = timedelta(seconds=15)
# Seconds after the claim until which an answer is tried to be written: then the sweeper may give the lease away.
WRITABLE = LEASE.total_seconds() - 2
# Seconds between two tries.
PAUSE = 0.5
# To wait with: time.sleep fails where the clock is set back by a library (libfaketime).
_NEVER = threading.Event()

# The event on a browser's group. It carries no content: each page reads the row.
CHANGED = "delivery.changed"
# The same, when Redis has let a request in and its row is just being written.
ACCEPTED = "delivery.accepted"
UNFINISHED = (*WAITING, State.SENDING)
# How an attempt's end says that nothing of the delivery has left.
UNSENT = (State.FAILED, State.SUPERSEDED)
# Where it is news that an SMS went out after all, from a worker that had lost its lease.
UNSURE = (*WAITING, State.UNKNOWN, State.EXPIRED, State.FAILED)


def group(browser: str) -> str:
    """Return the name of the group that a browser's pages listen to."""
    return f"browser.{browser}"


def stopped() -> Case:
    """Return the state of a row that shall not leave any more. What is being sent right now cannot be stopped, but it
    is not tried again. What may have left already is not said to have stayed: it may be on somebody's phone.
    """
    unsure = Exists(Attempt.objects.filter(delivery=OuterRef("pk"), outcome=Outcome.UNKNOWN))
    return Case(
        When(unsure, state__in=WAITING, then=Value(State.UNKNOWN)),
        When(state__in=WAITING, then=Value(State.SUPERSEDED)),
        default=F("state"),
    )


def code_life() -> timedelta:
    """Return how long after the request its code works."""
    return timedelta(seconds=settings.SMS_CODE_TTL)


def useful_life() -> timedelta:
    """Return how long after the request an SMS may still leave. A code that arrives as it dies only angers."""
    return code_life() * 0.9


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to make one attempt. Its token fences the end: who lost the lease cannot overwrite who took it."""

    delivery: Delivery
    token: str
    gateway: str
    # By this process's clock that only goes forward.
    claimed: float = field(default_factory=time.monotonic)


class NotWritten(Exception):
    """There is no such row: not yet, or never. Whoever rings a moment before the commit makes the worker see this."""


_ROW = Prepared(lambda delivery_id: Delivery.objects.filter(pk=delivery_id))
# `attempts` as they were when the gateway was chosen: whoever has made one meanwhile chose by what came of it.
_CLAIM = PreparedUpdate(
    lambda delivery_id, attempts, no_sms, token, gateway, life: (
        Delivery.objects.filter(
            pk=delivery_id,
            state__in=WAITING,
            attempts=attempts,
            attempts__lt=MAX_ATTEMPTS,
            superseded_at=None,
            due_at__lte=Now(),
            created_at__gt=ago(life),
        ),
        {
            "state": State.SENDING,
            "attempts": attempts + 1,
            "gateway": gateway,
            "lease_token": token,
            "lease_until": ahead(LEASE),
            "decoy": no_sms,
        },
    )
)
_BEGIN = PreparedInsert(
    lambda token, delivery_id, n, gateway: Attempt(id=token, delivery_id=delivery_id, n=n, gateway=gateway)
)


def claim(delivery_id: str) -> Claim | None:
    """Take the right to make the next attempt, or answer None: it is not due, too late, over, or somebody else's.

    The attempt's row is committed before this returns, so no SMS leaves without a record of it. Raises NotWritten.
    """
    row = _ROW.first(delivery_id=delivery_id)
    if row is None:
        raise NotWritten
    if row.state not in WAITING:
        return None
    token = random_id()
    # Before the transaction, which another writer may be waiting for: this may have to ask Redis.
    gateway = gateway_chain.choose(row)
    # The first attempt decides: whoever gets or loses an account meanwhile has a whole delivery of one kind.
    no_sms = decoy.is_due(row.mobile) if row.attempts == 0 else row.decoy
    with transaction.atomic():
        claimed = _CLAIM.run(
            delivery_id=delivery_id, attempts=row.attempts, no_sms=no_sms, token=token, gateway=gateway,
            life=useful_life(),
        )  # fmt: skip
        if claimed != 1:
            return None
        _BEGIN.run(token=token, delivery_id=delivery_id, n=row.attempts + 1, gateway=gateway)
    # What the UPDATE has just written, so that it need not be read again.
    row.state, row.attempts, row.decoy = State.SENDING, row.attempts + 1, no_sms
    row.gateway, row.lease_token = gateway, token
    push(group(row.browser), CHANGED)
    return Claim(row, token, gateway)


def record(claim: Claim, answer: Answer) -> State:
    """Write how an attempt ended, then tell the open pages. Returns where the delivery stands now.

    While the database is away this is tried until the lease is nearly over: the provider answers only once, and without
    its answer the SMS would be sent again or be called unknown. Raises django.db.Error when it does not come back.
    """
    tries = 1
    while True:
        try:
            state = _record(claim, answer)
            break
        except DatabaseError as error:
            if not database.is_away(error) or time.monotonic() - claim.claimed + PAUSE > WRITABLE:
                raise
            if tries == 1:
                words = "delivery %s: the provider's answer (%s) cannot be written yet (%s), trying again"
                logger.warning(words, claim.delivery.pk[:8], answer.outcome, type(error).__name__)
            tries += 1
        _NEVER.wait(PAUSE)
        # Closes the connection that has failed.
        close_old_connections()
    if tries > 1:
        logger.info("delivery %s: the provider's answer is written after %d tries", claim.delivery.pk[:8], tries)
    _ended(claim, answer, state)
    # The provider is sometimes faster with its report than with its answer.
    if answer.provider_id and _REPORTED.exists(gateway=claim.gateway, provider_id=answer.provider_id):
        for report in Report.objects.filter(gateway=claim.gateway, provider_id=answer.provider_id):
            state = reported(claim.token, delivered=report.delivered) or state
    return state


def _record(claim: Claim, answer: Answer) -> State:
    """Write how an attempt ended, in one transaction, and return where the delivery stands."""
    with transaction.atomic():
        # The sweeper may have closed this attempt as unknown when its lease ran out. What the provider said is better.
        _CLOSE.run(token=claim.token, **_words(answer))
        return _finish(claim.delivery, claim, answer)


def give_up(claim: Claim) -> bool:
    """Close an attempt whose worker did not come back: nobody knows what became of it. False if the worker just did."""
    nobody_came = Answer(Outcome.UNKNOWN, detail="the worker did not come back")
    with transaction.atomic():
        attempt = Attempt.objects.filter(pk=claim.token, outcome="")
        if not attempt.update(**_words(nobody_came), ended_at=Now()):
            return False
        state = _finish(claim.delivery, claim, nobody_came)
    _ended(claim, nobody_came, state)
    return True


def _words(answer: Answer) -> dict[str, str]:
    """Return what an attempt's row keeps of an answer."""
    return {
        "outcome": answer.outcome,
        "provider_id": answer.provider_id[:64],
        "provider_code": answer.provider_code[:64],
        "detail": answer.detail[:200],
    }


def why(answer: Answer) -> str:
    """Return what an answer rests on, for the log: the provider's code and what it means to us. Never empty."""
    return ", ".join(filter(None, (answer.provider_code, answer.detail))) or "no detail"


_CLOSE = PreparedUpdate(lambda token, **words: (Attempt.objects.filter(pk=token), {**words, "ended_at": Now()}))
_REPORTED = Prepared(lambda gateway, provider_id: Report.objects.filter(gateway=gateway, provider_id=provider_id))
# Two players: the worker that comes back late, and the sweeper that has given its lease away. The token decides.
_SENT = PreparedUpdate(
    lambda delivery_id, token, reason: (
        Delivery.objects.filter(pk=delivery_id, state=State.SENDING, lease_token=token),
        {"state": State.SENT, "reason": reason, "sent_at": Now()},
    )
)


def _ended(claim: Claim, answer: Answer, state: State) -> None:
    """Do what follows the commit: give the cooldown back where it is due, and tell the log and the open pages."""
    delivery = claim.delivery
    if state == State.FAILED and answer.reason != Reason.WAIT:
        cooldown.give_back(delivery.mobile, delivery.pk)
    if state in UNSENT and answer.outcome not in {Outcome.ACCEPTED, Outcome.UNKNOWN}:
        limits.give_back(delivery)
    logger.info(
        "delivery %s attempt %d by %s: %s (%s), now %s",
        delivery.pk[:8],
        delivery.attempts,
        claim.gateway,
        answer.outcome,
        why(answer),
        state,
    )
    push(group(delivery.browser), CHANGED)


def reported(token: str, *, delivered: bool) -> State | None:
    """Take a provider's report of one attempt. Moves forward only; returns the new state, None when nothing moves."""
    attempt = Attempt.objects.select_related("delivery").get(pk=token)
    row = Delivery.objects.filter(pk=attempt.delivery_id)
    delivery = attempt.delivery
    if delivered:
        # On the handset: nothing is truer, whatever was believed before.
        moved = row.exclude(state=State.DELIVERED).update(state=State.DELIVERED, reason=Reason.NONE, delivered_at=Now())
        state = State.DELIVERED
    else:
        # Another attempt may have reached the handset; then this report decides nothing.
        others = delivery.tries.filter(outcome__in=[Outcome.ACCEPTED, Outcome.UNKNOWN]).exclude(pk=token)
        if others.exists():
            return None
        moved = row.filter(state__in=[State.SENT, State.UNKNOWN]).update(
            state=State.FAILED, reason=Reason.NUMBER, resend_at=Now()
        )
        state = State.FAILED
    if not moved:
        return None
    if state == State.FAILED:
        cooldown.give_back(delivery.mobile, delivery.pk)
    logger.info("delivery %s attempt %d by %s: reported %s", delivery.pk[:8], attempt.n, attempt.gateway, state)
    push(group(delivery.browser), CHANGED)
    return state


def _finish(delivery: Delivery, claim: Claim, answer: Answer) -> State:
    """Move the row on from `sending`, fenced by the lease, and return its state."""
    # As a rule.
    if answer.outcome == Outcome.ACCEPTED and _SENT.run(
        delivery_id=delivery.pk, token=claim.token, reason=answer.reason
    ):
        return State.SENT
    state, turn = _next_state(delivery, claim, answer)
    change: dict[str, object] = {"state": state, "reason": answer.reason}
    if state == State.SENT:
        change["sent_at"] = Now()
    if state == State.RETRYING:
        change["due_at"] = ahead(RETRY_DELAY)
    if turn:
        change["route"] = turn.place
    if turn and turn.at_once:
        # Another provider need not be waited for.
        change |= {"due_at": Now(), "reason": Reason.ROUTE}
    if state == State.FAILED and answer.reason != Reason.WAIT:
        change["resend_at"] = Now()
    if answer.outcome == Outcome.UNKNOWN and state == State.RETRYING and not _repeats_safely(claim):
        change["possibly_duplicated"] = True
    # Two players: the worker that comes back late, and the sweeper that has given its lease away. The token decides.
    row = Delivery.objects.filter(pk=delivery.pk)
    if row.filter(state=State.SENDING, lease_token=claim.token).update(**change):
        return state
    if answer.outcome == Outcome.ACCEPTED and not row.filter(state__in=UNSURE).update(state=State.SENT, sent_at=Now()):
        # Somebody else is sending it in this moment.
        row.filter(state=State.SENDING).update(possibly_duplicated=True)
    delivery.refresh_from_db(fields=["state"])
    return State(delivery.state)


def _next_state(delivery: Delivery, claim: Claim, answer: Answer) -> tuple[State, Turn | None]:
    """Decide what an answer means for the delivery, and whose turn the next attempt is, if that may be another's.

    The table is in docs/delivery.md.
    """
    if answer.outcome == Outcome.ACCEPTED:
        return State.SENT, None
    superseded = Delivery.objects.filter(pk=delivery.pk).exclude(superseded_at=None).exists()
    # Whatever this attempt says, an earlier one may be on somebody's phone.
    unsure = delivery.tries.filter(outcome=Outcome.UNKNOWN).exclude(pk=claim.token).exists()
    again = delivery.attempts < MAX_ATTEMPTS and not superseded
    if answer.outcome == Outcome.UNKNOWN:
        if again and (_repeats_safely(claim) or settings.SMS_AMBIGUOUS == "resend"):
            return State.RETRYING, None
        return State.UNKNOWN, None
    # The provider's fault and not the number's: another may do better, but never after a send that nobody is sure of.
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


def _repeats_safely(claim: Claim) -> bool:
    """Tell whether the provider itself knows a repeat by its reference."""
    return gateways.get(claim.gateway).idempotent


_GUESSED = PreparedUpdate(
    lambda delivery_id, most, life: (
        Delivery.objects.filter(
            pk=delivery_id, used_at=None, withdrawn_at=None, guesses__lt=most, created_at__gt=ago(life)
        ),
        {"guesses": F("guesses") + 1},
    )
)
_USED = PreparedUpdate(lambda delivery_id: (Delivery.objects.filter(pk=delivery_id), {"used_at": Now()}))


def count_guess(delivery: Delivery, *, most: int) -> int | None:
    """Count a guess at the code before it is compared, and return how many there were; None when none may follow.

    The row is locked until the transaction ends, so the next guess is counted after this one is decided.
    """
    if not _GUESSED.run(delivery_id=delivery.pk, most=most, life=code_life()):
        return None
    row = _ROW.first(delivery_id=delivery.pk)
    return None if row is None else row.guesses


def mark_used(delivery: Delivery) -> None:
    """Write that the code has signed somebody in. It is used up with the same commit."""
    _USED.run(delivery_id=delivery.pk)


_LATEST = Prepared(lambda browser: Delivery.objects.filter(browser=browser).annotate(now=Now()).order_by("-created_at"))


def move(before: str, after: str) -> None:
    """Show what a browser has under way to the same one under its new name, and to nobody under the old one."""
    Delivery.objects.filter(browser=before, used_at=None, created_at__gt=ago(HOUR)).update(browser=after)


def latest(browser: str) -> Delivery | None:
    """Return what this browser asked for last, with `now`, the database's time, beside it; None if nothing yet."""
    return _LATEST.first(browser=browser)
