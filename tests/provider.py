"""A Yuntongxun that we run ourselves: it checks a TemplateSMS request as strictly as the real one, and fails on order.

    with Provider() as provider:
        for name, value in provider.settings.items():
            setattr(settings, name, value)
        provider.script("503", "accept_then_hang")  # the next two requests; after them `provider.mode`, which is "ok"
        ...
        assert [sms.code for sms in provider.wait_for_sent(1)] == [code]
        assert provider.violations == []

`sent` is what handsets received, `requests` is everything that arrived with what became of it, `violations` is what a
correct client never does. Stopping is immediate, whatever hangs. By hand: `python -m tests.provider --port 8883`.
"""

from __future__ import annotations

import argparse
import base64
import binascii
import hashlib
import hmac
import json
import re
import socket
import struct
import sys
import threading
import time
from collections import Counter, deque
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import parse_qs, unquote

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterator

    # socketserver's word for what it hands about; the tuple is UDP's.
    Connection = socket.socket | tuple[bytes, socket.socket]

BEIJING = timezone(timedelta(hours=8))
# Placeholders of the template that the account has: {1} the code, {2} the minutes.
PLACEHOLDERS = 2
# Numbers that one request may name.
MOST_NUMBERS = 200
# Bytes of a request that are read. A conforming one has 200, or 2,600 with every number that is allowed.
MOST_BODY = 64 * 1024
# Bytes that `huge_body` promises.
HUGE = 64 * 1024 * 1024

# Ways to answer, for `mode` and `script`. Besides these, "160038" (any six digits) answers 200 with that status code,
# "404" (any HTTP error) answers that status with a page and no word of the provider's, "401:111109" has both, and
# "200:" followed by any other text answers 200 with just that text.
MODES = {
    "ok": "accepts it",
    "auth_error": "111143, a bad token",
    "balance": "111142, no balance",
    "bad_number": "160042",
    "too_frequent": "160038",
    "busy": "111111, too many requests at once",
    "400": "HTTP 400 with 160031, could not be parsed",
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
_CODES = {
    "auth_error": "111143",
    "balance": "111142",
    "bad_number": "160042",
    "too_frequent": "160038",
    "busy": "111111",
}
_ACCEPTED = "000000"
_DUPLICATE = "160054"


@dataclass(frozen=True, slots=True)
class SMS:
    """What one handset received."""

    to: str
    code: str
    minutes: str
    # The request's reqId.
    req_id: str
    # Unix time.
    at: float


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


class Provider:
    """The far side of the gateway, on a port of its own."""

    def __init__(
        self,
        port: int = 0,
        *,
        account_sid: str = "8aaf07086010a0eb016019ab9f0d0001",
        auth_token: str = "0f1e2d3c4b5a69788796a5b4c3d2e1f0",
        app_id: str = "8aaf07086010a0eb016019aba0c60007",
        template_id: str = "1",
        # Seconds in which a number gets one SMS, else 160038. The real one has some such limit; most tests want none.
        cooldown: float = 0.0,
        # Seconds between two bytes of a drip.
        drip: float = 0.5,
        tls: ssl.SSLContext | None = None,
        on_sent: Callable[[SMS], None] | None = None,
    ) -> None:
        self.account_sid = account_sid
        self.auth_token = auth_token
        self.app_id = app_id
        self.template_id = template_id
        self.cooldown = cooldown
        self.drip = drip
        self.port = port
        self.closing = threading.Event()
        self._tls = tls
        self._on_sent = on_sent
        self._changed = threading.Condition()
        self._mode = "ok"
        self._script: deque[str] = deque()
        self._sent: list[SMS] = []
        self._requests: list[Request] = []
        # The reqIds of each day, as the real one counts them.
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
        """What YUNTONGXUN_BASE_URL has to be."""
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    @property
    def settings(self) -> dict[str, str]:
        """The account as Latchkey's settings, which are also its environment variables."""
        return {
            "YUNTONGXUN_ACCOUNT_SID": self.account_sid,
            "YUNTONGXUN_AUTH_TOKEN": self.auth_token,
            "YUNTONGXUN_APP_ID": self.app_id,
            "YUNTONGXUN_TEMPLATE_ID": self.template_id,
            "YUNTONGXUN_BASE_URL": self.url,
        }

    @property
    def mode(self) -> str:
        """How a request is answered when the script has run out."""
        with self._changed:
            return self._mode

    @mode.setter
    def mode(self, mode: str) -> None:
        with self._changed:
            self._mode = _known(mode)

    def script(self, *modes: str) -> None:
        """Say how the next requests are answered, one each, in the order in which they arrive."""
        with self._changed:
            self._script.extend([_known(mode) for mode in modes])

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
        path, _, query = request.path.partition("?")
        match = re.fullmatch(r"/([^/]+)/Accounts/([^/]+)/SMS/TemplateSMS", path)
        if request.method != "POST" or not match:
            raise Violation("111100", f"{request.method} {path} is not a TemplateSMS request")
        version, sid = map(unquote, match.groups())
        if version != "2013-12-26":
            raise Violation("111110", f"version {version}")
        sig = request.sig = parse_qs(query).get("sig", [""])[0]
        if not sig:
            raise Violation("111108", "no sig")
        timestamp = self._check_authorization(request.headers.get("authorization", ""), sid)
        if sid != self.account_sid:
            raise Violation("111141", "no such account")
        expected = hashlib.md5(f"{sid}{self.auth_token}{timestamp}".encode()).hexdigest().upper()
        if not hmac.compare_digest(sig.encode(), expected.encode()):
            raise Violation("111109", "sig is not the upper-case MD5 of sid, token and the header's timestamp")
        # Here the real one may be more lenient. A client that sends what the page shows has nothing to fear.
        accept = request.headers.get("accept", "")
        if accept != "application/json":
            raise Violation("160031", f"Accept is {accept!r}")
        kind = request.headers.get("content-type", "").replace(" ", "").lower()
        if kind != "application/json;charset=utf-8":
            raise Violation("160031", f"Content-Type is {kind!r}")
        length = request.headers.get("content-length", "")
        if not re.fullmatch(r"[0-9]{1,6}", length) or int(length) > MOST_BODY or "transfer-encoding" in request.headers:
            raise Violation("160031", f"Content-Length is {length!r}")

    def _check_authorization(self, header: str, sid: str) -> str:
        if not header:
            raise Violation("111101", "no Authorization")
        try:
            decoded = base64.b64decode(header, validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            raise Violation("111102", "Authorization is not base64") from None
        named, colon, timestamp = decoded.partition(":")
        if not colon:
            raise Violation("111103", "Authorization is not sid:timestamp")
        if not named:
            raise Violation("111104", "Authorization has no sid")
        if not timestamp:
            raise Violation("111105", "Authorization has no timestamp")
        when = moment(timestamp)
        if not when:
            raise Violation("111113", "timestamp is not yyyyMMddHHmmss")
        if abs(datetime.now(BEIJING) - when) > timedelta(hours=24):
            raise Violation("111106", "timestamp is more than 24 hours off")
        if named != sid:
            raise Violation("111107", "Authorization and address name two accounts")
        return timestamp

    def check_body(self, raw: bytes) -> dict[str, Any]:
        """Check the body and return it. Raises Violation."""
        if not raw:
            raise Violation("160030", "no body")
        try:
            body = json.loads(raw.decode())
        except ValueError:
            raise Violation("160031", "the body is not JSON in UTF-8") from None
        if not isinstance(body, dict):
            raise Violation("160031", "the body is not an object")
        unknown = set(body) - {"to", "appId", "templateId", "datas", "reqId", "subAppend"}
        if unknown:
            raise Violation("160031", f"unknown fields {sorted(unknown)}")
        for name in set(body) - {"datas"}:
            if not isinstance(body[name], str):
                raise Violation("160031", f"{name} is not a string")
        self._check_numbers(body.get("to", ""))
        self._check_template(body)
        if "reqId" in body:
            if len(body["reqId"]) > 32:
                raise Violation("160055", "reqId is longer than 32")
            if not re.fullmatch(r"[0-9A-Za-z]+", body["reqId"]):
                raise Violation("160031", "reqId is not letters and digits")
        if not re.fullmatch(r"([0-9]{4})?", body.get("subAppend", "")):
            raise Violation("160065", "subAppend is not four digits")
        return body

    def _check_numbers(self, to: str) -> None:
        if not to:
            raise Violation("160044", "no number")
        numbers = to.split(",")
        if len(numbers) > MOST_NUMBERS:
            raise Violation("160048", f"{len(numbers)} numbers")
        if max(Counter(numbers).values()) > 1:
            raise Violation("160045", "a number twice")
        # Mainland as in all examples of the page. Abroad with 00 is our guess at what the real one takes.
        if not all(re.fullmatch(r"1[3-9][0-9]{9}|00[1-9][0-9]{6,14}", number) for number in numbers):
            raise Violation("160042", "not a number")
        if len(numbers) > 1 and any(number.startswith("00") for number in numbers):
            raise Violation("160059", "numbers abroad go one by one")

    def _check_template(self, body: dict[str, Any]) -> None:
        if not body.get("appId"):
            raise Violation("111169", "no appId")
        if body["appId"] != self.app_id:
            raise Violation("111181", "no such app")
        if not re.fullmatch(r"[0-9]+", body.get("templateId", "")):
            raise Violation("160057", "templateId is not digits")
        if body["templateId"] != self.template_id:
            raise Violation("160032", "no such template")
        datas = body.get("datas")
        if not isinstance(datas, list) or not all(isinstance(each, str) for each in datas):
            raise Violation("160052", "datas is not a list of strings")
        if len(datas) != PLACEHOLDERS:
            raise Violation("160052", f"{len(datas)} datas for {PLACEHOLDERS} placeholders")
        if self.template_id == "1" and not all(re.fullmatch(r"[0-9]+", each) for each in datas):
            raise Violation("160069", "the test template takes digits only")

    def accept(self, body: dict[str, Any]) -> str:
        """Take a conforming message unless its reqId or its number says no; return the status code."""
        now = time.time()
        numbers = body["to"].split(",")
        key = (datetime.now(BEIJING).strftime("%Y%m%d"), body.get("reqId", ""))
        with self._changed:
            if key[1] and key in self._taken:
                return _DUPLICATE
            if self.cooldown and any(sms.to in numbers and now - sms.at < self.cooldown for sms in self._sent):
                return "160038"
            # Only what was accepted uses its reqId up. Whether the real one agrees is not known.
            self._taken.add(key)
            code, minutes = body["datas"]
            new = [SMS(number, code, minutes, key[1], now) for number in numbers]
            self._sent += new
            self._changed.notify_all()
        for sms in new:
            if self._on_sent:
                self._on_sent(sms)
        return _ACCEPTED


def moment(timestamp: str) -> datetime | None:
    """Read a yyyyMMddHHmmss of Beijing."""
    # The digits are counted here, because strptime is content with fewer.
    with suppress(ValueError):
        if re.fullmatch(r"[0-9]{14}", timestamp):
            return datetime.strptime(timestamp, "%Y%m%d%H%M%S").replace(tzinfo=BEIJING)
    return None


def _known(mode: str) -> str:
    if mode in MODES or re.fullmatch(r"[0-9]{6}|[1-5][0-9]{2}|[1-5][0-9]{2}:[0-9]{6}|200:.*", mode, re.DOTALL):
        return mode
    raise ValueError(f"no mode {mode!r}; write a status code, an HTTP status, or one of {', '.join(MODES)}")


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    # Nobody waits for the threads of hanging requests: they end by themselves once their sockets are cut.
    block_on_close = False
    # Sixty-four people may ask at the same moment.
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], provider: Provider, tls: ssl.SSLContext | None) -> None:
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

    def _decide(self, provider: Provider, request: Request) -> None:
        if request.mode == "reset":
            self._reset()
            return
        raw = self._read(request)
        try:
            provider.check_head(request)
            body = provider.check_body(raw)
        except Violation as exc:
            provider.note(request, verdict=exc.code, violation=f"{exc.code}: {exc}")
            self._say(request, exc.code)
            return
        provider.note(request, body=body)
        mode = request.mode
        if mode in _CODES or re.fullmatch(r"[0-9]{6}", mode):
            self._verdict(request, 200, _CODES.get(mode, mode))
        elif mode == "400":
            self._verdict(request, 400, "160031")
        elif match := re.fullmatch(r"([1-5][0-9]{2}):([0-9]{6})", mode):
            self._verdict(request, int(match[1]), match[2])
        elif re.fullmatch(r"[1-5][0-9]{2}", mode):
            self._page(request, int(mode))
        elif mode.startswith("200:"):
            self._send(request, 200, mode.removeprefix("200:").encode())
        elif mode == "redirect":
            self._send(request, 307, b"", {"Location": f"{provider.url}/elsewhere"})
        elif mode == "hang":
            self._hang(provider)
        else:
            verdict = provider.accept(body)
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

    def _accepted(self, provider: Provider, request: Request, verdict: str) -> None:
        """Answer what was accepted, each mode in its own way."""
        match request.mode:
            case "accept_then_hang":
                self._hang(provider)
            case "accept_then_502":
                self._page(request, 502)
            case "accept_then_garbage":
                self._send(request, 200, b'{"statusCode":"0000')
            case "accept_then_reset":
                self._reset()
            case "slow_drip":
                answer = self._body(request, verdict)
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

    def _say(self, request: Request, code: str, status: int = 200) -> None:
        """Answer as the provider does: JSON, and HTTP 200 whatever it says."""
        self._send(request, status, self._body(request, code), {"Content-Type": "application/json;charset=utf-8"})

    def _body(self, request: Request, code: str) -> bytes:
        answer: dict[str, object] = {"statusCode": code}
        if code == _ACCEPTED:
            # Any id will do that no other message has.
            sid = hashlib.md5(f"{request.at} {request.client} {request.req_id}".encode()).hexdigest()
            created = datetime.now(BEIJING).strftime("%Y%m%d%H%M%S")
            answer["templateSMS"] = {"dateCreated": created, "smsMessageSid": sid}
        else:
            # The real one may say anything here, so ours says the worst: everything that it was told.
            answer["statusMsg"] = f"错误 {request.path} {request.headers} {request.body}"
        return json.dumps(answer, ensure_ascii=False).encode()

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

    def _drip(self, provider: Provider, request: Request, data: bytes) -> None:
        for at in range(len(data)):
            self._write(request, data[at : at + 1])
            if provider.closing.wait(provider.drip):
                break
        self.close_connection = True

    def _hang(self, provider: Provider) -> None:
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


def main() -> None:
    """Run until Ctrl-C and print each SMS."""
    modes = "\n".join(f"  {name:20} {meaning}" for name, meaning in MODES.items())
    parser = argparse.ArgumentParser(
        prog="python -m tests.provider",
        description="A fake Yuntongxun that checks like the real one.",
        epilog=f"modes:\n{modes}\n  160038               any status code\n  503                  any HTTP status",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--port", type=int, default=0, help="default: a free one")
    parser.add_argument("--mode", default="ok", help="how requests are answered")
    parser.add_argument("--script", nargs="*", default=[], metavar="MODE", help="how the first ones are answered")
    parser.add_argument("--cooldown", type=float, default=0.0, metavar="SECONDS", help="one SMS a number in that time")
    options = parser.parse_args()

    def say(line: str) -> None:
        sys.stdout.write(line + "\n")
        sys.stdout.flush()

    def show(sms: SMS) -> None:
        say(f"{sms.to}: your code is {sms.code}, enter it within {sms.minutes} minutes (reqId {sms.req_id})")

    with Provider(options.port, cooldown=options.cooldown, on_sent=show) as provider:
        try:
            provider.mode = options.mode
            provider.script(*options.script)
        except ValueError as exc:
            parser.error(str(exc))
        say("Yuntongxun, or nearly. Start Latchkey with:\n")
        say("\n".join(f"export {name}={value}" for name, value in provider.settings.items()))
        say("export SMS_GATEWAYS=yuntongxun\n")
        seen = 0
        with suppress(KeyboardInterrupt):
            while True:
                time.sleep(0.2)
                requests = provider.requests
                for request in requests[seen:]:
                    say(f"  {request.method} {request.path.partition('?')[0]} [{request.mode}] {request.violation}")
                seen = len(requests)


if __name__ == "__main__":
    main()
