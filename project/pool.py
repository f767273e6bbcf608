"""Django's WSGI application in a2wsgi's pools of threads, which end when the server does.

Of a2wsgi's own way to run a request only the environment is left. Its thread asks the loop for the body and hands it
the head, each piece, and the end of the answer, and waits each time; under load that was a fifth of Python's time. Here
the body is there before the thread begins, and an answer that is whole goes over in one piece.
"""

from __future__ import annotations

import asyncio
import contextvars
import io
import logging
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYet
from typing import TYPE_CHECKING, Any

from a2wsgi import WSGIMiddleware
from a2wsgi.wsgi import build_environ

from project import core
from project.body import MOST_BODY
from project.front import say

if TYPE_CHECKING:
    from collections.abc import Iterable

logger = logging.getLogger(__name__)

# Seconds between two looks whether anybody still takes what is streamed.
LOOK = 0.5
# Who would wait longer than the server's patience of 30 s is better told at once: nobody takes that answer any more.
MOST_WAITING = 128


class NobodyTakes(OSError):
    """The server has ended, or the visitor has left: nobody takes the rest of this answer. The thread ends with it."""


class Pool(WSGIMiddleware):
    """a2wsgi's middleware, with a way of ours to run a request."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one request, unless it breaks off before it is whole."""
        body = await _whole(receive)
        if body is None:
            return
        environ: Any = build_environ(scope, io.BytesIO(body))  # type: ignore[arg-type]
        # A body in chunks has none, and would be empty for WSGI.
        environ.setdefault("CONTENT_LENGTH", str(len(body)))
        call = Call(self.app)
        self.executor.submit(contextvars.copy_context().run, call.run, environ)
        await call.answer(send)


class Lanes:
    """Two pools: one for requests that may hash a password, and one for all others, who do not wait for them.

    A hash takes a core for a fifth of a second. Twenty at once in one pool would take all its threads and every core.
    """

    def __init__(self, application: Any, *, workers: int, hashers: int) -> None:
        """Take Django's WSGI application, and how many threads each pool has."""
        self._all = Pool(application, workers=workers)
        self._hashing = Pool(application, workers=hashers)
        # Nearly all of a hash is worked without Python.
        self._hashing.executor = ThreadPoolExecutor(hashers, thread_name_prefix="hashing", initializer=core.roam)
        self._waiting = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one request."""
        if not may_hash(scope["method"], scope["path"]):
            await self._all(scope, receive, send)
        elif self._waiting >= MOST_WAITING:
            await say(send, 503, "Too many are signing in at this moment. Please try again in a minute.")
        else:
            self._waiting += 1
            try:
                await self._hashing(scope, receive, send)
            finally:
                self._waiting -= 1


def may_hash(method: str, path: str) -> bool:
    """Tell whether a request may come to where a password is hashed."""
    return method == "POST" and (path in {"/login/", "/password/"} or path.startswith("/admin/"))


class Call:
    """One request in a thread, and its answer on the loop."""

    def __init__(self, application: Any) -> None:
        """Take the WSGI application. To be made on the loop."""
        self._application = application
        self._loop = asyncio.get_running_loop()
        # The head with the whole body, or with None when the body comes in pieces.
        self._begun: asyncio.Future[tuple[dict[str, Any], bytes | None]] = self._loop.create_future()
        self._pieces: asyncio.Queue[bytes | Exception | None] = asyncio.Queue(maxsize=4)
        self._head: dict[str, Any] = {}
        self._told = self._left = False

    async def answer(self, send: Any) -> None:
        """Send what the thread answers. Raises what it raises; a visitor who leaves does not end it."""
        try:
            head, body = await self._begun
            await send(head)
            while body is None:
                piece = await self._pieces.get()
                if isinstance(piece, Exception):
                    raise piece
                if piece is None:
                    body = b""
                else:
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
            await send({"type": "http.response.body", "body": body})
        finally:
            self._left = True

    def run(self, environ: dict[str, Any]) -> None:
        """Run the request; for the thread. It is closed once the answer is on its way."""
        try:
            answer = self._application(environ, self._start)
            try:
                # Django's word for an answer that is not there as a whole.
                if getattr(answer, "streaming", True):
                    self._stream(answer)
                else:
                    self._tell(b"".join(answer))
            finally:
                getattr(answer, "close", lambda: None)()
        except NobodyTakes:
            pass
        except BaseException as error:
            if self._told:
                logger.exception("%s %s broke off", environ["REQUEST_METHOD"], environ["PATH_INFO"])
            else:
                # A SystemExit would end the loop.
                self._on_loop(self._begun, error if isinstance(error, Exception) else RuntimeError(repr(error)))
        finally:
            # Django's request is in circles that only the collector breaks, some time. The body need not wait for that.
            environ["wsgi.input"].close()

    def _start(self, status: str, fields: list[tuple[str, str]], _exc_info: Any = None) -> None:
        """Keep the head, as WSGI's `start_response`. Without its `write`: Django has no use for it."""
        # Django leaves a space before each cookie.
        kept = [(name.lower().encode("latin1"), value.strip().encode("latin1")) for name, value in fields]
        self._head = {"type": "http.response.start", "status": int(status[:3]), "headers": kept}

    def _tell(self, body: bytes | None) -> None:
        self._told = True
        self._on_loop(self._begun, (self._head, body))

    def _stream(self, pieces: Iterable[bytes]) -> None:
        self._tell(None)
        try:
            for piece in pieces:
                self._hand(piece)
        except NobodyTakes:
            raise
        except Exception as error:  # noqa: BLE001  (a view may raise what it likes; the loop raises it again)
            self._hand(error)
        else:
            self._hand(None)

    def _hand(self, piece: bytes | Exception | None) -> None:
        """Hand a piece over, and wait while too many lie there. Raises NobodyTakes."""
        handed = asyncio.run_coroutine_threadsafe(self._pieces.put(piece), self._loop)
        while True:
            try:
                return handed.result(LOOK)
            except NotYet:
                if self._left or not self._loop.is_running():
                    raise NobodyTakes from None

    def _on_loop(self, future: asyncio.Future[Any], value: Any) -> None:
        try:
            self._loop.call_soon_threadsafe(_settle, future, value)
        except RuntimeError:
            # The loop is closed: the server has ended.
            raise NobodyTakes from None


def _settle(future: asyncio.Future[Any], value: Any) -> None:
    # Cancelled, when the visitor has left.
    if future.done():
        return
    if isinstance(value, Exception):
        future.set_exception(value)
    else:
        future.set_result(value)


async def _whole(receive: Any) -> bytes | None:
    """Return the body, None when the visitor has left. Past MOST_BODY none is waited for: Django refuses its length."""
    body = b""
    more = True
    while more and len(body) <= MOST_BODY:
        event = await receive()
        if event["type"] != "http.request":
            return None
        body += event.get("body", b"")
        more = event.get("more_body", False)
    return body
