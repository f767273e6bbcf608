"""The queues in RabbitMQ: one for the tasks and one for the dead messages, both replicated and on disk."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

# How often a message may come back because its worker died. After that it is dead and waits for an operator.
DELIVERY_LIMIT = 5
# Dead messages that are kept; the oldest make room. Each is a few hundred bytes.
MAX_DEAD_MESSAGES = 1000
# Milliseconds after which RabbitMQ removes a forgotten queue of the self-test.
SCRATCH_EXPIRES_MS = 60_000


def dead_queue(queue: str) -> str:
    return f"{queue}.dead"


def declare(channel: Any, queue: str, then: Callable[[], None], *, scratch: bool = False) -> None:
    """Declare the queue and its dead queue, then call `then`. A scratch queue expires and keeps no dead messages."""
    arguments: dict[str, Any] = {"x-queue-type": "quorum"}
    if scratch:
        arguments["x-expires"] = SCRATCH_EXPIRES_MS
    else:
        dead = dead_queue(queue)
        # RabbitMQ answers in order: the answer to the second declaration covers both.
        channel.queue_declare(
            dead, durable=True, arguments=arguments | {"x-max-length": MAX_DEAD_MESSAGES}, callback=_ignore
        )
        arguments |= {
            "x-delivery-limit": DELIVERY_LIMIT,
            "x-dead-letter-exchange": "",
            "x-dead-letter-routing-key": dead,
        }
    channel.queue_declare(queue, durable=True, arguments=arguments, callback=lambda _frame: then())


def _ignore(_frame: Any) -> None:
    """Take an answer that says nothing."""
