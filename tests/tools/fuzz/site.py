"""A running site: requests and frames that no browser would send. No 5xx, no traceback, no memory that stays."""

from __future__ import annotations

import contextlib
import re
import select
import socket
import time
from typing import TYPE_CHECKING, NamedTuple

from hypothesis import strategies as st

from tests.support.production import PRODUCTION
from tests.support.raw import KEY, RawSocket
from tests.support.stack import Stack
from tests.tools.fuzz.frames import frames
from tests.tools.fuzz.target import Target

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# Kilobytes that daphne may grow by after it has warmed up.
GROWTH = 40_000
# Examples before its size is taken for the first time.
WARM = 200
SECRET = "0123456789abcdef" * 2
SETTINGS = {**PRODUCTION, "YUNTONGXUN_RECEIPT_SECRET": SECRET}


class Watched:
    """The site, and what was last known of it."""

    def __init__(self, stack: Stack) -> None:
        """Take a started site, and get a token and a session."""
        self.stack = stack
        self.read = self.examples = self.size = 0
        person = stack.person()
        self.token = person.token
        self.cookie = "; ".join(f"{name}={value}" for name, value in person.http.cookies.items())

    def look(self) -> None:
        """Fail on whatever the last example left behind."""
        self.examples += 1
        with self.stack.webs[0].log.open("rb") as log:
            log.seek(self.read)
            fresh = log.read().decode(errors="replace")
            self.read = log.tell()
        assert "Traceback" not in fresh, fresh
        if self.examples % 50:
            return
        assert self.stack.get("/healthz").status_code == 200, "it does not answer any more"
        size = self.resident()
        if self.examples <= WARM:
            self.size = size
        assert size - self.size < GROWTH, f"it has grown by {size - self.size} kB in {self.examples} examples"

    def resident(self) -> int:
        """Return daphne's resident memory in kilobytes."""
        with open(f"/proc/{self.stack.webs[0].pid}/status") as status:  # noqa: PTH123
            found = re.search(r"^VmRSS:\s+([0-9]+) kB", status.read(), re.MULTILINE)
        assert found
        return int(found[1])


_watched: list[Watched] = []


@contextlib.contextmanager
def running(folder: Path) -> Iterator[None]:
    """Have a site run for the targets of this file."""
    with Stack(folder, workers=0, **SETTINGS) as stack:
        _watched.append(Watched(stack))
        try:
            yield
        finally:
            _watched.pop()


def watched() -> Watched:
    """Return the site that runs."""
    return _watched[-1]


class Request(NamedTuple):
    """One request's parts."""

    method: str
    path: str
    headers: list[tuple[str, str]]
    body: bytes
    # Whether it brings the token that a form needs.
    token: bool
    # Whether it asks for a WebSocket.
    upgrade: bool = False


latin = st.text(st.characters(max_codepoint=255, exclude_characters="\r\n"), max_size=60)
PATHS = (
    "/", "/login/", "/code/", "/code/withdraw/", "/login/code/", "/logout/", "/state/", "/healthz", "/readyz",
    "/i18n/setlang/", "/static/latchkey.css", "/dev/phone/", "/dev/queue/", "/admin/", "/admin/login/",
    f"/receipts/yuntongxun/{SECRET}/", f"/receipts/aliyun/{SECRET}/", "/ws/",
)  # fmt: skip
HEADERS = (
    "Accept", "Accept-Language", "Accept-Encoding", "Content-Type", "Cookie", "Origin", "Referer", "Host",
    "X-CSRFToken", "HX-Request", "HX-Current-URL", "HX-Target", "X-Forwarded-For", "X-Forwarded-Proto",
    "X-Forwarded-Host", "Daphne-Root-Path", "X_Forwarded_For", "Range", "If-None-Match", "If-Modified-Since",
    "Content-Length", "Transfer-Encoding", "Expect", "Upgrade", "Connection", "X-HTTP-Method-Override",
    "Sec-WebSocket-Protocol", "Sec-WebSocket-Extensions", "Sec-WebSocket-Version", "Sec-WebSocket-Key",
)  # fmt: skip
header_values = st.one_of(
    latin,
    st.sampled_from([
        "application/json", "text/html", "true", "multipart/form-data; boundary=x", "null", "http://127.0.0.1", "*/*",
        "chunked", "0", "5", "100-continue", "websocket", "Upgrade", "bytes=0-1", "zh-hans", "sessionid=x", "close",
        "application/x-www-form-urlencoded; charset=utf-16", "text/html;q*=a'b'c", "gzip, deflate, br",
        "csrftoken=x; django_language=../..", "127.0.0.1, evil", "\xff", "a" * 5000,
    ]),
)  # fmt: skip
form_bodies = st.dictionaries(
    st.sampled_from(
        ["mobile", "code", "username", "password", "purpose", "next", "remembered", "language", "altcha", "x"]
    ),
    st.one_of(st.text(max_size=20), st.sampled_from(["13800138000", "123456", "a-name-of-mine", "on", "/", "zh-hans"])),
).map(lambda made: "&".join(f"{name}={value}" for name, value in made.items()).encode("utf-8", "surrogatepass"))
requests = st.builds(
    Request,
    st.sampled_from(
        ["GET", "POST", "POST", "POST", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE", "PATCH", "FOO", "get"]
    ),
    st.one_of(
        st.sampled_from(PATHS),
        st.tuples(st.sampled_from(PATHS), latin).map("?".join),
        latin.map(lambda text: "/" + text),
        latin,
    ),
    st.lists(st.tuples(st.one_of(st.sampled_from(HEADERS), latin), header_values), max_size=5),
    st.one_of(st.just(b""), form_bodies, st.binary(max_size=200)),
    st.booleans(),
    st.sampled_from([False, False, False, True]),
)


def sent(port: int, data: bytes, *, patience: float) -> bytes:
    """Send bytes and return what comes back until the server hangs up, or says nothing more for a while."""
    said = b""
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection, contextlib.suppress(OSError):
        connection.sendall(data)
        until = time.monotonic() + 5
        while time.monotonic() < until and select.select([connection], [], [], patience)[0]:
            piece = connection.recv(65536)
            if not piece:
                break
            said += piece
    return said


def any_request(request: Request) -> None:
    """T-80, T-81, T-82: any request has an answer below 500, or none."""
    site = watched()
    given = {name.lower() for name, _ in request.headers}
    headers = list(request.headers)
    if "host" not in given:
        headers.insert(0, ("Host", "127.0.0.1"))
    if request.token and "cookie" not in given:
        headers += [("Cookie", site.cookie), ("X-CSRFToken", site.token)]
    if request.body and not given & {"content-length", "transfer-encoding"}:
        headers.append(("Content-Length", str(len(request.body))))
        if "content-type" not in given:
            headers.append(("Content-Type", "application/x-www-form-urlencoded"))
    whole = not request.upgrade and not given & {"content-length", "transfer-encoding", "expect", "connection"}
    if request.upgrade:
        shake = [("Upgrade", "websocket"), ("Sec-WebSocket-Key", KEY), ("Sec-WebSocket-Version", "13")]
        headers += [(name, value) for name, value in shake if name.lower() not in given]
        headers += [("Origin", "http://127.0.0.1")] if "origin" not in given else []
    headers.append(("Connection", "Upgrade" if request.upgrade else "close"))
    head = f"{request.method} {request.path} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in headers)
    answer = sent(site.stack.ports[0], head.encode("latin-1") + b"\r\n" + request.body, patience=3 if whole else 0.1)
    told(site, answer)


def any_bytes(data: bytes) -> None:
    """T-52, T-80: bytes that are no request at all."""
    site = watched()
    told(site, sent(site.stack.ports[0], data + b"\r\n\r\n", patience=0.05))


def told(site: Watched, answer: bytes) -> None:
    """See that an answer gives nothing away."""
    # 503 is an answer too: a part is away, as a worker is here.
    for status in re.findall(rb"^HTTP/1\.[01] ([0-9]{3})", answer, re.MULTILINE):
        assert status < b"500" or status == b"503", answer[:1000]
    assert b"Traceback" not in answer
    assert site.stack.settings["SECRET_KEY"].encode() not in answer
    site.look()


def any_frames(pieces: list[bytes]) -> None:
    """T-49, T-50, T-51, T-52: whatever a client says on its socket, the site goes on without a word in the log."""
    site = watched()
    with RawSocket(site.stack.ports[0]) as raw:
        raw.socket.settimeout(5)
        status = raw.handshake(("Cookie", site.cookie), ("Origin", "http://127.0.0.1"))
        # A place that another connection still holds is given back within a moment.
        assert status in {101, 403, 429, 503}, raw.said
        for piece in pieces:
            raw.send(piece)
        with contextlib.suppress(OSError):
            while select.select([raw.socket], [], [], 0.03)[0] and raw.socket.recv(65536):
                pass
    site.look()


TARGETS = (
    Target("requests", requests, any_request, site=True, guided=False),
    Target(
        "connections", st.one_of(st.binary(max_size=400), latin.map(str.encode)), any_bytes, site=True, guided=False
    ),
    Target("sockets", st.lists(frames, max_size=14), any_frames, site=True, guided=False),
)
