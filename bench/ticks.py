"""Countdowns: how late a second is shown when thousands of pages count, each in its own moment of the second."""

from __future__ import annotations

import asyncio
import json
import math
import re
import statistics
import subprocess
import sys
import time
from typing import TYPE_CHECKING

from channels_redis.pubsub import RedisPubSubChannelLayer
from redis.asyncio import Redis

from bench import crowd, pages
from bench.figures import Figure
from bench.visitors import invite
from tests.support.stack import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from bench.figures import Pace
    from bench.sites import Sites
    from bench.visitors import Visitor

MANY = 8000
# In a quick run: the handshakes take longer than the measurement.
FEWER = 2000
# Countdowns that are begun in a second: each reads its row first, and what is asked for here is how they run.
PACE = 250
SECONDS = re.compile(r'id="countdown"[^>]* data-seconds="(\d+)"')


class Ticks:
    """Countdowns of many pages."""

    def __init__(self, sites: Sites, pace: Pace) -> None:
        """Take what runs."""
        self.sites, self.pace = sites, pace

    def measures(self) -> Sequence[Callable[[], list[Figure]]]:
        """Return everything, in order."""
        return (self.clock, self.shown)

    def clock(self) -> list[Figure]:
        """8,000 countdowns in one process, without sockets: the clock and the words."""
        command = [sys.executable, "-m", "bench.countdowns", str(MANY), str(self.pace.rounds), str(self.pace.seconds)]
        done = subprocess.run(
            command, cwd=ROOT, env=self.sites.latchkey.stack.environment, capture_output=True, text=True, check=True
        )
        found = json.loads(done.stdout)
        return [
            Figure("8,000 countdowns in one process, lag of a second, p99", 25, "at most", found["tuned"], " ms", found)
        ]

    def shown(self) -> list[Figure]:
        """The same on open pages of one daphne, from its clock to the browser."""
        number = crowd.room(MANY if self.pace.seconds > 2 else FEWER)
        visitors = invite(self.sites.latchkey.stack, number)
        [start] = pages.servers(self.sites, pages.LATCHKEY).values()
        with start() as server:
            found = asyncio.run(self._watch(server, visitors))
        if fewer := [len(each) for each in found if len(each) < number // 2]:
            raise crowd.Refused(f"of {number} countdowns some seconds were shown {min(fewer)} times only")
        cuts = [statistics.quantiles(each, n=100) for each in found]
        return [
            Figure(f"{number:,} countdowns on open pages of one daphne, lag of a second, p99", 25, "at most",
                   [cut[98] * 1e3 for cut in cuts], " ms", {"p50": [cut[49] * 1e3 for cut in cuts]}),
        ]  # fmt: skip

    async def _watch(self, server: pages.Server, visitors: list[Visitor]) -> list[list[float]]:
        """Return the lag of each second that was shown, second by second.

        Nobody but the server knows when a countdown's second is over. But it counts in whole seconds from one moment,
        so the page that was shown its seconds soonest after that tells it; what comes later in another second is lag.
        """
        came: dict[int, list[tuple[float, int]]] = {}
        # Whole seconds, so that they are spread evenly over each.
        begin = math.ceil(len(visitors) / PACE)

        def heard(page: crowd.Page, text: str) -> None:
            if found := SECONDS.search(text):
                came.setdefault(page.n, []).append((time.perf_counter(), int(found[1])))

        everyone = await crowd.enter(server.url, [visitor.cookie for visitor in visitors], heard)
        watched = 2 * self.pace.seconds
        layer = RedisPubSubChannelLayer()
        async with Redis.from_url(self.sites.redis(0)) as redis:
            began = time.perf_counter()
            for n, visitor in enumerate(visitors):
                # Evenly over the seconds, which is over each second.
                await asyncio.sleep(max(0.0, began + n * begin / len(visitors) - time.perf_counter()))
                event = {"type": "wait.changed", "group": visitor.group, "seconds": begin + watched + 5}
                await redis.publish(f"latchkey__group__{visitor.group}", layer.serialize(event))
        await asyncio.sleep(max(0.0, began + begin + 1 - time.perf_counter()))
        start = time.perf_counter()
        await asyncio.sleep(watched)
        if gone := sum(page.closed for page in everyone):
            raise crowd.Refused(f"{gone} pages were closed meanwhile")
        for page in everyone:
            page.leave()
        return lags(came.values(), start, watched)


def lags(came: Iterable[list[tuple[float, int]]], start: float, seconds: int) -> list[list[float]]:
    """Return for each second from a moment on how late what was shown in it came, over all pages.

    A page's times, each with the number that was shown, are on one line. The soonest shows where it runs.
    """
    found: list[list[float]] = [[] for _ in range(seconds)]
    for times in came:
        # A look may say a number again, in the middle of its second.
        firsts = {number: at for at, number in reversed(times)}
        shown = [(at, at + number) for number, at in firsts.items() if at >= start]
        if not shown:
            continue
        ends = min(end for _, end in shown)
        for at, end in shown:
            if (n := int(at - start)) < seconds:
                found[n].append(end - ends)
    return found
