"""A line for handshakes: the first are finished before later ones are begun. A page's polls wait for them.

After a restart every open page asks for its socket in the same seconds. Begun all at once, a thousand handshakes take
each other's time, and all are too late for their clients, who come again. In a line the same work lets one page after
another in, and requests in between are answered. Whoever would wait too long is told so at once.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections import deque
from typing import Any

logger = logging.getLogger(__name__)

# Handshakes at work at a time. Each takes some turns of the event loop, which are long while a crowd knocks: with 8 the
# loop has too little to do in each. And no more than a request that comes in between can wait for.
AT_WORK = 24
# A handshake that would wait longer than this is refused when it comes.
MOST_EXPECTED_SECONDS = 10.0
# While one would wait longer than this, polls are refused.
CROWD_SECONDS = 0.5
# One that has waited so long is refused. The page takes a longer silence for a dead connection (static/latchkey.js).
MOST_SECONDS = 15.0
# What a handshake is taken to cost until some have been measured, and the weight of each measurement after that.
FIRST_PACE_SECONDS = 0.005
WEIGHT = 0.05
# Refused handshakes and polls are told to wait for so many seconds, spread so that they do not come back together.
RETRY_SECONDS = (4, 12)
# "Try again later" (RFC 6455's registry). A server that cannot say so in a handshake answers 403.
TRY_AGAIN_LATER = 1013


class Handshakes:
    """Wraps the sockets' application, and lets so many handshakes at a time through to it, in the order they came.

    Nothing is awaited between looking at these numbers and changing them, so no lock is needed.
    """

    def __init__(self, application: Any, at_work: int = AT_WORK) -> None:
        """Take the application, and how many handshakes it may work on."""
        self.application, self.most = application, at_work
        self.at_work = 0
        self._line: deque[asyncio.Future[None]] = deque()
        # Seconds between two handshakes that are finished while others wait: the mean of the last ones.
        self._pace = FIRST_PACE_SECONDS
        self._finished_at = 0.0
        self._logged = False

    @property
    def waiting(self) -> int:
        """How many handshakes wait."""
        return len(self._line)

    @property
    def expected_seconds(self) -> float:
        """How long a handshake that came now would wait."""
        return self.waiting * self._pace

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        """Let a socket through when it is its turn, refuse it if that takes too long, and forget it if it leaves."""
        connect = await receive()
        if self.expected_seconds > MOST_EXPECTED_SECONDS:
            self._log()
            await send({"type": "websocket.close", "code": TRY_AGAIN_LATER})
            return
        # What comes next from the client, while it waits: in all likelihood that it has left.
        ahead: asyncio.Future[Any] | None = None
        if self.at_work >= self.most:
            ahead = asyncio.ensure_future(receive())
            if not await self._turn(ahead):
                if not ahead.done():
                    ahead.cancel()
                    await send({"type": "websocket.close", "code": TRY_AGAIN_LATER})
                return
        else:
            self.at_work += 1
        is_at_work = True

        async def next_event() -> Any:
            nonlocal connect, ahead
            if connect:
                event, connect = connect, None
                return event
            if ahead:
                event, ahead = ahead, None
                return await event
            return await receive()

        async def answer(event: dict[str, Any]) -> None:
            nonlocal is_at_work
            await send(event)
            if is_at_work:
                # Let in or refused.
                is_at_work = False
                self._finish()

        try:
            await self.application(scope, next_event, answer)
        finally:
            if is_at_work:
                self._finish()
            if ahead:
                ahead.cancel()

    async def _turn(self, ahead: asyncio.Future[Any]) -> bool:
        """Wait in the line, and tell whether it is this one's turn: not if it has left, or waited for too long."""
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._line.append(turn)
        try:
            await asyncio.wait((turn, ahead), timeout=MOST_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            if turn.done() and not ahead.done():
                return True
        except BaseException:
            ahead.cancel()
            self._leave(turn)
            raise
        self._leave(turn)
        return False

    def _leave(self, turn: asyncio.Future[None]) -> None:
        """Take somebody out of the line; whoever's turn had just come makes room for the next."""
        if turn.done():
            self._next()
        else:
            self._line.remove(turn)

    def _finish(self) -> None:
        now = asyncio.get_running_loop().time()
        if self._line and self._finished_at:
            self._pace += WEIGHT * (now - self._finished_at - self._pace)
        self._finished_at = now
        self._next()

    def _next(self) -> None:
        """Hand a place on to the first in the line."""
        if self._line:
            self._line.popleft().set_result(None)
        else:
            self.at_work -= 1
            self._finished_at = 0.0
            self._logged = False

    def _log(self) -> None:
        """Log once for each crowd that handshakes are refused."""
        if not self._logged:
            self._logged = True
            logger.warning("handshakes are refused for now: %d wait", self.waiting)


def retry_after() -> int:
    """Return for how many seconds somebody shall stay away, a random number."""
    return random.randint(*RETRY_SECONDS)  # noqa: S311
