"""`python -m bench.countdowns 8000 3 4`: so many countdowns in this process, in so many rounds of so many seconds.

They are pages' own, with the words that a page is told, but what is told goes nowhere. As Python's collector comes out
of the box, and as `asgi.py` sets it, in turn. Prints the p99 of each round as JSON: how late a second was, in ms.
"""

from __future__ import annotations

import asyncio
import gc
import json
import random
import statistics
import sys
from typing import Any

import django


async def lag(number: int, seconds: int) -> float:
    """Return the p99 of all countdowns of one round, in ms."""
    # These can be imported when Django stands.
    from accounts.consumers import PageConsumer
    from accounts.live.countdown import Countdown

    loop = asyncio.get_running_loop()
    lags: list[float] = []

    async def nowhere(_message: dict[str, Any]) -> None:
        pass

    class Clock:
        """One page's countdown."""

        def __init__(self) -> None:
            self.page = PageConsumer()
            self.page.language = "en"
            self.page.base_send = nowhere
            self.countdown = Countdown(self.tick)
            # Each in its own moment of the second, as people come.
            wait = seconds + 1 + random.random()
            self.end = loop.time() + wait
            self.countdown.start(wait)

        async def tick(self, left: int) -> None:
            await self.page.tick(left)
            lags.append(loop.time() - (self.end - left))

    clocks = [Clock() for _ in range(number)]
    await asyncio.sleep(seconds + 2.5)
    if len(lags) < number * seconds:
        raise SystemExit(f"{len(lags)} seconds were shown, of {number} countdowns")
    del clocks
    return statistics.quantiles(lags, n=100)[98] * 1e3


def main(number: int, rounds: int, seconds: int) -> None:
    """Measure in turn."""
    django.setup()
    from project.server import process

    process.tune_collector()

    tuned = gc.get_threshold()
    found: dict[str, list[float]] = {"tuned": [], "out of the box": []}
    for _ in range(rounds):
        for name, threshold in (("tuned", tuned), ("out of the box", (700, 10, 10))):
            gc.set_threshold(*threshold)
            found[name].append(asyncio.run(lag(number, seconds)))
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main(*(int(word) for word in sys.argv[1:]))
