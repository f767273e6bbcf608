"""Channels' WebSocket consumer for pages: it keeps receiving while it handles an event, and reads in its own threads.

It differs from `AsyncWebsocketConsumer` in how it receives and in what it does when Redis is away. The rest is of
Channels: `groups`, `channel_layer`, `channel_name`, `connect`, `receive`, `disconnect`, a method for each event.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

from autobahn.exception import Disconnected
from channels.consumer import get_handler_name
from channels.exceptions import StopConsumer
from channels.generic.websocket import AsyncWebsocketConsumer
from channels.layers import get_channel_layer
from django.db import close_old_connections

from project import outage, redis

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

logger = logging.getLogger(__name__)

INTERNAL_ERROR = 1011
# What a server raises when the client has left in this instant: daphne, and any server by the standard (ASGI 2.4).
GONE = (Disconnected, OSError)
# An answer of Redis holds for so long. A page that is let in meanwhile is told of nothing by push until the layer has
# subscribed again, and rechecks by itself.
ANSWER_HOLDS_SECONDS = 1.0
# `database_sync_to_async` runs the database reads of all sockets in one thread, where one slow query stops them all.
READERS = ThreadPoolExecutor(max_workers=4, thread_name_prefix="socket-reader")


async def read(function: Callable[..., Any], *args: Any) -> Any:
    """Call a function that reads the database, in a thread of the sockets' own pool."""
    return await asyncio.get_running_loop().run_in_executor(READERS, _reading, function, args)


def _reading(function: Callable[..., Any], args: tuple[Any, ...]) -> Any:
    # As around a request.
    close_old_connections()
    try:
        return function(*args)
    finally:
        close_old_connections()


def _ping() -> None:
    # Not on the loop: Django keeps its caches by context, and a page's context lives as long as the page.
    redis.client().ping()


class RedisCheck:
    """Asks whether Redis is there, once a second at most: a thousand handshakes at once ask one question.

    From the first answer on, the process also hears a channel of its own that nobody pushes to. The layer reads its
    connection only while it hears some channel. Without one, a connection that dies without a word while no page is
    open would be found out by the next page, which would be closed, or told of nothing for some seconds.
    """

    def __init__(self) -> None:
        """Begin with no answer."""
        self._asking: asyncio.Task[None] | None = None
        self._answered_at = -math.inf
        self._channel = ""

    async def __call__(self) -> None:
        """Return if Redis is there, or was less than a second ago. Raises redis.Unavailable."""
        if time.monotonic() - self._answered_at < ANSWER_HOLDS_SECONDS:
            return
        if not self._asking or self._asking.done():
            self._asking = asyncio.ensure_future(self._ask())
        # Somebody else may be waiting for the same answer.
        await asyncio.shield(self._asking)

    async def _ask(self) -> None:
        # In a thread of no pool of ours: a Redis that hangs is waited for.
        await asyncio.to_thread(_ping)
        self._channel = self._channel or await get_channel_layer().new_channel()
        self._answered_at = time.monotonic()


check_redis = RedisCheck()


class EventConsumer(AsyncWebsocketConsumer):  # type: ignore[misc]
    """Handles one event at a time. Events are hints: of those that wait, only the newest of each type is kept."""

    # What a missing part raises: Redis or the database, or the connection to them.
    unavailable: ClassVar[tuple[type[Exception], ...]] = (redis.Unavailable, OSError)

    closed = False
    _handling: asyncio.Task[None] | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Begin unconnected."""
        super().__init__(*args, **kwargs)
        # A list of this instance's own: `connect` may add to it.
        self.groups: list[str] = list(type(self).groups or ())
        self._waiting: dict[str, Mapping[str, Any]] = {}

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        """Serve one socket until it has gone, and leave no group with its name in it."""
        try:
            # One can still subscribe to a Redis that has just died, and would hear nothing.
            await check_redis()
            await super().__call__(scope, partial(self._receive, receive), send)
        except self.unavailable as error:
            logger.warning("a socket was closed: %s", outage.name(error))
            await send({"type": "websocket.close"})
        finally:
            # Also when the server cancels this task. The handler may be about to join a group.
            while self._handling:
                await asyncio.wait([self._handling])
            await self.leave_groups()

    async def dispatch(self, message: Mapping[str, Any]) -> None:
        """Handle a message in a task beside this one: Channels' own `dispatch` receives nothing until it is handled."""
        if message["type"] == "websocket.disconnect":
            await self.websocket_disconnect(message)
        else:
            self.enqueue(message)

    def enqueue(self, event: Mapping[str, Any]) -> None:
        """Have an event handled, now or after the one that is being handled."""
        self._waiting[event["type"]] = event
        if not self._handling:
            self._handling = asyncio.ensure_future(self._handle())

    async def websocket_disconnect(self, message: Mapping[str, Any]) -> NoReturn:
        """Let the handler finish, then end. The groups are left in any case: see `__call__`."""
        while self._handling:
            await asyncio.wait([self._handling])
        await self.disconnect(message["code"])
        raise StopConsumer

    async def join(self, group: str) -> None:
        """Join a group until the socket has gone. Raises what Redis raises."""
        self.groups.append(group)
        await self.channel_layer.group_add(group, self.channel_name)

    async def leave_groups(self) -> None:
        """Leave all groups. The layer forgets a member before it tells Redis, which may be away."""
        while self.groups:
            with suppress(*self.unavailable):
                await self.channel_layer.group_discard(self.groups.pop(), self.channel_name)

    async def close(self, code: int | None = None, reason: str | None = None) -> None:
        """Refuse the handshake or, once it was accepted, close. No event is handled afterwards."""
        self.closed = True
        with suppress(*GONE):
            await super().close(code, reason)

    async def part_unavailable(self, error: Exception) -> None:
        """Close, because Redis or the database is away."""
        logger.warning("a socket was closed: %s", outage.name(error))
        await self.close(INTERNAL_ERROR)

    async def _receive(self, receive: Any) -> Mapping[str, Any]:
        """Take what the client sends as it comes, and return what else the server has to say.

        daphne reads as fast as a client writes and queues it all. Channels takes each message out of the queue in
        several turns of the event loop; thirty floods at once would fill the queues faster than that.
        """
        while (message := await receive())["type"] == "websocket.receive":
            await self.websocket_receive(message)
        received: Mapping[str, Any] = message
        return received

    async def _handle(self) -> None:
        try:
            while self._waiting and not self.closed:
                event = self._waiting.pop(next(iter(self._waiting)))
                await getattr(self, get_handler_name(event))(event)
        except self.unavailable as error:
            await self.part_unavailable(error)
        except Exception:
            logger.exception("a socket was closed")
            await self.close(INTERNAL_ERROR)
        finally:
            self._waiting.clear()
            self._handling = None
