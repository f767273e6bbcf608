"""`python -m bench.pusher 3`: what a worker pays for a push, in a process of the site, in so many rounds. Prints JSON.

Beside it stands what Channels' documentation would have it do: `async_to_sync(layer.group_send)`.
"""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING

import django

if TYPE_CHECKING:
    from collections.abc import Callable

# Pushes in a round; the documented way takes thirty times as long, and a connection each.
OURS, THEIRS = 3000, 50


def main(rounds: int) -> None:
    """Measure both ways in turn, and what each opens."""
    django.setup()
    # These can be imported when Django stands.
    from asgiref.sync import async_to_sync
    from channels.layers import get_channel_layer

    from project import redis
    from project.live.push import push

    def ours() -> None:
        push("browser.bench", "delivery.changed")

    def theirs() -> None:
        async_to_sync(get_channel_layer().group_send)("browser.bench", {"type": "delivery.changed"})

    def measured(way: Callable[[], None], times: int) -> tuple[float, int]:
        way()
        before, began = connections(), time.perf_counter()
        for _ in range(times):
            way()
        return (time.perf_counter() - began) / times * 1e6, connections() - before

    def connections() -> int:
        return int(redis.client().info("stats")["total_connections_received"])

    found = [(*measured(ours, OURS), *measured(theirs, THEIRS)) for _ in range(rounds)]
    names = ("push, µs", "connections", "group_send, µs", "its connections")
    json.dump({name: [one[n] for one in found] for n, name in enumerate(names)}, sys.stdout)


if __name__ == "__main__":
    main(int(sys.argv[1]))
