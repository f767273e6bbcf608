"""`python -m bench.peers.race huey|celery ENQUEUED STARTED`: what a task costs who asks for it, and when it starts.

Prints JSON: the processor's microseconds of one enqueue, and the milliseconds from enqueue to start, the middle one.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial

# Seconds between two that are timed: the worker is idle when each comes.
PAUSE = 0.005


def main(name: str, enqueued: int, started: int) -> None:
    """Time both."""
    enqueue: Callable[[float], object]
    if name == "celery":
        from bench.peers.race_celery import arrive, client

        enqueue = arrive.delay
    else:
        from bench.peers.race_huey import arrive, client

        enqueue = arrive
    key = f"arrived:{name}"
    # The first one connects.
    enqueue(time.time())
    arrived = partial(client.blpop, [key], 30)
    arrived()
    for _ in range(started):
        enqueue(time.time())
        time.sleep(PAUSE)
    took = [float((arrived() or [])[1]) for _ in range(started)]
    began = time.process_time()
    for _ in range(enqueued):
        enqueue(0.0)
    cost = (time.process_time() - began) / enqueued
    for _ in range(enqueued):
        arrived()
    json.dump({"enqueue": cost * 1e6, "start": statistics.median(took) * 1e3}, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
