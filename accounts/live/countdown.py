"""The countdown's clock: one timer for each socket that has a countdown running, none for the others.

Each ticks when its own shown number changes, so thousands of them are spread over the second by nature.
The channel layer is not involved.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable


class Countdown:
    """Counts one socket's seconds down to 0 and stops there."""

    __slots__ = ("_deadline", "_task", "_tick", "_timer")

    def __init__(self, tick: Callable[[int], Awaitable[None]]) -> None:
        """Take what is called with each new number of seconds."""
        self._tick = tick
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Future[None] | None = None
        self._deadline = 0.0

    def start(self, seconds: float) -> None:
        """Count from now, in place of what was counted before."""
        self.stop()
        if seconds > 0:
            self._deadline = asyncio.get_running_loop().time() + seconds
            self._next()

    def stop(self) -> None:
        """Count no further."""
        if self._timer:
            self._timer.cancel()
            self._timer = None

    def _next(self) -> None:
        """Wait until the number changes. It is rounded up, so 0 is shown exactly when the time is over."""
        loop = asyncio.get_running_loop()
        left = self._deadline - loop.time()
        self._timer = loop.call_at(self._deadline - (math.ceil(left) - 1), self._fire)

    def _fire(self) -> None:
        """Show the number; the clock may be a hair early, so it is rounded to the nearest."""
        loop = asyncio.get_running_loop()
        left = max(0, round(self._deadline - loop.time()))
        self._timer = None
        self._task = asyncio.ensure_future(self._tick(left))
        if left:
            self._timer = loop.call_at(self._deadline - (left - 1), self._fire)
