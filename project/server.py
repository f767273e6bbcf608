"""daphne, less what it believes of a visitor and what it tells of itself.

It is started as `daphne asgi:application`, with whatever options; what is held here holds without any of them. It
offers no way to choose the class of its requests, so `install()` puts ours in that place.
"""

from __future__ import annotations

import re
from typing import Any

from daphne import http_protocol

from project import body, headers

# In the path of a provider's reports: what lets it in.
SECRET = re.compile(rb"^(/receipts/[^/]*/)[^/]+")


class Request(body.Request):
    """A request as daphne reads it off the wire, and daphne's own words when it cannot."""

    def process(self) -> Any:
        """Handle the request, or hand it to the WebSocket protocol, without what only a server may say.

        daphne takes `Daphne-Root-Path` from anybody for the place where the site is, and fails on a letter in it that
        is not ASCII (T-82).
        """
        self.requestHeaders.removeHeader(b"daphne-root-path")
        # We speak none, and daphne fails on one that is not ASCII (T-52).
        self.requestHeaders.removeHeader(b"sec-websocket-protocol")
        # Whatever --server-name says: no banner (ASVS 5.0, 13.4.6), on a handshake either.
        self.server.server_name = self.server.ws_factory.server = ""
        return super().process()

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
        said = headers.complete(
            [(b"content-type", b"text/plain; charset=utf-8")],
            status=status,
            secure=headers.is_secure("https" if self.isSecure() else "http", forwarded),
        )
        self.handle_reply({"type": "http.response.start", "status": status, "headers": said})
        self.handle_reply({"type": "http.response.body", "body": b"%d %s\n" % (status, status_text)})


def install() -> None:
    """Have daphne make requests of this kind. It looks the class up at each connection."""
    http_protocol.WebRequest = Request
    http_protocol.HTTPFactory.log = _unlogged


def _unlogged(_factory: Any, _request: Any) -> None:
    """Keep Twisted from writing each request into a log of its own that nobody reads. daphne's is another."""
