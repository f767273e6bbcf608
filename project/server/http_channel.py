"""One HTTP connection: how long it may take to ask, how much it may say, how long it may rest.

`Factory.protocol` is Twisted's public way to choose the class of a connection.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from daphne import http_protocol
from django.conf import settings
from twisted.web import http

# Seconds from the first byte of a request until its headers are whole.
HEADER_SECONDS = 30
# Bytes of the request line and all headers. Twisted's own limit is the same; it hangs up without a word.
HEADER_BYTES = 16 * 1024
# Seconds that a client has to read a refusal while the rest of its headers is thrown away.
REFUSAL_SECONDS = 2
TOO_LARGE = b"431 Request Header Fields Too Large"
TOO_SLOW = b"408 Request Timeout"

# Twisted's methods have no types.
_HTTPChannel: Any = object if TYPE_CHECKING else http.HTTPChannel


class Channel(_HTTPChannel):  # type: ignore[misc]
    """A connection that answers headers that are too large (431) or too slow (408), and then ends."""

    _came = 0
    _is_refused = False
    _deadline: Any = None

    def connectionMade(self) -> None:  # noqa: N802
        """Take the seconds that an idle connection is kept from the settings."""
        self.timeOut = settings.KEEP_ALIVE
        super().connectionMade()

    def dataReceived(self, data: bytes) -> None:  # noqa: N802  (Twisted's name)
        """Take what has come, unless it belongs to a request that was refused."""
        if self._is_refused:
            return
        if self._deadline is None and not self.requests:
            self._deadline = self.callLater(HEADER_SECONDS, self._refuse, TOO_SLOW)
        super().dataReceived(data)

    def lineReceived(self, line: bytes) -> None:  # noqa: N802
        """Count a line of the head, and take it."""
        self._came += len(line) + 2
        if self._is_refused:
            return
        if self._came > HEADER_BYTES:
            self._refuse(TOO_LARGE)
        else:
            super().lineReceived(line)

    def lineLengthExceeded(self, line: bytes) -> None:  # noqa: N802
        """Refuse a single line that is too long."""
        self._refuse(TOO_LARGE)

    def allHeadersReceived(self) -> None:  # noqa: N802
        """Begin to count anew for the next request of this connection."""
        self._came = 0
        self._stop_clock()
        super().allHeadersReceived()

    def connectionLost(self, reason: Any) -> None:  # noqa: N802
        """Leave no clock behind."""
        self._stop_clock()
        super().connectionLost(reason)

    def _stop_clock(self) -> None:
        if self._deadline is not None and self._deadline.active():
            self._deadline.cancel()
        self._deadline = None

    def _refuse(self, status: bytes) -> None:
        """Answer, and go on reading for a moment: data that nobody reads would reset the connection and the answer."""
        if self._is_refused:
            return
        self._is_refused = True
        self._stop_clock()
        self.transport.write(b"HTTP/1.1 %s\r\nConnection: close\r\nContent-Length: 0\r\n\r\n" % status)
        self.transport.loseWriteConnection()
        self.callLater(REFUSAL_SECONDS, self.transport.abortConnection)


def install() -> None:
    """Have daphne make connections of this kind."""
    http_protocol.HTTPFactory.protocol = Channel
