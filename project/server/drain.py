"""Ends a web process without losing anything: SIGTERM stops listening, lets requests finish, sends sockets away.

daphne by itself cancels what is under way and closes every connection at once: the work is done, its answer is lost.
Public interfaces only: ASGI on one side, Twisted's reactor on the other.
"""

from __future__ import annotations

import asyncio
import logging
import signal
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from project.server import twisted_reactor

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

logger = logging.getLogger(__name__)

# Seconds that requests may take to finish after SIGTERM. `python -m project.run` stops everything within ten.
DRAIN_SECONDS = 6.0
# How long nothing must have been under way: a request that has just arrived is not counted yet.
QUIET_SECONDS = 0.2
# The page comes back a few seconds later (static/latchkey.js). "Service restart" (1012) in the range for private use:
# daphne sends 1000 and those from 3000 on, and fails on any other.
RESTART_CODE = 4012


class Drain:
    """Wraps the whole ASGI application and knows what is under way in it."""

    def __init__(self, application: Callable[[Any, Any, Any], Awaitable[None]]) -> None:
        """Take the application to wrap."""
        self.application = application
        self.requests = 0
        self.is_draining = False
        self._sockets: set[Any] = set()

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        """Serve a request or a socket, and count it."""
        if scope["type"] == "http":
            await self._serve_request(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._serve_socket(scope, receive, send)
        else:
            await self.application(scope, receive, send)

    async def _serve_request(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        async def last(event: dict[str, Any]) -> None:
            """Ask the client for another connection next time, once this process is ending."""
            if self.is_draining and event["type"] == "http.response.start":
                event = {**event, "headers": [*event["headers"], (b"connection", b"close")]}
            await send(event)

        self.requests += 1
        try:
            await self.application(scope, receive, last)
        finally:
            self.requests -= 1

    async def _serve_socket(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        self._sockets.add(send)
        try:
            await self.application(scope, receive, send)
        finally:
            self._sockets.discard(send)

    def take_signals(self) -> None:
        """Take SIGTERM and SIGINT from daphne, whose reactor runs by now. A second signal is daphne's again."""
        loop = asyncio.get_event_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            before = signal.getsignal(number)
            if callable(before):
                # Called between two instructions of the main thread: everything else happens in the loop.
                signal.signal(number, lambda *_, number=number, before=before: self._end(loop, number, before))

    def _end(self, loop: asyncio.AbstractEventLoop, number: int, before: Any) -> None:
        signal.signal(number, before)
        loop.call_soon_threadsafe(self._begin)

    def _begin(self) -> None:
        if not self.is_draining:
            self.is_draining = True
            self._task = asyncio.ensure_future(self._drain())

    async def _drain(self) -> None:
        try:
            _stop_listening()
            logger.info("stopping: %d requests under way, %d sockets", self.requests, len(self._sockets))
            await self._send_sockets_away()
            await self._finish_requests()
        finally:
            twisted_reactor.running().stop()

    async def _send_sockets_away(self) -> None:
        """Close every socket with a code on which its page comes back, a little later and not all at once."""
        for send in tuple(self._sockets):
            # It may have left in this instant, or not be accepted yet; then it is closed with the process.
            with suppress(Exception):
                await send({"type": "websocket.close", "code": RESTART_CODE})

    async def _finish_requests(self) -> None:
        """Wait until nothing has been under way for a moment, or until the time is up."""
        loop = asyncio.get_running_loop()
        end = loop.time() + DRAIN_SECONDS
        quiet_since = loop.time()
        while loop.time() < end:
            if self.requests:
                quiet_since = loop.time()
            elif loop.time() - quiet_since >= QUIET_SECONDS:
                return
            await asyncio.sleep(0.02)
        logger.warning("stopping: %d requests did not finish within %.0f s", self.requests, DRAIN_SECONDS)


def _stop_listening() -> None:
    """Close the ports. Connections that are open stay so, and those that wait to be accepted are accepted first.

    `stopListening` closes a port in the next round of the loop; a connection that comes in between would be reset.
    """
    from twisted.internet.main import CONNECTION_DONE
    from twisted.python.failure import Failure

    done: Any = Failure(CONNECTION_DONE)  # type: ignore[no-untyped-call]
    for port in twisted_reactor.listening_ports():
        port.stopReading()
        port.doRead()
        port.connectionLost(done)
