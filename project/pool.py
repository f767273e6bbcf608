"""Django's WSGI application in a2wsgi's pool of threads, which ends when the server does."""

from __future__ import annotations

import asyncio
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotYet
from typing import Any

from a2wsgi import WSGIMiddleware
from a2wsgi.wsgi import WSGIResponder

# Seconds between two looks whether the server still runs.
LOOK = 0.5


class ServerEnded(Exception):
    """The server's loop has stopped: nobody will take the rest of this answer. The thread ends with it."""


class Pool(WSGIMiddleware):
    """a2wsgi's middleware, with a responder that does not wait for a loop that has stopped.

    A thread hands each piece of its answer to the loop and waits for it. A server that is asked to end stops the
    loop; Python then waits for the thread, the thread for the loop, and only SIGKILL ends them both.
    """

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one request."""
        await Responder(self.app, self.executor, self.send_queue_size)(scope, receive, send)


class Responder(WSGIResponder):
    """Runs one request in a thread."""

    def send(self, message: Any) -> None:
        """Hand a piece of the answer to the loop. Raises ServerEnded."""
        _result(asyncio.run_coroutine_threadsafe(self.send_queue.put(message), loop=self.loop), self.loop)


def _result(future: Future[None], loop: asyncio.AbstractEventLoop) -> None:
    while True:
        try:
            return future.result(LOOK)
        except NotYet:
            if not loop.is_running():
                raise ServerEnded from None
