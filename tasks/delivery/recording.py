"""The end of an attempt: the provider's answer, its delivery report, or a worker that never returned."""

from __future__ import annotations

import logging
import threading
import time

from django.db import Error as DatabaseError
from django.db import close_old_connections, transaction
from django.db.models.functions import Now

from project import database, outage
from project.live.push import push
from project.sql import Statement
from tasks import cooldown, gateways, limits
from tasks.clock import ahead
from tasks.delivery.claiming import LEASE, Claim
from tasks.delivery.events import CHANGED, group
from tasks.delivery.transitions import RETRY_DELAY, next_state, repeats_safely
from tasks.gateways import Answer, Outcome, Reason
from tasks.models import WAITING, Attempt, Delivery, Report, State
from tasks.routing import circuit_breaker

logger = logging.getLogger(__name__)

# How long after the claim writing an answer is retried. After that the sweeper may reclaim the lease.
WRITE_FOR_SECONDS = LEASE.total_seconds() - 2
WRITE_EVERY_SECONDS = 0.5
# Waited on instead of time.sleep, which fails where libfaketime sets the clock back.
_NEVER = threading.Event()

# The delivery is over, and no SMS has left.
UNSENT = (State.FAILED, State.SUPERSEDED)
# States that a worker that has lost its lease corrects when the provider did accept the SMS.
UNSURE = (*WAITING, State.UNKNOWN, State.EXPIRED, State.FAILED)


def record(claim: Claim, answer: Answer) -> State:
    """Record how an attempt ended, then notify the open pages. Return the new state of the delivery.

    While the database is away, writing is retried until the lease is nearly over: the provider answers only once, and
    without its answer the SMS would be sent again or end as unknown. Raises django.db.Error if the retries fail.
    """
    tries = 1
    while True:
        try:
            state = _record(claim, answer)
            break
        except DatabaseError as error:
            next_at = time.monotonic() - claim.claimed + WRITE_EVERY_SECONDS
            if not database.is_away(error) or next_at > WRITE_FOR_SECONDS:
                raise
            if tries == 1:
                words = "delivery %s: the provider's answer (%s) cannot be written yet (%s), trying again"
                logger.warning(words, claim.delivery.pk[:8], answer.outcome, outage.name(error))
            tries += 1
        _NEVER.wait(WRITE_EVERY_SECONDS)
        # Closes the connection that has failed.
        close_old_connections()
    if tries > 1:
        logger.info("delivery %s: the provider's answer is written after %d tries", claim.delivery.pk[:8], tries)
    _ended(claim, answer, state)
    # A report can overtake the answer to the send.
    if answer.provider_id:
        for report in REPORTS.objects(Report, gateway=claim.gateway, provider_id=answer.provider_id):
            reason = gateways.report_reason(claim.gateway, report.provider_code)
            code = report.provider_code
            state = reported(claim.token, delivered=report.delivered, reason=reason, code=code) or state
    return state


def _record(claim: Claim, answer: Answer) -> State:
    """Record how an attempt ended, in one transaction, and return the new state of the delivery."""
    with transaction.atomic():
        # Overwrites the "unknown" that the sweeper may have recorded when the lease ran out.
        CLOSE.run(token=claim.token, **_words(answer))
        return _finish(claim.delivery, claim, answer)


def give_up(claim: Claim) -> bool:
    """Close an attempt whose worker did not return as unknown. False if the worker has just recorded its end."""
    lost = Answer(Outcome.UNKNOWN, detail="the worker did not come back")
    with transaction.atomic():
        attempt = Attempt.objects.filter(pk=claim.token, outcome="")
        if not attempt.update(**_words(lost), ended_at=Now()):
            return False
        state = _finish(claim.delivery, claim, lost)
    _ended(claim, lost, state)
    return True


def _words(answer: Answer) -> dict[str, str]:
    """Return the columns of an attempt that hold an answer."""
    return {
        "outcome": answer.outcome,
        "provider_id": answer.provider_id[:64],
        "provider_code": answer.provider_code[:64],
        "detail": answer.detail[:200],
    }


def why(answer: Answer) -> str:
    """Return the reason of an answer for the log: the provider's code and its meaning. Never empty."""
    return ", ".join(filter(None, (answer.provider_code, answer.detail))) or "no detail"


CLOSE = Statement("""
    UPDATE tasks_attempt
    SET outcome = %(outcome)s, provider_id = %(provider_id)s, provider_code = %(provider_code)s, detail = %(detail)s,
        ended_at = {now}
    WHERE id = %(token)s
""")
# Two players: a worker that returns late, and the sweeper that has reclaimed its lease. The token decides.
SENT = Statement("""
    UPDATE tasks_delivery SET state = 'sent', reason = %(reason)s, sent_at = {now}
    WHERE id = %(id)s AND state = 'sending' AND lease_token = %(token)s
""")
REPORTS = Statement("SELECT * FROM tasks_report WHERE gateway = %(gateway)s AND provider_id = %(provider_id)s")


def _ended(claim: Claim, answer: Answer, state: State) -> None:
    """Follow up after the commit: release the cooldown and the limits where due, log, and notify the open pages."""
    delivery = claim.delivery
    if state == State.FAILED and answer.reason != Reason.WAIT:
        cooldown.release(delivery.mobile, delivery.pk)
    if state in UNSENT and answer.outcome not in {Outcome.ACCEPTED, Outcome.UNKNOWN}:
        limits.release(delivery)
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


def reported(token: str, *, delivered: bool, reason: Reason = Reason.NUMBER, code: str = "") -> State | None:
    """Log a provider's report of one attempt, count it for the gateway's circuit breaker, and apply it.

    `code` is the provider's own word for the outcome, and `reason` what it means if the attempt failed. Return the new
    state, or None if the report changes nothing.
    """
    attempt = Attempt.objects.select_related("delivery").get(pk=token)
    delivery = attempt.delivery
    if not delivery.decoy:
        circuit_breaker.note_report(attempt.gateway, token, delivered=delivered, reason=reason)
    state = _apply(attempt, delivered=delivered, reason=reason)
    said = State.DELIVERED if delivered else State.FAILED
    why = ", ".join(filter(None, (code, "" if delivered else reason))) or "no code"
    words = "delivery %s attempt %d by %s: reported %s (%s)%s"
    unchanged = "" if state else ", which changes nothing"
    logger.info(words, delivery.pk[:8], attempt.n, attempt.gateway, said, why, unchanged)
    if state:
        push(group(delivery.browser), CHANGED)
    return state


def _apply(attempt: Attempt, *, delivered: bool, reason: Reason) -> State | None:
    """Move a delivery on as a report of one of its attempts says. Return its new state, or None if it stays."""
    delivery = attempt.delivery
    row = Delivery.objects.filter(pk=delivery.pk)
    if delivered:
        # It is on the handset, so this overrides every earlier state.
        moved = row.exclude(state=State.DELIVERED).update(state=State.DELIVERED, reason=Reason.NONE, delivered_at=Now())
        return State.DELIVERED if moved else None
    # Another attempt may have reached the handset.
    if delivery.tries.filter(outcome__in=[Outcome.ACCEPTED, Outcome.UNKNOWN]).exclude(pk=attempt.pk).exists():
        return None
    sent = row.filter(state__in=[State.SENT, State.UNKNOWN])
    if not sent.update(state=State.FAILED, reason=reason, resend_at=Now()):
        return None
    cooldown.release(delivery.mobile, delivery.pk)
    return State.FAILED


def _finish(delivery: Delivery, claim: Claim, answer: Answer) -> State:
    """Move the row on from `sending`, fenced by the lease, and return its state."""
    # The usual case, without the queries below.
    if answer.outcome == Outcome.ACCEPTED and SENT.run(id=delivery.pk, token=claim.token, reason=answer.reason):
        return State.SENT
    state, turn = next_state(delivery, claim, answer)
    change: dict[str, object] = {"state": state, "reason": answer.reason}
    if state == State.SENT:
        change["sent_at"] = Now()
    if state == State.RETRYING:
        change["due_at"] = ahead(RETRY_DELAY)
    if turn:
        change["route"] = turn.place
    if turn and turn.at_once:
        # Another provider is tried at once.
        change |= {"due_at": Now(), "reason": Reason.ROUTE}
    if state == State.FAILED and answer.reason != Reason.WAIT:
        change["resend_at"] = Now()
    if answer.outcome == Outcome.UNKNOWN and state == State.RETRYING and not repeats_safely(claim):
        change["possibly_duplicated"] = True
    # Two players: a worker that returns late, and the sweeper that has reclaimed its lease. The token decides.
    row = Delivery.objects.filter(pk=delivery.pk)
    if row.filter(state=State.SENDING, lease_token=claim.token).update(**change):
        return state
    if answer.outcome == Outcome.ACCEPTED and not row.filter(state__in=UNSURE).update(state=State.SENT, sent_at=Now()):
        # Another worker is sending it at this moment.
        row.filter(state=State.SENDING).update(possibly_duplicated=True)
    delivery.refresh_from_db(fields=["state"])
    return State(delivery.state)
