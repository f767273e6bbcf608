"""A circuit breaker for each gateway: a provider that keeps failing is left alone for a while.

The state is in Redis, so every worker knows what one has learned. Written here, because the libraries for it either
hold a lock for as long as a call takes, which would make the worker's threads wait for each other, or keep the state
in one process. Redis away means closed: then every gateway is simply tried.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import cast

from project import redis
from tasks.gateways import Answer, Outcome, Reason

logger = logging.getLogger(__name__)

# Faults in a row that open the circuit, and the seconds in which they count as a row.
FAULTS = 5
ROW = 120
# Seconds that it stays open. Then one more fault opens it again, and one success closes it.
OPEN = 30

# KEYS faults, open   ARGV faults to open, life of a row, seconds open   Answers 1 when this fault has opened it.
FAULT = """
local faults = redis.call('INCR', KEYS[1])
redis.call('EXPIRE', KEYS[1], ARGV[2])
if faults < tonumber(ARGV[1]) then return 0 end
return redis.call('SET', KEYS[2], faults, 'NX', 'EX', ARGV[3]) and 1 or 0
"""


@dataclass(frozen=True, slots=True)
class Circuit:
    """What is known of one gateway."""

    gateway: str
    # Faults in a row.
    faults: int
    # Seconds until it is tried again; 0 when the circuit is closed.
    open_for: int


def is_open(gateway: str) -> bool:
    """Tell whether a gateway is to be left alone now."""
    try:
        return bool(redis.client().exists(_open(gateway)))
    except redis.Unavailable:
        return False


def note(gateway: str, answer: Answer) -> None:
    """Learn from an answer. Never raises."""
    try:
        if not is_fault(answer):
            redis.client().delete(_faults(gateway), _open(gateway), _last(gateway))
            return
        redis.client().set(_last(gateway), f"{answer.outcome}:{answer.reason}", ex=ROW)
        if redis.client().eval(FAULT, 2, _faults(gateway), _open(gateway), FAULTS, ROW, OPEN):
            logger.error("gateway %s failed %d times in a row and rests for %d s", gateway, FAULTS, OPEN)
    except redis.Unavailable as error:
        logger.warning("the circuit of %s did not learn: %s", gateway, type(error).__name__)


def is_fault(answer: Answer) -> bool:
    """Tell whether an answer speaks against the provider. A refused number is the provider at work."""
    if answer.outcome == Outcome.ACCEPTED:
        return False
    return answer.reason in {Reason.NONE, Reason.OPERATOR}


def last_fault(gateway: str) -> Answer | None:
    """Return outcome and reason of the gateway's last real send, if that was a fault and lately, else None."""
    try:
        found = cast("bytes | None", redis.client().get(_last(gateway)))
    except redis.Unavailable:
        return None
    if found is None:
        return None
    outcome, _colon, reason = found.decode().partition(":")
    return Answer(Outcome(outcome), Reason(reason))


def look(gateway: str) -> Circuit:
    """Return the state for an operator. Raises redis.Unavailable."""
    with redis.client().pipeline(transaction=False) as pipe:
        pipe.get(_faults(gateway))
        pipe.ttl(_open(gateway))
        faults, left = pipe.execute()
    return Circuit(gateway, int(faults or 0), max(0, int(left)))


def _faults(gateway: str) -> str:
    return f"circuit:{gateway}:faults"


def _open(gateway: str) -> str:
    return f"circuit:{gateway}:open"


def _last(gateway: str) -> str:
    return f"circuit:{gateway}:last"
