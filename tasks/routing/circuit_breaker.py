"""A circuit breaker for each gateway: a provider that keeps failing is not asked for a while.

The state is in Redis, so that all workers share it. There are libraries for this, but they either hold a lock during
the call, and the worker's threads would wait for each other, or they keep the state in one process. While Redis is
away every circuit counts as closed.
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

# KEYS faults, open   ARGV FAULTS, FAULT_MEMORY_SECONDS, OPEN_SECONDS   Returns 1 if this fault has opened the circuit.
FAULT = """
local faults = redis.call('INCR', KEYS[1])
redis.call('EXPIRE', KEYS[1], ARGV[2])
if faults < tonumber(ARGV[1]) then return 0 end
return redis.call('SET', KEYS[2], faults, 'NX', 'EX', ARGV[3]) and 1 or 0
"""


@dataclass(frozen=True, slots=True)
class Circuit:
    """The state of one gateway's circuit."""

    gateway: str
    # Consecutive ones.
    faults: int
    # Seconds until the gateway is tried again; 0 while the circuit is closed.
    open_for: int


def is_open(gateway: str) -> bool:
    """Tell whether a gateway must not be asked now."""
    try:
        return bool(redis.client().exists(_open(gateway)))
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
        faults, left = pipe.execute()
    return Circuit(gateway, int(faults or 0), max(0, int(left)))


def _faults(gateway: str) -> str:
    return redis.key("circuit", gateway, "faults")


def _open(gateway: str) -> str:
    return redis.key("circuit", gateway, "open")


def _last(gateway: str) -> str:
    return redis.key("circuit", gateway, "last")
