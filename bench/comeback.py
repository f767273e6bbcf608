"""A crowd comes back: its server is killed and started again, and every open page asks for its socket at once.

Each page does what static/latchkey.js does: it comes again after pauses that grow, and polls meanwhile. Somebody else
asks for a code every second.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import random
import statistics
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import httpx

from bench import crowd, pages
from bench import sites as all_sites
from bench.figures import HTMX, Figure
from bench.visitors import invite
from tests.support.numbers import number

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bench.figures import Pace
    from bench.sites import Sites
    from bench.visitors import Visitor

# Pages, and seconds in which all of them shall be live again.
CROWDS = {2000: 15, 8000: 60}
# In seconds, as static/latchkey.js has them.
RECONNECT_MOST, POLL, POLL_MOST = 8.0, 4.0, 20.0
# How long a crowd is waited for.
PATIENCE = 300
dice = random.Random(63)


def spread(seconds: float) -> float:
    """Return a pause of about so many seconds."""
    return seconds * dice.uniform(0.75, 1.25)


@dataclass
class Return:
    """What was seen while a crowd came back. Moments are seconds after the kill."""

    listening: float = 0.0
    # Seconds of processor time that the new server has taken by then.
    processor: float = 0.0
    live: list[float] = field(default_factory=list)
    refused: int = 0
    polls: dict[int, int] = field(default_factory=dict)
    # Of each request for a code since the server listens: its status and how long it took.
    codes: list[tuple[int, float]] = field(default_factory=list)


class Comeback:
    """A crowd that comes back."""

    def __init__(self, sites: Sites, pace: Pace) -> None:
        """Take what runs."""
        self.sites, self.pace = sites, pace

    def measures(self) -> Sequence[Callable[[], list[Figure]]]:
        """Return everything, in order."""
        return (self.live,)

    def live(self) -> list[Figure]:
        """Open pages that are live again after their server was killed."""
        quick = self.pace.seconds <= 2
        return [self.of(many, within) for many, within in list(CROWDS.items())[: 1 if quick else None]]

    def of(self, many: int, within: float) -> Figure:
        """Measure one crowd."""
        many = crowd.room(many)
        visitors = invite(self.sites.latchkey.stack, many)
        [start] = pages.servers(self.sites, pages.LATCHKEY).values()
        with start() as server:
            seen = asyncio.run(_comes_back(server, visitors))
        if len(seen.live) < many:
            raise crowd.Refused(
                f"{len(seen.live)} of {many} pages are live {PATIENCE} s after the kill, "
                f"the server has had {seen.processor:.1f} s of processor time: {seen.refused} refused, {seen.polls}"
            )
        bad = [status for status, _ in seen.codes if status != 202]
        return Figure(
            f"{many:,} open pages, from the kill of their server until all are live again", within, "at most",
            [max(seen.live)], " s",
            {
                "p50": [statistics.median(seen.live)],
                "the server listens after": [seen.listening],
                "its processor time": [seen.processor],
                "handshakes refused": [seen.refused],
                "polls answered 200": [seen.polls.get(200, 0)],
                "polls answered 503": [seen.polls.get(503, 0)],
                "slowest POST /code/ meanwhile": [max((seconds for _, seconds in seen.codes), default=0.0)],
                "POST /code/ not accepted": [len(bad)],
            },
        )  # fmt: skip


def processor(pid: int) -> float:
    """Return how many seconds of processor time a process has taken; nobody knows where there is no /proc."""
    stat = Path(f"/proc/{pid}/stat")
    if not stat.exists():
        return math.nan
    # proc(5): user and system time are fields 14 and 15, the third comes after the command's bracket.
    fields = stat.read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def _comes_back(server: pages.Server, visitors: list[Visitor]) -> Return:
    """Open a page for each visitor, kill the server, start it again, and wait for everybody."""
    seen = Return()
    everyone = await crowd.enter(server.url, [visitor.cookie for visitor in visitors])
    server.part.kill()
    killed = time.perf_counter()
    for page in everyone:
        page.leave()
    server.part.start()
    running = [asyncio.ensure_future(_page(server, visitor, killed, seen)) for visitor in visitors]
    asking = asyncio.ensure_future(_ask(server, killed, seen))
    await crowd.until(lambda: len(seen.live) == len(visitors), PATIENCE)
    seen.processor = processor(server.part.pid)
    for task in (*running, asking):
        task.cancel()
    await asyncio.gather(*running, asking, return_exceptions=True)
    return seen


async def _page(server: pages.Server, visitor: Visitor, killed: float, seen: Return) -> None:
    """Be one page, until it is live."""
    polling = asyncio.ensure_future(_poll(server, visitor, seen))
    parts = urlsplit(server.url)
    try:
        for tries in range(1000):
            await asyncio.sleep(spread(min(RECONNECT_MOST, 0.5 * 2**tries)))
            request = crowd.handshake(parts.netloc, parts.path, visitor.cookie)
            try:
                _, page = await asyncio.get_running_loop().create_connection(
                    lambda: crowd.Page(0, request, None),  # noqa: B023
                    parts.hostname or "", parts.port or 80,
                )  # fmt: skip
                opened, first = page.opened, page.first
                for coming in (opened, first):
                    if coming:
                        # This task may be cancelled, and the page goes on by itself.
                        await asyncio.shield(coming)
            except crowd.Refused:
                seen.refused += 1
            except OSError:
                pass
            else:
                polling.cancel()
                seen.live.append(time.perf_counter() - killed)
                return
    finally:
        polling.cancel()


async def _poll(server: pages.Server, visitor: Visitor, seen: Return) -> None:
    """Poll as a page does whose socket is down."""
    lines = [
        "GET /state/ HTTP/1.1", f"Host: 127.0.0.1:{server.port}", f"Cookie: {visitor.cookie}", "Connection: close",
        *(f"{name}: {value}" for name, value in HTMX.items()),
    ]  # fmt: skip
    request = ("\r\n".join(lines) + "\r\n\r\n").encode()
    # The last one was long ago, so the first comes with the next second.
    pause, due = POLL, dice.uniform(0, 1)
    while True:
        await asyncio.sleep(due)
        status, asked = 0, 0
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(8):
                reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
                writer.write(request)
                head, _, _ = (await reader.read()).partition(b"\r\n\r\n")
                writer.close()
            if head:
                status = int(head.split(b" ", 2)[1])
                seen.polls[status] = seen.polls.get(status, 0) + 1
                _, _, after = head.lower().partition(b"\r\nretry-after:")
                asked = int(after.split(b"\r\n")[0] or 0)
        pause = POLL if status == 200 else min(POLL_MOST, 2 * pause)
        due = spread(max(pause, asked))


async def _ask(server: pages.Server, killed: float, seen: Return) -> None:
    """Ask for a code every second, as soon as the server listens again."""
    url = f"http://127.0.0.1:{server.port}"
    async with httpx.AsyncClient(base_url=url, timeout=30) as client:
        while not seen.listening:
            with contextlib.suppress(httpx.TransportError):
                await client.get("/login/", headers={"Accept": "text/html"})
                seen.listening = time.perf_counter() - killed
                all_sites.on_one_core(server.part.pid)
            await asyncio.sleep(0.1)
        while True:
            began = time.perf_counter()
            fields = {"mobile": number(), "csrfmiddlewaretoken": client.cookies["csrftoken"]}
            try:
                status = (await client.post("/code/", data=fields)).status_code
            except httpx.TransportError:
                status = 0
            seen.codes.append((status, time.perf_counter() - began))
            await asyncio.sleep(max(0.0, 1 - (time.perf_counter() - began)))
