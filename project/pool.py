"""Django's WSGI application in a2wsgi's pool of threads, which ends when the server does."""

from __future__ import annotations

import asyncio
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotYet
from typing import Any

from a2wsgi import WSGIMiddleware
from a2wsgi.wsgi import Body as WSGIBody
from a2wsgi.wsgi import WSGIResponder

# Seconds between two looks whether the server still runs.
LOOK = 0.5


class ServerEnded(OSError):
    """The server's loop has stopped: nobody will take the rest of this answer. The thread ends with it.

    An OSError, for Django takes it for what it is where it reads a body: the visitor's connection is gone.
    """


class Pool(WSGIMiddleware):
    """a2wsgi's middleware, with a responder that does not wait for a loop that has stopped.

    A thread asks the loop for the request's body, hands each piece of its answer to it, and waits each time. A server
    that is asked to end stops the loop; Python then waits for the thread, the thread for the loop, and only SIGKILL
    ends them both.
    """

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one request."""
        await Responder(self.app, self.executor, self.send_queue_size)(scope, receive, send)


class Body(WSGIBody):
    """A request's body, as a thread reads it."""

    def _receive_more_data(self) -> bytes:
        """Return the next piece. Raises ServerEnded."""
        if not self._has_more:
            return b""
        message = _result(asyncio.run_coroutine_threadsafe(self._next(), loop=self.loop), self.loop)
        self._has_more = message.get("more_body", False)
        piece: bytes = message.get("body", b"")
        return piece

    async def _next(self) -> Any:
        return await self.receive()


class Responder(WSGIResponder):
    """Runs one request in a thread."""

    def wsgi(self, environ: Any, start_response: Any) -> None:
        """Answer the request, with a body that can be waited for."""
        body = environ["wsgi.input"]
        environ["wsgi.input"] = Body(body.loop, body.receive)
        super().wsgi(environ, start_response)

    def send(self, message: Any) -> None:
        """Hand a piece of the answer to the loop. Raises ServerEnded."""
        _result(asyncio.run_coroutine_threadsafe(self.send_queue.put(message), loop=self.loop), self.loop)


def _result(future: Future[Any], loop: asyncio.AbstractEventLoop) -> Any:
    while True:
        try:
            return future.result(LOOK)
        except NotYet:
            if not loop.is_running():
                raise ServerEnded from None
