"""A circuit breaker for each gateway: a provider that keeps failing is not asked for a while.

The state is in Redis, so that all workers share it. There are libraries for this, but they either hold a lock during
the call, and the worker's threads would wait for each other, or they keep the state in one process. While Redis is
away every circuit counts as closed.

A provider can also accept every message and report later that it sent none, because our sender is not registered.
Each accepted send would clear such faults, so the reports have a count of their own.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import cast

from project import outage, redis
from tasks.gateways import Answer, Outcome, Reason

logger = logging.getLogger(__name__)

# So many consecutive faults open the circuit, each at most so long after the one before.
FAULTS = 5
FAULT_MEMORY_SECONDS = 120
# Then one more fault opens it again, and one success closes it.
OPEN_SECONDS = 30
# So many reports of failures that only the operator can mend, with no message reported delivered between them, open the
# circuit as well. Reports come minutes late, and every send between two of them is lost, so all of this takes longer.
REPORTS = 5
REPORT_MEMORY_SECONDS = 60 * 60
REPORT_OPEN_SECONDS = 5 * 60

# KEYS faults, open   ARGV FAULTS, FAULT_MEMORY_SECONDS, OPEN_SECONDS   Returns 1 if this fault has opened the circuit.
FAULT = """
local faults = redis.call('INCR', KEYS[1])
redis.call('EXPIRE', KEYS[1], ARGV[2])
if faults < tonumber(ARGV[1]) then return 0 end
return redis.call('SET', KEYS[2], faults, 'NX', 'EX', ARGV[3]) and 1 or 0
"""

# KEYS reports, reported_open   ARGV attempt, REPORTS, REPORT_MEMORY_SECONDS, REPORT_OPEN_SECONDS
# Returns 1 if this report has opened the circuit. The same report again changes nothing.
REPORT = """
local now = tonumber(redis.call('TIME')[1])
if redis.call('ZADD', KEYS[1], 'NX', now, ARGV[1]) == 0 then return 0 end
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - tonumber(ARGV[3]))
redis.call('EXPIRE', KEYS[1], ARGV[3])
if redis.call('ZCARD', KEYS[1]) < tonumber(ARGV[2]) then return 0 end
return redis.call('SET', KEYS[2], 1, 'NX', 'EX', ARGV[4]) and 1 or 0
"""


@dataclass(frozen=True, slots=True)
class Circuit:
    """The state of one gateway's circuit."""

    gateway: str
    # Consecutive ones.
    faults: int
    # Failures that only the operator can mend, reported since a message was last delivered.
    reports: int
    # Seconds until the gateway is tried again; 0 while the circuit is closed.
    open_for: int


def is_open(gateway: str) -> bool:
    """Tell whether a gateway must not be asked now."""
    try:
        return bool(redis.client().exists(_open(gateway), _reported_open(gateway)))
    except redis.Unavailable:
        return False


def note(gateway: str, answer: Answer) -> None:
    """Count an answer for or against its gateway. Never raises."""
    try:
        if not is_fault(answer):
            redis.client().delete(_faults(gateway), _open(gateway), _last(gateway))
            return
        redis.client().set(_last(gateway), f"{answer.outcome}:{answer.reason}", ex=FAULT_MEMORY_SECONDS)
        if redis.client().eval(FAULT, 2, _faults(gateway), _open(gateway), FAULTS, FAULT_MEMORY_SECONDS, OPEN_SECONDS):
            logger.error("gateway %s failed %d times in a row and rests for %d s", gateway, FAULTS, OPEN_SECONDS)
    except redis.Unavailable as error:
        logger.warning("an answer of gateway %s was not counted: %s", gateway, outage.name(error))


def note_report(gateway: str, attempt: str, *, delivered: bool, reason: Reason) -> None:
    """Count a delivery report for or against its gateway. `attempt` is the id of the attempt. Never raises.

    Only a reason for the operator counts: a report has no reason where a handset is off or a carrier is busy.
    """
    keys = (_reports(gateway), _reported_open(gateway))
    try:
        if delivered:
            redis.client().delete(*keys)
            return
        if reason != Reason.OPERATOR:
            return
        if redis.client().eval(REPORT, 2, *keys, attempt, REPORTS, REPORT_MEMORY_SECONDS, REPORT_OPEN_SECONDS):
            words = "gateway %s reported %d failures in a row that the operator must mend, and rests for %d s"
            logger.error(words, gateway, REPORTS, REPORT_OPEN_SECONDS)
    except redis.Unavailable as error:
        logger.warning("a report of gateway %s was not counted: %s", gateway, outage.name(error))


def is_fault(answer: Answer) -> bool:
    """Tell whether an answer is the provider's fault. A provider that refuses a number works as it should."""
    if answer.outcome == Outcome.ACCEPTED:
        return False
    return answer.reason in {Reason.NONE, Reason.OPERATOR}


def last_fault(gateway: str) -> Answer | None:
    """Return outcome and reason of the gateway's last send, None unless it was a recent fault."""
    try:
        found = cast("bytes | None", redis.client().get(_last(gateway)))
    except redis.Unavailable:
        return None
    if found is None:
        return None
    outcome, _colon, reason = found.decode().partition(":")
    return Answer(Outcome(outcome), Reason(reason))


def look(gateway: str) -> Circuit:
    """Return the circuit's state, for an operator. Raises redis.Unavailable."""
    with redis.client().pipeline(transaction=False) as pipe:
        pipe.get(_faults(gateway))
        pipe.ttl(_open(gateway))
        pipe.zcard(_reports(gateway))
        pipe.ttl(_reported_open(gateway))
        faults, left, reports, reported_left = pipe.execute()
    return Circuit(gateway, int(faults or 0), int(reports), max(0, int(left), int(reported_left)))


def _faults(gateway: str) -> str:
    return redis.key("circuit", gateway, "faults")


def _open(gateway: str) -> str:
    return redis.key("circuit", gateway, "open")


def _last(gateway: str) -> str:
    return redis.key("circuit", gateway, "last")


def _reports(gateway: str) -> str:
    return redis.key("circuit", gateway, "reports")


def _reported_open(gateway: str) -> str:
    return redis.key("circuit", gateway, "reported_open")
