"""May this request have a code? Redis decides, and writes what follows from it, in one transaction and one round trip.

The transaction is MULTI, two short scripts, EXEC: `issue.lua` decides and counts, `announce.lua` enqueues the task
and tells the open pages if the request was accepted. Scripts, because what is written hangs on what was read: MULTI
alone runs every command, whatever the one before it has found. They are sent whole (EVAL): a Redis that was restarted
or has lost its scripts in a failover needs nothing loaded.
"""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import NamedTuple

from django.conf import settings

from project import outage, redis
from project.live.push import published
from tasks import cooldown, delivery, limits
from tasks.sms import send_sms_code

logger = logging.getLogger(__name__)

ISSUE, ANNOUNCE = (Path(__file__).with_name(name).read_text() for name in ("issue.lua", "announce.lua"))


class Decision(NamedTuple):
    """What Redis has answered."""

    # ok, cooldown, limit, proof, or uncounted: Redis was emptied and does not know the limits.
    answer: str
    wait_ms: int = 0
    # Of a cooldown: the id of the delivery that started it.
    holder: str = ""
    # Which counter has reached its limit. With SMS_LIMITS_RECORD_ONLY the answer is `ok` all the same.
    limit: int | None = None


class Question:
    """One request, as Redis is asked about it. Asked again with the same id, it gives the same answer."""

    def __init__(
        self, delivery_id: str, *, mobile: str, purpose: str, browser: str, address: str, proven: bool, own: bool
    ) -> None:
        """Prepare the transaction."""
        self.delivery_id, self.mobile = delivery_id, mobile
        self.counters = limits.counters(mobile=mobile, address=address, browser=browser, own=own)
        self._challenge = challenge_key(purpose, browser)
        self._request = json.dumps(
            {
                "id": delivery_id,
                "cooldown_ms": settings.SMS_COOLDOWN * 1000,
                "code_ms": settings.SMS_CODE_TTL * 1000,
                "record_only": settings.SMS_LIMITS_RECORD_ONLY,
                "proof_near_limit": settings.ALTCHA != "off" and not proven,
                "counters": [
                    {
                        "most": counter.most,
                        "window_ms": counter.life_seconds * 1000,
                        "near": 0 if settings.ALTCHA == "always" else counter.near,
                    }
                    for counter in self.counters
                ],
            }
        )
        # The queue's list and the task's entry; nothing when the queue is in RabbitMQ.
        self._enqueue: tuple[str, bytes] | None = settings.HUEY.queue_entry(send_sms_code.s(delivery_id))
        self._channel, self._message = published(delivery.group(browser), delivery.ACCEPTED)

    @property
    def enqueues(self) -> bool:
        """Whether an accepted request has its task enqueued with it. Otherwise that is done afterwards."""
        return self._enqueue is not None

    def ask(self) -> Decision:
        """Return the decision. Raises redis.Unavailable."""
        try:
            decision = self._ask()
        except redis.Lost:
            # The request may have been accepted although the answer was lost.
            decision = self._ask()
        if decision.answer == "uncounted":
            limits.count_anew(redis.client())
            decision = self._ask()
        if decision.answer == "uncounted":
            raise redis.Unavailable("the counters do not stay")
        return decision

    def take_back(self) -> None:
        """End the cooldown and count the request no more, if it was accepted: no SMS will be sent. Never raises."""
        try:
            with redis.client().pipeline(transaction=True) as pipe:
                pipe.eval(redis.DELETE_IF, 1, cooldown.key(self.mobile), self.delivery_id)
                for counter in self.counters:
                    pipe.zrem(counter.key, self.delivery_id)
                pipe.execute()
        except redis.Unavailable as error:
            logger.warning("delivery %s still counts: %s", self.delivery_id[:8], outage.name(error))

    def _ask(self) -> Decision:
        keys = [cooldown.key(self.mobile), self._challenge, limits.WARM, *(counter.key for counter in self.counters)]
        names: list[str] = [self._challenge]
        values: list[str | bytes] = [self.delivery_id, self._channel, self._message]
        if self._enqueue is not None:
            queue, entry = self._enqueue
            names.append(queue)
            values.append(entry)
        with redis.client().pipeline(transaction=True) as pipe:
            pipe.eval(ISSUE, len(keys), *keys, self._request)
            pipe.eval(ANNOUNCE, len(names), *names, *values)
            said, _announced = pipe.execute()
        return Decision(**json.loads(said))


def challenge_key(purpose: str, browser: str) -> str:
    """Return the key of a browser's open challenge. It is not found for another purpose or browser."""
    return redis.key("challenge", purpose, browser)
