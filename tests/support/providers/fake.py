"""What the providers that we run ourselves share: a server that checks, answers, and fails on order.

Each API is a subclass that says what a right request is and what an answer looks like: `Provider` in
tests/support/provider.py
is Yuntongxun's and shows how they are used, the others are beside this file. Stopping is immediate, whatever hangs.
"""

from __future__ import annotations

import re
import socket
import struct
import sys
import threading
import time
from collections import deque
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple, Self

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterator

    # socketserver's word for what it hands about; the tuple is UDP's.
    Connection = socket.socket | tuple[bytes, socket.socket]

# Bytes of a request that are read. A conforming one has some hundreds, or 2,600 with every number that is allowed.
MOST_BODY = 64 * 1024
# Bytes that `huge_body` promises.
HUGE = 64 * 1024 * 1024

# Ways to answer, for `mode` and `script`. Besides these, one of the provider's own codes answers with that code, "404"
# (any HTTP error) answers that status with a page and no word of the provider's, "401:" followed by a code has both,
# and "200:" followed by any other text answers 200 with just that text.
MODES = {
    "ok": "accepts it",
    "auth_error": "says that the credentials are wrong",
    "balance": "says that there is no balance",
    "bad_number": "says that the number is wrong",
    "too_frequent": "says that this number has had enough",
    "busy": "says that there are too many requests at once",
    "400": "HTTP 400 with its word for a request that could not be parsed",
    "accept_then_hang": "accepts it and never answers",
    "accept_then_502": "accepts it, then an HTTP 502 without the provider's word",
    "accept_then_garbage": "accepts it, then HTTP 200 with half an answer",
    "accept_then_reset": "accepts it, then resets the connection",
    "reset": "resets the connection before the body is read",
    "hang": "takes nothing and never answers",
    "slow_drip": "accepts it, and answers a byte at a time",
    "slow_headers": "accepts it, and sends even the headers a byte at a time",
    "huge_body": "accepts it, and answers with 64 MB",
    "endless_headers": "accepts it, and never stops sending headers",
    "redirect": "HTTP 307 to another path of the same server",
}


@dataclass(frozen=True, slots=True)
class SMS:
    """What one handset received."""

    to: str
    code: str
    minutes: str
    # What the request gave as its own id: reqId, OutId, SessionContext.
    req_id: str
    # Unix time.
    at: float
    # The provider's id of it.
    sid: str = ""
    # Where its report is to go, if the request says so.
    callback: str = ""


class Post(NamedTuple):
    """A delivery report as the provider posts it."""

    body: bytes
    headers: dict[str, str]


@dataclass(slots=True)
class Request:
    """One request, and what became of it."""

    at: float
    mode: str
    method: str
    path: str
    # Address and port of the client: two requests with one `client` used one connection.
    client: tuple[str, int]
    headers: dict[str, str]
    sig: str = ""
    # The provider's status code for it, empty while it was not looked at.
    verdict: str = ""
    # The provider's id of the message that came of it.
    sid: str = ""
    # What is wrong with it, in words; empty when it conforms.
    violation: str = ""
    body: dict[str, Any] = field(default_factory=dict)
    # Bytes of the answer that the client, or the kernel for it, took.
    written: int = 0
    # Unix time when the answer was written or the client had left.
    ended: float = 0.0

    @property
    def req_id(self) -> str:
        """Its reqId, or empty."""
        value = self.body.get("reqId")
        return value if isinstance(value, str) else ""


class Violation(Exception):
    """The request is not as the provider's page wants it. Carries the status code that it gets."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Fake:
    """The far side of a gateway, on a port of its own."""

    # The API's codes for the modes with a name of their own, and what any of its codes looks like.
    codes: ClassVar[dict[str, str]] = {}
    form: ClassVar[str] = ""
    accepted: ClassVar[str] = ""
    # A request that could not be parsed.
    unparsed: ClassVar[str] = ""
    kind: ClassVar[str] = "application/json;charset=utf-8"

    def __init__(
        self,
        port: int = 0,
        *,
        # Seconds in which a number gets one SMS. The real ones have some such limit; most tests want none.
        cooldown: float = 0.0,
        # Seconds between two bytes of a drip.
        drip: float = 0.5,
        tls: ssl.SSLContext | None = None,
        # Called before the request is answered.
        on_sent: Callable[[SMS], None] | None = None,
    ) -> None:
        self.cooldown = cooldown
        self.drip = drip
        self.port = port
        self.closing = threading.Event()
        self._tls = tls
        self.on_sent = on_sent
        self._changed = threading.Condition()
        self._mode = "ok"
        self._script: deque[str] = deque()
        self._sent: list[SMS] = []
        self._requests: list[Request] = []
        # What may be used only once: a reqId in a day, a nonce.
        self._taken: set[tuple[str, str]] = set()
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *problem: object) -> None:
        self.stop()

    def start(self) -> None:
        """Listen; after a stop, on the same port again."""
        self.closing.clear()
        server = self._server = _Server(("127.0.0.1", self.port), self, self._tls)
        self.port = server.server_address[1]
        self._thread = threading.Thread(target=server.serve_forever, args=(0.05,), name="provider", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop at once: what hangs is cut off, and after this a connection is refused."""
        self.closing.set()
        server, thread, self._server, self._thread = self._server, self._thread, None, None
        if server and thread:
            server.shutdown()
            server.server_close()
            server.cut_off()
            thread.join()

    @contextmanager
    def down(self) -> Iterator[None]:
        """Refuse connections for a while: `with provider.down(): ...`."""
        self.stop()
        try:
            yield
        finally:
            self.start()

    @property
    def url(self) -> str:
        """What the gateway's base URL has to be."""
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    @property
    def settings(self) -> dict[str, str]:
        """The account as Latchkey's settings, which are also its environment variables."""
        raise NotImplementedError

    @property
    def mode(self) -> str:
        """How a request is answered when the script has run out."""
        with self._changed:
            return self._mode

    @mode.setter
    def mode(self, mode: str) -> None:
        with self._changed:
            self._mode = self._known(mode)

    def script(self, *modes: str) -> None:
        """Say how the next requests are answered, one each, in the order in which they arrive."""
        with self._changed:
            self._script.extend([self._known(mode) for mode in modes])

    @property
    def sent(self) -> list[SMS]:
        """What handsets have received, oldest first."""
        with self._changed:
            return list(self._sent)

    @property
    def requests(self) -> list[Request]:
        """Every request as it stands now, oldest first."""
        with self._changed:
            return [replace(request) for request in self._requests]

    @property
    def violations(self) -> list[str]:
        """What was wrong with requests; a test of a good client ends with `assert provider.violations == []`."""
        return [request.violation for request in self.requests if request.violation]

    def wait_for_sent(self, count: int, seconds: float = 10.0) -> list[SMS]:
        """Return `sent` as soon as it has that many, else fail."""
        with self._changed:
            if not self._changed.wait_for(lambda: len(self._sent) >= count, seconds):
                raise AssertionError(f"{len(self._sent)} SMS after {seconds} s, not {count}")
            return list(self._sent)

    def wait_for_ended(self, count: int, seconds: float = 10.0) -> list[Request]:
        """Return `requests` as soon as that many have got their answer or have left, else fail."""
        with self._changed:
            if not self._changed.wait_for(lambda: sum(1 for r in self._requests if r.ended) >= count, seconds):
                raise AssertionError(f"not {count} requests ended after {seconds} s: {self._requests}")
            return [replace(request) for request in self._requests]

    def clear(self) -> None:
        """Forget SMS, requests, reqIds and script, and accept again."""
        with self._changed:
            self._mode = "ok"
            for each in (self._sent, self._requests, self._taken, self._script):
                each.clear()

    # What follows is for the handler.

    def begin(self, request: Request) -> None:
        """Enter a request in the ledger and give it its mode."""
        with self._changed:
            request.mode = self._script.popleft() if self._script else self._mode
            self._requests.append(request)
            self._changed.notify_all()

    def note(self, request: Request, **changes: object) -> None:
        """Change a request's entry in the ledger."""
        with self._changed:
            for name, value in changes.items():
                setattr(request, name, value)
            self._changed.notify_all()

    def check_head(self, request: Request) -> None:
        """Check address and headers. Raises Violation."""
        raise NotImplementedError

    def check_body(self, raw: bytes, request: Request) -> dict[str, Any]:
        """Check the body and return it. Raises Violation."""
        raise NotImplementedError

    def accept(self, request: Request) -> str:
        """Take a conforming message unless something says no; give it its `sid` and return the code."""
        raise NotImplementedError

    def answer(self, request: Request, code: str) -> bytes:
        """Return the body that says this code. Where the real one may say anything, ours says what it was told."""
        raise NotImplementedError

    def status(self, code: str) -> int:
        """Return the HTTP status that goes with a code."""
        return 200

    def reports(self, *sms: SMS, delivered: bool = True) -> list[Post]:
        """Return the delivery reports for these, as the provider would post them."""
        raise NotImplementedError

    def take(self, new: list[SMS], key: tuple[str, str] | None = None) -> Literal["taken", "again", "too soon"]:
        """Hand messages to their handsets, unless `key` was used before or one of them has had one just now."""
        with self._changed:
            if key in self._taken:
                return "again"
            to = {each.to for each in new}
            if self.cooldown and any(sms.to in to and time.time() - sms.at < self.cooldown for sms in self._sent):
                return "too soon"
            if key:
                self._taken.add(key)
            self._sent += new
            self._changed.notify_all()
        for sms in new:
            if self.on_sent:
                self.on_sent(sms)
        return "taken"

    def used(self, kind: str, value: str) -> bool:
        """Use something up, and tell whether it was before."""
        with self._changed:
            before = (kind, value) in self._taken
            self._taken.add((kind, value))
            return before

    def _known(self, mode: str) -> str:
        if mode in MODES or re.fullmatch(rf"({self.form})|[1-5][0-9]{{2}}(:({self.form}))?|200:.*", mode, re.DOTALL):
            return mode
        raise ValueError(f"no mode {mode!r}; write a status code, an HTTP status, or one of {', '.join(MODES)}")


def check_length(request: Request, code: str) -> None:
    """Check that the request says how long it is. Raises Violation."""
    length = request.headers.get("content-length", "")
    if not re.fullmatch(r"[0-9]{1,6}", length) or int(length) > MOST_BODY or "transfer-encoding" in request.headers:
        raise Violation(code, f"Content-Length is {length!r}")


def told(request: Request) -> str:
    """Return all that a request said, for an answer that should have kept it to itself."""
    return f"错误 {request.path} {request.headers} {request.body}"


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    # Nobody waits for the threads of hanging requests: they end by themselves once their sockets are cut.
    block_on_close = False
    # Sixty-four people may ask at the same moment.
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], provider: Fake, tls: ssl.SSLContext | None) -> None:
        self.provider = provider
        self.tls = tls
        self.open: set[Connection] = set()
        self.lock = threading.Lock()
        super().__init__(address, _Handler)

    def server_bind(self) -> None:
        # Not HTTPServer's, which looks its own name up and may wait for a DNS server.
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = "provider.test", int(self.server_address[1])

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, address = super().get_request()
        if self.tls:
            # The handshake is left to the handler's thread, so that a slow one holds nobody else up.
            connection = self.tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        with self.lock:
            self.open.add(connection)
        return connection, address

    def shutdown_request(self, request: Connection) -> None:
        with self.lock:
            self.open.discard(request)
        super().shutdown_request(request)

    def cut_off(self) -> None:
        """End every connection, whoever is in the middle of it."""
        with self.lock:
            connections = list(self.open)
        for connection in connections:
            with suppress(OSError):
                assert isinstance(connection, socket.socket)
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Connection, client_address: object) -> None:
        """Say nothing of a client that left in the middle: here they do it on purpose."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def __getattr__(self, name: str) -> Callable[[], None]:
        # Any method is ours to answer and to enter in the ledger: do_GET, do_POST ...
        if name.startswith("do_"):
            return self._answer
        raise AttributeError(name)

    def log_message(self, *_: object) -> None:
        """Keep quiet: the ledger says more."""

    def _answer(self) -> None:
        provider = self.server.provider
        request = Request(
            at=time.time(),
            mode="",
            method=self.command,
            # Not self.path, in which // at the beginning has become /.
            path=self.requestline.split()[1],
            client=self.client_address[:2],
            headers={name.lower(): value for name, value in self.headers.items()},
        )
        provider.begin(request)
        try:
            self._decide(provider, request)
        except OSError:
            # The client has left, or the provider was stopped.
            self.close_connection = True
        finally:
            provider.note(request, ended=time.time())

    def _decide(self, provider: Fake, request: Request) -> None:
        if request.mode == "reset":
            self._reset()
            return
        raw = self._read(request)
        try:
            provider.check_head(request)
            body = provider.check_body(raw, request)
        except Violation as exc:
            provider.note(request, verdict=exc.code, violation=f"{exc.code}: {exc}")
            self._say(request, exc.code)
            return
        provider.note(request, body=body)
        mode = request.mode
        if mode == "400":
            self._verdict(request, 400, provider.unparsed)
        elif match := re.fullmatch(rf"([1-5][0-9]{{2}}):({provider.form})", mode):
            self._verdict(request, int(match[1]), match[2])
        elif re.fullmatch(r"[1-5][0-9]{2}", mode):
            self._page(request, int(mode))
        elif mode.startswith("200:"):
            self._send(request, 200, mode.removeprefix("200:").encode())
        elif mode == "redirect":
            self._send(request, 307, b"", {"Location": f"{provider.url}/elsewhere"})
        elif mode == "hang":
            self._hang(provider)
        elif mode not in MODES or mode in provider.codes:
            code = provider.codes.get(mode, mode)
            self._verdict(request, provider.status(code), code)
        else:
            verdict = provider.accept(request)
            provider.note(request, verdict=verdict)
            self._accepted(provider, request, verdict)

    def _read(self, request: Request) -> bytes:
        """Read the body before anything is said of the head: a client whose body stays unread may miss the answer."""
        length = request.headers.get("content-length", "")
        if re.fullmatch(r"[0-9]{1,6}", length) and int(length) <= MOST_BODY:
            return self.rfile.read(int(length))
        # Nobody knows where the next request would begin.
        self.close_connection = True
        return b""

    def _accepted(self, provider: Fake, request: Request, verdict: str) -> None:
        """Answer what was accepted, each mode in its own way."""
        match request.mode:
            case "accept_then_hang":
                self._hang(provider)
            case "accept_then_502":
                self._page(request, 502)
            case "accept_then_garbage":
                self._send(request, 200, provider.answer(request, verdict)[:-9])
            case "accept_then_reset":
                self._reset()
            case "slow_drip":
                answer = provider.answer(request, verdict)
                self._write(request, _head(200, len(answer)))
                self._drip(provider, request, answer)
            case "slow_headers":
                self._drip(provider, request, _head(200, 2) + b"{}")
            case "huge_body":
                self._write(request, _head(200, HUGE))
                chunk = b" " * 65536
                for _ in range(HUGE // len(chunk)):
                    self._write(request, chunk)
            case "endless_headers":
                self._write(request, b"HTTP/1.1 200 OK\r\n")
                while request.written < HUGE:
                    self._write(request, b"X-More: " + b"x" * 4096 + b"\r\n")
            case _:
                self._say(request, verdict)

    def _verdict(self, request: Request, status: int, code: str) -> None:
        self.server.provider.note(request, verdict=code)
        self._say(request, code, status)

    def _say(self, request: Request, code: str, status: int = 0) -> None:
        """Answer as the provider does."""
        provider = self.server.provider
        body = provider.answer(request, code)
        self._send(request, status or provider.status(code), body, {"Content-Type": provider.kind})

    def _page(self, request: Request, status: int) -> None:
        """Answer as something in front of the provider would."""
        self._send(request, status, b"<html><body>nginx</body></html>", {"Content-Type": "text/html"})

    def _send(self, request: Request, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        more = dict(headers or {})
        if self.close_connection:
            more["Connection"] = "close"
        self._write(request, _head(status, len(body), more) + body)

    def _write(self, request: Request, data: bytes) -> None:
        self.wfile.write(data)
        self.wfile.flush()
        self.server.provider.note(request, written=request.written + len(data))

    def _drip(self, provider: Fake, request: Request, data: bytes) -> None:
        for at in range(len(data)):
            self._write(request, data[at : at + 1])
            if provider.closing.wait(provider.drip):
                break
        self.close_connection = True

    def _hang(self, provider: Fake) -> None:
        """Say nothing until the client leaves."""
        self.close_connection = True
        self.connection.settimeout(0.1)
        while not provider.closing.is_set():
            with suppress(TimeoutError):
                if not self.connection.recv(1):
                    break

    def _reset(self) -> None:
        """Close in the rude way: the client's read fails instead of coming to an end."""
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        # rfile holds the socket open, and the reset goes out only with the real close.
        self.rfile.close()
        self.connection.close()


def _head(status: int, length: int, headers: dict[str, str] | None = None) -> bytes:
    lines = [f"HTTP/1.1 {status} Fake", f"Content-Length: {length}"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()
