"""Makes the site's one Huey instance."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from huey import Huey

from project.broker import graceful, serializer
from project.redis_connections import KEEPALIVE, Pool

if TYPE_CHECKING:
    from collections.abc import Sequence


def queue(name: str, *, redis_url: str, broker_url: str, secrets: Sequence[str]) -> Huey:
    """Return the queue in Redis, or in RabbitMQ if there is an address of one.

    The first of `secrets` signs messages; the others are former keys that are still accepted.

    An instance and not a dict, for Huey's `immediate` follows DEBUG in a dict: nothing would be asynchronous.
    """
    options: dict[str, Any] = {
        "immediate": False,
        "results": False,
        # Pickle as it is would let whoever can write to the queue run code in the worker.
        "serializer": serializer.Signed(secrets[0], "latchkey.queue", former=secrets[1:]),
        # The worker's blocking read takes one second, so this time-out must be longer. A worker whose connection is
        # dead takes no task before it has passed.
        "connection_pool": Pool.from_url(
            redis_url, socket_timeout=3, socket_connect_timeout=1, max_connections=200, retry=None, **KEEPALIVE
        ),
    }
    if not broker_url:
        return graceful.Graceful(name, **options)
    # Imported here: without RabbitMQ no start waits for its client.
    from project.broker import rabbit_huey
    from project.broker.address import Address

    return rabbit_huey.RabbitHuey(name, address=Address.parse(broker_url), **options)
