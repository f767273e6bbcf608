"""Django's WSGI application in pools of threads, which end when the server does.

The body has come before the thread begins, and an answer that is whole goes back to the event loop in one piece.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import time
from collections import Counter, deque
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYet
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from project import cpu_affinity
from project.server import django_request
from project.server.asgi_wrapper import MAX_BODY, say
from project.server.wsgi_environ import environ_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

logger = logging.getLogger(__name__)

# Seconds between two checks whether the client of a streamed answer is still there.
STREAM_CHECK_SECONDS = 0.5
# Password requests that wait or are being handled. A client that would wait longer than the server's 30 s is refused
# at once: it would not read the answer any more.
MAX_WAITING = 128
# Of those, from one address. Addresses take turns, so these delay no other address.
MAX_WAITING_OF_ADDRESS = 64


class ClientGone(OSError):
    """The server has stopped or the visitor has left, so nobody reads the rest of this answer. It ends the thread."""


class Pool:
    """Runs a WSGI application in threads, as an ASGI application."""

    def __init__(self, application: Any, *, workers: int) -> None:
        """Take the WSGI application and the number of threads."""
        self.application = application
        self.executor = ThreadPoolExecutor(workers, thread_name_prefix="WSGI")

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one request, unless it breaks off before it is whole."""
        body = await _whole(receive)
        if body is None:
            return
        call = Call(self.application)
        self.submit(call, scope, body)
        await call.answer(send)

    def submit(self, call: Call, scope: Any, body: bytes) -> Future[None]:
        """Have a thread run a request whose body is there, and return what tells when it is done."""
        environ = environ_of(scope, body)
        environ["latchkey.arrived"] = time.monotonic()
        return self.executor.submit(contextvars.copy_context().run, call.run, environ)


class ThreadPools:
    """Routes each request to a pool: one for requests that may hash a password, one for all others, one a health check.

    A hash takes a core for a fifth of a second. Twenty at once in one pool would take all its threads and every core.
    Health checks have threads of their own: forty requests that wait for a lock do not make this process look dead.
    """

    def __init__(
        self, application: Any, *, workers: int, hashers: int, address_of: Callable[[dict[str, Any]], str]
    ) -> None:
        """Take Django's WSGI application, how many threads each pool has, and what tells a scope's address."""
        self._all = Pool(application, workers=workers)
        self._watching = {path: Pool(application, workers=1) for path in ("/healthz", "/readyz")}
        self._hashing = HashingPool(application, hashers=hashers, address_of=address_of)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one request."""
        pool = self._watching.get(scope["path"], self._all)
        if may_hash(scope["method"], scope["path"]):
            pool = self._hashing
        await pool(scope, receive, send)


class HashingPool(Pool):
    """A pool in which addresses take turns, and which drops the request of a visitor who has left.

    It counts work and not connections: from when a request is complete until its thread has finished, whether or not
    anybody still waits for the answer.
    """

    def __init__(self, application: Any, *, hashers: int, address_of: Callable[[dict[str, Any]], str]) -> None:
        """Take Django's WSGI application, the number of threads, and what tells a scope's address."""
        super().__init__(application, workers=hashers)
        # Hashing releases the interpreter nearly all the time.
        self.executor = ThreadPoolExecutor(hashers, thread_name_prefix="hashing", initializer=cpu_affinity.unpin)
        self._address_of = address_of
        self._free = hashers
        self._count: Counter[str] = Counter()
        # Waiting requests by address. The address whose turn it is comes first.
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one request once it is its turn, unless the visitor leaves before."""
        body = await _whole(receive)
        if body is None:
            return
        address = self._address_of(scope)
        if self._count.total() >= MAX_WAITING or self._count[address] >= MAX_WAITING_OF_ADDRESS:
            await say(send, 503, "Too many are signing in at this moment. Please try again in a minute.")
            return
        self._count[address] += 1
        turn = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(address, deque()).append(turn)
        self._give_turns()
        left = asyncio.ensure_future(_left(receive))
        began = False
        try:
            await asyncio.wait({turn, left}, return_when=asyncio.FIRST_COMPLETED)
            if not turn.done():
                return
            began = True
            await self._serve(address, scope, body, send, left)
        finally:
            left.cancel()
            if not began:
                self._end(address, had_turn=not turn.cancel())

    async def _serve(self, address: str, scope: Any, body: bytes, send: Any, left: asyncio.Future[None]) -> None:
        """Run a request in a thread, and answer it as long as somebody waits for the answer."""
        loop = asyncio.get_running_loop()
        call = Call(self.application)
        job = self.submit(call, scope, body)
        job.add_done_callback(lambda _: _on(loop, self._end, address))
        answer = asyncio.ensure_future(call.answer(send))
        try:
            await asyncio.wait({answer, left}, return_when=asyncio.FIRST_COMPLETED)
            if answer.done():
                answer.result()
        finally:
            answer.cancel()

    def _end(self, address: str, *, had_turn: bool = True) -> None:
        """Stop counting a request, and start the next."""
        self._count[address] -= 1
        if not self._count[address]:
            del self._count[address]
        self._free += had_turn
        self._give_turns()

    def _give_turns(self) -> None:
        """Start requests while there are free threads: one of each address, then the next of each."""
        while self._free and self._waiting:
            address = next(iter(self._waiting))
            queue = self._waiting.pop(address)
            turn = queue.popleft()
            if queue:
                # Behind all other addresses.
                self._waiting[address] = queue
            if not turn.cancelled():
                turn.set_result(None)
                self._free -= 1


async def _left(receive: Any) -> None:
    """Return when the visitor has left."""
    while (await receive())["type"] != "http.disconnect":
        pass


def _on(loop: asyncio.AbstractEventLoop, call: Callable[..., None], *args: Any) -> None:
    """Make a call on the event loop from a thread, unless the loop has stopped."""
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(call, *args)


def may_hash(method: str, path: str) -> bool:
    """Tell whether a request may hash a password."""
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
                # Django's mark of an answer that comes in pieces.
                if getattr(answer, "streaming", True):
                    self._stream(answer)
                else:
                    self._tell(b"".join(answer))
            finally:
                getattr(answer, "close", lambda: None)()
        except ClientGone:
            pass
        except BaseException as error:
            if self._told:
                logger.exception("%s %s broke off", environ["REQUEST_METHOD"], environ["PATH_INFO"])
            else:
                # A SystemExit would end the loop.
                self._on_loop(self._begun, error if isinstance(error, Exception) else RuntimeError(repr(error)))
        finally:
            environ["wsgi.input"].close()
            django_request.release(environ)

    def _start(self, status: str, fields: list[tuple[str, str]], _exc_info: Any = None) -> None:
        """Keep the head: WSGI's `start_response`, without `write`, which Django does not use."""
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
        except ClientGone:
            raise
        except Exception as error:  # noqa: BLE001  (a view may raise what it likes; the loop raises it again)
            self._hand(error)
        else:
            self._hand(None)

    def _hand(self, piece: bytes | Exception | None) -> None:
        """Hand a piece over, and wait while too many are unread. Raises ClientGone."""
        handed = asyncio.run_coroutine_threadsafe(self._pieces.put(piece), self._loop)
        while True:
            try:
                return handed.result(STREAM_CHECK_SECONDS)
            except NotYet:
                if self._left or not self._loop.is_running():
                    raise ClientGone from None

    def _on_loop(self, future: asyncio.Future[Any], value: Any) -> None:
        try:
            self._loop.call_soon_threadsafe(_settle, future, value)
        except RuntimeError:
            # The loop is closed: the server has ended.
            raise ClientGone from None


def _settle(future: asyncio.Future[Any], value: Any) -> None:
    # Cancelled, when the visitor has left.
    if future.done():
        return
    if isinstance(value, Exception):
        future.set_exception(value)
    else:
        future.set_result(value)


async def _whole(receive: Any) -> bytes | None:
    """Return the body, or None when the visitor has left. Past MAX_BODY it stops reading: Django refuses the length."""
    body = b""
    more = True
    while more and len(body) <= MAX_BODY:
        event = await receive()
        if event["type"] != "http.request":
            return None
        body += event.get("body", b"")
        more = event.get("more_body", False)
    return body
