"""A sign of life for every open page, so that a page can tell a quiet server from a dead connection.

A connection that dies without a word (sleep, another network, a router that forgets) looks open from both ends. Each
page hears something at least every PERIOD_SECONDS; static/latchkey.js takes a longer silence for the end.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Protocol

logger = logging.getLogger(__name__)

PERIOD_SECONDS = 15
# One period's pages are served in so many steps: thousands at once would hold up the countdowns.
STEPS = 60
BEAT = '<i id="beat" hx-swap-oob="true" hidden></i>'


class Page(Protocol):
    """What the heartbeat needs of a socket."""

    async def send_leaves(self, html: str) -> None:
        """Send HTML; never raises because the client has left."""


class Heartbeat:
    """The open pages of this process, each in one of STEPS slots. Everything happens in the event loop's thread."""

    def __init__(self) -> None:
        """Begin with no page, and no task."""
        self._slots: list[dict[Page, None]] = [{} for _ in range(STEPS)]
        self._slot_of: dict[Page, int] = {}
        # The slot that was served last: a page that is added there waits for a whole period.
        self._served = 0
        self._task: asyncio.Task[None] | None = None

    def add(self, page: Page) -> None:
        """Send a sign of life to a page once every PERIOD_SECONDS from now on."""
        self._slot_of[page] = self._served
        self._slots[self._served][page] = None
        if self._task is None or self._task.done():
            self._task = asyncio.ensure_future(self._run())

    def remove(self, page: Page) -> None:
        """Send no more to a page that has closed."""
        if (slot := self._slot_of.pop(page, None)) is not None:
            del self._slots[slot][page]

    async def _run(self) -> None:
        """Serve one slot after the other, until no page is left."""
        while self._slot_of:
            await asyncio.sleep(PERIOD_SECONDS / STEPS)
            self._served = (self._served + 1) % STEPS
            for page in tuple(self._slots[self._served]):
                try:
                    await page.send_leaves(BEAT)
                except Exception:
                    # One page's fault: the others would all believe that their connection is dead.
                    logger.exception("a page was not told that the server is there")
