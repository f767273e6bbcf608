"""Pushes: what one costs the worker, how soon it is on one of a thousand open pages, and whether any is lost.

A push says only that something has changed, and the page reads its row. So here each row is changed first, and the time
runs from the PUBLISH to the frame that shows the new value: the read and the rendering are in it, while Channels' pages
beside it pass on the event's text and read nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import sqlite3
import statistics
import subprocess
import sys
import time
from typing import TYPE_CHECKING, NamedTuple

from channels_redis.core import RedisChannelLayer
from channels_redis.pubsub import RedisPubSubChannelLayer
from redis.asyncio import Redis

from bench import crowd, pages
from bench.figures import Figure
from bench.visitors import invite
from tests.support.stack import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bench.figures import Pace
    from bench.sites import Sites
    from bench.visitors import Visitor

PAGES = 1000
A_SECOND = 200
# At full speed: to each page so many.
EACH = 5
# As many as a delivery can have.
ATTEMPTS = 4
# With a flood in each, they tell enough.
MOST_ROUNDS = 3
# Seconds in which a push at a steady pace must have come.
PATIENCE = 5.0
# Seconds without any after which nothing more will come. A page's own look comes no sooner than after six.
SILENCE = 2.5
# The page's own, and what `bench.peers.sockets_asgi` gets without a prefix of its own.
PREFIX = "latchkey__group__"


class Push(NamedTuple):
    """One push that is under way."""

    words: str
    began: float


class Pushes:
    """Pushes to open pages."""

    def __init__(self, sites: Sites, pace: Pace) -> None:
        """Take what runs."""
        self.sites, self.pace = sites, pace

    def measures(self) -> Sequence[Callable[[], list[Figure]]]:
        """Return everything, in order."""
        return (self.cost, self.arrival)

    def cost(self) -> list[Figure]:
        """What a push costs the worker, and how many connections to Redis it opens."""
        done = subprocess.run(
            [sys.executable, "-m", "bench.pusher", str(self.pace.rounds)],
            cwd=ROOT, env=self.sites.latchkey.stack.environment, capture_output=True, text=True, check=True,
        )  # fmt: skip
        found = json.loads(done.stdout)
        return [
            Figure("a push, for the worker", 60, "at most", found["push, µs"], " µs", found),
            Figure("connections to Redis that 3,000 pushes open", 0, "at most", found["connections"], ""),
        ]

    def arrival(self) -> list[Figure]:
        """Pushes to 1,000 open pages: 200 a second, then 5,000 at once."""
        visitors = invite(self.sites.latchkey.stack, crowd.room(PAGES))
        servers = pages.servers(self.sites, pages.LATCHKEY, pages.PUBSUB, pages.CORE)
        with contextlib.ExitStack() as ends:
            running = [ends.enter_context(start()) for start in servers.values()]
            found = asyncio.run(self._rounds(running, visitors))
        ours = found[pages.LATCHKEY]
        lost = "pages that show an old row after 5,000 pushes at full speed"
        return [
            Figure("PUBLISH to frame, one of 1,000 pages at 200 a second, p50", 1.5, "at most",
                   [one["p50"] for one in ours], " ms", {"all": found}),
            Figure("the same, p99", 10, "at most", [one["p99"] for one in ours], " ms"),
            Figure(lost, 0, "at most", [one["lost"] for one in ours], ""),
        ]  # fmt: skip

    async def _rounds(self, servers: list[pages.Server], visitors: list[Visitor]) -> dict[str, list[dict[str, float]]]:
        found: dict[str, list[dict[str, float]]] = {server.name: [] for server in servers}
        path = self.sites.latchkey.stack.folder / "latchkey.sqlite3"
        async with contextlib.AsyncExitStack() as ends:
            rows = ends.enter_context(contextlib.closing(sqlite3.connect(path, timeout=30, isolation_level=None)))
            # These writes are ours to lose: what is measured begins after them.
            rows.execute("PRAGMA synchronous=OFF")
            redis = await ends.enter_async_context(Redis.from_url(self.sites.redis(0)))
            pubsub = RedisPubSubChannelLayer(hosts=[self.sites.redis(4)])
            core = RedisChannelLayer(hosts=[self.sites.redis(4)])
            ends.push_async_callback(pubsub.flush)
            ends.push_async_callback(core.close_pools)
            halls = {
                pages.LATCHKEY: Latchkey(visitors, rows, redis),
                pages.PUBSUB: Peer(visitors, pubsub),
                pages.CORE: Peer(visitors, core),
            }
            for server in servers:
                await halls[server.name].fill(server)
            for n in range(-1, min(self.pace.rounds, MOST_ROUNDS)):
                for server in servers if n % 2 else reversed(servers):
                    hall = halls[server.name]
                    times, late = await hall.calmly(A_SECOND * (self.pace.seconds if n >= 0 else 1))
                    if n >= 0:
                        cuts = statistics.quantiles(times, n=100)
                        lost = late + await hall.flood()
                        found[server.name].append({"p50": cuts[49] * 1e3, "p99": cuts[98] * 1e3, "lost": lost})
                    if gone := sum(page.closed for page in hall.pages):
                        raise crowd.Refused(f"{server.name}: {gone} pages were closed meanwhile")
            for hall in halls.values():
                for page in hall.pages:
                    page.leave()
        return found


class Peer:
    """A server's open pages, and pushes to them. This one's are Channels', which show the text of the event."""

    def __init__(self, visitors: list[Visitor], layer: RedisChannelLayer | RedisPubSubChannelLayer) -> None:
        """Take whose pages they are, and how to push."""
        self.visitors, self.layer = visitors, layer
        self.pages: list[crowd.Page] = []
        self.under_way: dict[int, Push] = {}
        self.times: list[float] = []
        # The last words on each page.
        self.shown: dict[int, str] = {}
        self.heard_of = 0
        self.turn = 0

    async def fill(self, server: pages.Server) -> None:
        """Open a page for each visitor."""
        cookies = [visitor.cookie for visitor in self.visitors]
        self.pages = await crowd.enter(server.url, cookies, self.heard)

    def heard(self, page: crowd.Page, text: str) -> None:
        """Note when a push has come."""
        self.shown[page.n] = text
        self.heard_of += 1
        push = self.under_way.get(page.n)
        if push and push.words in text:
            self.times.append(time.perf_counter() - push.began)
            del self.under_way[page.n]

    async def calmly(self, number: int) -> tuple[list[float], int]:
        """Push to one page after the other at a steady pace. Returns how long each was under way, and how many are."""
        self.times = []
        began = time.perf_counter()
        for n, at in enumerate(random.choices(range(len(self.pages)), k=number)):
            await asyncio.sleep(max(0.0, began + n / A_SECOND - time.perf_counter()))
            # One that is on its way is let arrive.
            if at not in self.under_way:
                words = self.change([at])[at]
                self.under_way[at] = Push(words, time.perf_counter())
                await self.push(at, words)
        await crowd.until(lambda: not self.under_way, PATIENCE)
        late, self.under_way = len(self.under_way), {}
        return self.times, late

    async def flood(self) -> int:
        """Push to every page, again and again, as fast as it goes, and return how many do not show the last one."""
        everybody = range(len(self.pages))
        words: dict[int, str] = {}
        for _ in range(EACH):
            words = self.change(everybody)
            for at in everybody:
                await self.push(at, words[at])

        def wrong() -> int:
            return sum(what not in self.shown.get(at, "") for at, what in words.items())

        # As long as anything comes, it is not lost but late.
        while wrong():
            before = self.heard_of
            await asyncio.sleep(SILENCE)
            if self.heard_of == before:
                break
        return wrong()

    def change(self, whose: Sequence[int]) -> dict[int, str]:
        """Change what there is to show on some pages, and return by what it is known on each."""
        self.turn += 1
        return dict.fromkeys(whose, f"<{self.turn}>")

    async def push(self, at: int, words: str) -> None:
        """Push to a page."""
        await self.layer.group_send(self.visitors[at].group, {"type": "delivery.changed", "text": words})


class Latchkey(Peer):
    """Latchkey's pages, which read their rows. What is pushed to them is what `project.live.push` publishes."""

    def __init__(self, visitors: list[Visitor], rows: sqlite3.Connection, redis: Redis) -> None:
        """Take whose pages they are, the database, and how to publish."""
        # What `project.live.push.published` says; a test holds that it is the same.
        super().__init__(visitors, RedisPubSubChannelLayer())
        self.rows, self.redis = rows, redis
        # What stands in each row.
        self.attempts: dict[int, int] = {}

    def change(self, whose: Sequence[int]) -> dict[int, str]:
        """Count another attempt, as many as there can be: the page names it."""
        for at in whose:
            self.attempts[at] = self.attempts.get(at, 1) % ATTEMPTS + 1
        turns = [(self.attempts[at], self.visitors[at].browser) for at in whose]
        self.rows.execute("BEGIN IMMEDIATE")
        self.rows.executemany("UPDATE tasks_delivery SET attempts = ? WHERE browser = ?", turns)
        self.rows.execute("COMMIT")
        return {at: f'data-attempt="{self.attempts[at]}"' for at in whose}

    async def push(self, at: int, words: str) -> None:
        """Publish as the worker does."""
        await self.redis.publish(*published(self.layer, self.visitors[at].group))


def published(layer: RedisPubSubChannelLayer, group: str) -> tuple[str, bytes]:
    """Return the channel and the message of a push."""
    message: bytes = layer.serialize({"type": "delivery.changed"})
    return PREFIX + group, message
