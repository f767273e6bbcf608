"""Issuing a code: Redis decides, then the row is written that says that an SMS will be sent."""

from __future__ import annotations

import logging
import time

from django.conf import settings
from django.db import Error as DatabaseError

from accounts.codes.decision import Decision, Question
from accounts.codes.errors import LimitReached, TooFrequent, Unavailable
from accounts.throttling import failed_attempts, proof_of_work
from project import outage, redis
from tasks import cooldown
from tasks.delivery import accept
from tasks.models import Delivery, random_id
from tasks.sms import MET, send_sms_code

logger = logging.getLogger(__name__)

PURPOSES = ("login",)
# A cooldown must have its row after this long: the database's own time-out is five seconds.
ORPHANED_AFTER_SECONDS = 10


def issue(
    *, mobile: str, purpose: str, browser: str, address: str, language: str, proven: bool = False, own: bool = False
) -> Delivery:
    """Accept a request for a code and return its delivery, queued. The SMS is sent by a worker.

    `mobile` is E.164, `browser` and `address` are keyed hashes, `language` is the page's. `proven` says that a proof
    of work came with the request, `own` that this browser is a known device: it has signed in with this number before.

    Raises TooFrequent, LimitReached, proof_of_work.Needed, failed_attempts.Locked or Unavailable. After each of them
    no SMS will be sent.
    """
    delivery_id = random_id()
    question = Question(
        delivery_id, mobile=mobile, purpose=purpose, browser=browser, address=address, proven=proven, own=own
    )
    asked_at = time.monotonic()
    try:
        decision = question.ask()
        if _is_orphan(decision):
            cooldown.release(mobile, decision.holder)
            decision = question.ask()
        # Only for a request that would be accepted: a refused one costs the database nothing.
        locked = decision.answer == "ok" and failed_attempts.is_locked(mobile, own=own)
    except (redis.Unavailable, DatabaseError) as error:
        # Redis may have accepted the request although its answer was lost.
        question.take_back()
        logger.warning("code refused: %s", outage.name(error))
        raise Unavailable from error
    _raise_refusal(decision, question)
    if locked:
        question.take_back()
        logger.info("code refused: codes of this number are switched off")
        raise failed_attempts.Locked
    try:
        row = accept.accept(
            delivery_id,
            mobile=mobile,
            purpose=purpose,
            browser=browser,
            address=address,
            language=language,
            own=own,
        )
    except accept.TooSoon as wait:
        question.take_back()
        raise TooFrequent(wait.seconds) from wait
    except DatabaseError as error:
        question.take_back()
        logger.warning("code refused: %s", outage.name(error))
        raise Unavailable from error
    # A worker does not wait for the row longer than this. Then it has to be told a second time.
    if not question.enqueues or time.monotonic() - asked_at > MET:
        _enqueue(delivery_id)
    return row


def _raise_refusal(decision: Decision, question: Question) -> None:
    """Raise what Redis has refused the request for, if it has."""
    reached = "" if decision.limit is None else question.counters[decision.limit].name
    match decision.answer:
        case "cooldown":
            raise TooFrequent(decision.wait_ms / 1000)
        case "limit":
            logger.warning("code refused: a limit is reached: %s", reached)
            raise LimitReached(decision.wait_ms / 1000)
        case "proof":
            logger.info("code refused: a proof of humanity is needed")
            raise proof_of_work.Needed
    if reached:
        logger.warning("code would be refused: a limit is reached: %s", reached)


def _is_orphan(decision: Decision) -> bool:
    """Tell whether the cooldown that is running belongs to a request that came to nothing.

    A Redis that hung carries out what it was asked when it wakes up, long after the visitor was told that nothing was
    sent. Such a cooldown's holder has no row, although its web process has had time enough to write one.
    """
    if decision.answer != "cooldown":
        return False
    age_seconds = settings.SMS_COOLDOWN - decision.wait_ms / 1000
    try:
        return age_seconds > ORPHANED_AFTER_SECONDS and not Delivery.objects.filter(pk=decision.holder).exists()
    except DatabaseError:
        return False


def _enqueue(delivery_id: str) -> None:
    """Enqueue the task. If that fails nothing is lost: a sweeper enqueues every row that no worker has claimed."""
    try:
        send_sms_code(delivery_id)
    except Exception as error:  # noqa: BLE001  (a broker may raise what it likes; the request is accepted already)
        logger.warning("delivery %s is not enqueued yet: %s", delivery_id[:8], outage.name(error))
