"""What an open page costs while nothing happens on it: memory, beside a bare server and beside Channels."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from bench import crowd, pages
from bench.figures import Figure
from bench.visitors import invite

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bench.figures import Pace
    from bench.sites import Sites

# Pages that are open before anything is measured: they pay for the threads, the caches and the first arenas.
FIRST = 300
# Seconds after the last page has come: what the handshakes took is given back, and what is slow to come has come.
SETTLE = 2.0
# The memory of a process does not vary much.
MOST_ROUNDS = 3


class Memory:
    """The memory of open pages."""

    def __init__(self, sites: Sites, pace: Pace) -> None:
        """Take what runs."""
        self.sites, self.pace = sites, pace

    def measures(self) -> Sequence[Callable[[], list[Figure]]]:
        """Return the one that there is."""
        return (self.idle,)

    def idle(self) -> list[Figure]:
        """Memory of an open page on which nothing happens, each round in processes that have just begun."""
        number = crowd.room(FIRST + 250 * self.pace.seconds) - FIRST
        names = (pages.LATCHKEY, pages.PUBSUB, pages.BARE)
        servers = pages.servers(self.sites, *names)
        cookies = [visitor.cookie for visitor in invite(self.sites.latchkey.stack, FIRST + number)]
        found: dict[str, list[float]] = {name: [] for name in servers}
        for n in range(min(self.pace.rounds, MOST_ROUNDS)):
            for name in list(servers) if n % 2 else reversed(list(servers)):
                with servers[name]() as server:
                    found[name].append(asyncio.run(_growth(server, cookies, number)))
        ours = found[pages.LATCHKEY]
        details = {"pages": number, "bytes a page": found}
        figures = []
        targets = {pages.BARE: ("bare websockets", 2.2), pages.PUBSUB: ("Channels with the pub/sub layer", 1.05)}
        for peer, (called, target) in targets.items():
            if peer in found:
                ratios = [one / other for one, other in zip(ours, found[peer], strict=True)]
                figures.append(
                    Figure(f"memory of an idle page, against {called}", target, "at most", ratios, "×", details)
                )
        return figures


async def _growth(server: pages.Server, cookies: list[str], number: int) -> float:
    """Return the bytes by which the server grows with each of the last `number` pages."""
    first = await crowd.enter(server.url, cookies[:-number])
    await asyncio.sleep(SETTLE)
    before = server.memory
    rest = await crowd.enter(server.url, cookies[-number:])
    await asyncio.sleep(SETTLE)
    after = server.memory
    everyone = [*first, *rest]
    if gone := sum(page.closed for page in everyone):
        raise crowd.Refused(f"{server.name}: {gone} pages were closed meanwhile")
    for page in everyone:
        page.leave()
    return (after - before) / number
