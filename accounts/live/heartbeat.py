"""A sign of life for every open page, so that a page can tell a quiet server from a dead connection.

A connection that dies without a word (sleep, another network, a router that forgets) looks open from both ends. Each
page hears something at least every PERIOD_SECONDS; static/latchkey.js takes a longer silence for the end.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

PERIOD_SECONDS = 15
# One period's pages are served in so many steps: thousands at once would hold up the countdowns.
STEPS = 60
BEAT = '<i id="beat" hx-swap-oob="true" hidden></i>'


class Page(Protocol):
    """What the heartbeat needs of a socket."""

    async def send_leaves(self, html: str) -> None:
        """Send HTML; never raises because the client has left."""


class Heartbeat:
    """The open pages of this process. Everything happens in the event loop's thread."""

    def __init__(self) -> None:
        """Begin with no page, and no task."""
        self._pages: dict[Page, None] = {}
        self._task: asyncio.Task[None] | None = None

    def add(self, page: Page) -> None:
        """Send signs of life to a page from now on."""
        self._pages[page] = None
        if self._task is None or self._task.done():
            self._task = asyncio.ensure_future(self._run())

    def remove(self, page: Page) -> None:
        """Send no more to a page that has closed."""
        self._pages.pop(page, None)

    async def _run(self) -> None:
        """Serve every page once a period, a few at a time, until none is left."""
        while self._pages:
            pages = tuple(self._pages)
            for step in range(STEPS):
                await asyncio.sleep(PERIOD_SECONDS / STEPS)
                for page in pages[step::STEPS]:
                    if page in self._pages:
                        await page.send_leaves(BEAT)
