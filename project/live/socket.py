"""One WebSocket of a page: what Channels' consumer does, at rest with one task and no queue of its own.

Events are hints: while a socket is busy with one, others wait for it, and of each kind only the newest.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Any, ClassVar, Self

from autobahn.exception import Disconnected

from project.live import groups

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

logger = logging.getLogger(__name__)

INTERNAL_ERROR = 1011
# What a server raises when the client has left in this instant: daphne, and any by the standard (ASGI 2.4).
GONE = (Disconnected, OSError)


class Socket:
    """Serves one socket. A subclass has `connect`, `disconnect`, and a method for each event: `delivery_changed`."""

    # What a missing part raises: Redis or the database, or the way to them.
    away: ClassVar[tuple[type[Exception], ...]] = (OSError,)

    def __init__(self) -> None:
        """Begin unconnected and in no group."""
        self.scope: dict[str, Any] = {}
        # Those that it hears.
        self.joined: list[str] = []
        self._events: dict[str, Mapping[str, Any]] = {}
        self._busy: asyncio.Task[None] | None = None

    @classmethod
    def as_asgi(cls) -> Callable[[Any, Any, Any], Awaitable[None]]:
        """Return the ASGI application: an instance a socket."""
        return lambda scope, receive, send: cls().serve(scope, receive, send)

    async def serve(self: Self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        """Serve it until it has gone.

        This task does nothing but take what the client says, as it comes: daphne reads as fast as a client writes and
        queues it all, so that a flood would fill the memory while a page is read from the database.
        """
        self.scope, self._send = scope, send
        code = INTERNAL_ERROR
        await receive()
        self._begin({"type": "connect"})
        try:
            while (event := await receive())["type"] != "websocket.disconnect":
                await self.hear(event.get("text") or event.get("bytes") or "")
            code = event["code"]
        finally:
            # It may be about to join a group, which it would never leave.
            while self._busy:
                await asyncio.wait([self._busy])
            await self.disconnect(code)

    def poke(self, event: Mapping[str, Any]) -> None:
        """Have an event handled, now or when what is under way is done."""
        self._events[event["type"]] = event
        if not self._busy:
            self._begin()

    async def join(self, group: str) -> None:
        """Hear a group from now on."""
        self.joined.append(group)
        await groups.here().join(group, self)

    async def leave(self) -> None:
        """Hear no group any more. It is gone from this process's list before Redis is told."""
        while self.joined:
            with suppress(*self.away):
                await groups.here().leave(self.joined.pop(), self)

    async def accept(self) -> None:
        """Let it in."""
        await self._send({"type": "websocket.accept"})

    async def send(self, text: str) -> None:
        """Send a text."""
        await self._send({"type": "websocket.send", "text": text})

    async def close(self, code: int = 1000) -> None:
        """Refuse it or, once it was let in, hang up."""
        with suppress(*GONE):
            await self._send({"type": "websocket.close", "code": code})

    async def connect(self) -> None:
        """Let it in, or refuse it."""
        raise NotImplementedError

    async def disconnect(self, code: int) -> None:
        """Leave nothing behind."""
        await self.leave()

    async def hear(self, said: str | bytes) -> None:
        """Take what the client says."""

    async def lost(self, error: Exception) -> None:
        """Do what is to be done when a part is away: hang up."""
        logger.warning("a socket was closed: %s", type(error).__name__)
        await self.close(INTERNAL_ERROR)

    def _begin(self, first: Mapping[str, Any] | None = None) -> None:
        self._busy = asyncio.ensure_future(self._work(first))

    async def _work(self, event: Mapping[str, Any] | None) -> None:
        try:
            if event:
                await self.connect()
            while self._events:
                event = self._events.pop(next(iter(self._events)))
                await getattr(self, event["type"].replace(".", "_"))(event)
        except self.away as error:
            await self.lost(error)
        except Exception:
            logger.exception("a socket was closed")
            await self.close(INTERNAL_ERROR)
        finally:
            self._busy = None
