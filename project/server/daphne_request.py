"""daphne's request: what daphne must not believe of a client, and must not tell of itself, whatever its options.

Saves: a request that never becomes whole is ended after 30 s (408); `Daphne-Root-Path`, a banner, daphne's own error
page, a query or a secret in the access log never happen. A proxy can do most of it; `daphne asgi:application` has none.
Breaks if: daphne no longer looks up `http_protocol.WebRequest` at each connection, or renames what is used here.
Held by tests/project/test_hooks.py.
"""

from __future__ import annotations

import re
import time
from typing import Any

from daphne import http_protocol
from twisted.web.http_headers import Headers

from project import headers
from project.server import daphne_body

# Seconds in which a request must be whole, from its first line on, unless --http-timeout says how many.
RECEIVE_SECONDS = 30
TOO_SLOW = b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
# Seconds that daphne leaves us at least to answer a handshake; by itself it is five, however many wait before it. How
# long one waits at most is for project/live/handshakes.py to say.
HANDSHAKE_SECONDS = 20
# A target in absolute form (RFC 9112, 3.2.2): scheme, authority, and what is asked for there.
ABSOLUTE = re.compile(rb"https?://([^/?#]*)(.*)", re.IGNORECASE)

# In the path of a provider's reports: what lets it in.
SECRET = re.compile(rb"^(/receipts/[^/]*/)[^/]+")


class Request(daphne_body.Request):
    """A request as daphne reads it off the wire, and daphne's own words when it cannot."""

    is_whole = False

    def __init__(self, *args: Any, **options: Any) -> None:
        """Begin with the first line of a request."""
        super().__init__(*args, **options)
        self.began = time.monotonic()

    def check_timeouts(self) -> None:
        """End a request that does not become whole. daphne's clock starts when it is, and a drip never stops it."""
        if self.is_whole:
            super().check_timeouts()
        elif time.monotonic() - self.began > (self.server.http_timeout or RECEIVE_SECONDS):
            self.channel.write(TOO_SLOW)
            self.channel.loseConnection()

    def process(self) -> Any:
        """Handle the request, or hand it to the WebSocket protocol, without what only a server may say.

        daphne takes `Daphne-Root-Path` from anybody for the place where the site is, and fails on a letter in it that
        is not ASCII (T-82). A target in absolute form is the same as the path in it, at the host in it, whatever the
        Host header says (RFC 9112, 3.2.2); here, where handshakes and requests part.
        """
        self.is_whole = True
        if absolute := ABSOLUTE.fullmatch(self.uri):  # type: ignore[has-type]
            host, target = absolute.groups()
            self.uri = target if target.startswith(b"/") else b"/" + target
            self.path = self.uri.split(b"?", 1)[0]
            self.requestHeaders.setRawHeaders(b"host", [host])
        self.requestHeaders.removeHeader(b"daphne-root-path")
        # We speak none, and daphne fails on one that is not ASCII (T-52).
        self.requestHeaders.removeHeader(b"sec-websocket-protocol")
        # Whatever --server-name says: no banner (ASVS 5.0, 13.4.6), on a handshake either.
        self.server.server_name = self.server.ws_factory.server = ""
        self.server.websocket_connect_timeout = max(self.server.websocket_connect_timeout, HANDSHAKE_SECONDS)
        # autobahn's clock for the same.
        self.server.ws_factory.openHandshakeTimeout = self.server.websocket_connect_timeout
        processing = super().process()
        if self.transport is None:
            # daphne has handed the connection to the WebSocket protocol, and Twisted keeps this request as long as it.
            self.requestHeaders: Headers = Headers()
        return processing

    def handle_reply(self, message: dict[str, Any]) -> None:
        """Write a part of the answer. The access log gets a path without a query and without a secret in it (T-84)."""
        self.uri = SECRET.sub(rb"\1***", self.path)
        super().handle_reply(message)

    def basic_error(self, status: int, status_text: bytes, body: str) -> None:
        """Answer what never reached us, or took too long. daphne has a page of its own for it, which names it."""
        if self._response_started:
            # The answer has begun: it can only end here. daphne would fail on a second beginning.
            self.finish()
            return
        forwarded = self.requestHeaders.getRawHeaders(b"x-forwarded-proto", [b""])[-1]
        said = headers.with_hsts(
            headers.complete([(b"content-type", b"text/plain; charset=utf-8")], status=status),
            secure=headers.is_secure("https" if self.isSecure() else "http", forwarded),
        )
        self.handle_reply({"type": "http.response.start", "status": status, "headers": said})
        self.handle_reply({"type": "http.response.body", "body": b"%d %s\n" % (status, status_text)})


def install() -> None:
    """Have daphne use this class, and write no second access log. It looks the class up at each connection."""
    http_protocol.WebRequest = Request
    http_protocol.HTTPFactory.log = _unlogged


def _unlogged(_factory: Any, _request: Any) -> None:
    """Keep Twisted from writing each request into a log of its own that nobody reads. daphne's is another."""
