"""daphne's WebSocket protocol: stops reading from a client that floods a socket before or after it is open.

daphne reads as fast as a client writes. While a handshake waits for our answer it keeps every byte, and when we have
closed a socket it reads on for a second, in which thirty floods at once held up everybody else.

Saves: that memory and time, and 3 kB of an open page: copies of the handshake.
Breaks if: daphne no longer looks up `WebSocketFactory.protocol` at each connection, or autobahn renames `consumeData`,
`http_request_data`, `http_headers`, `closedByMe` or its states. Held by tests/project/test_hooks.py.
"""

from __future__ import annotations

from typing import Any

from daphne import ws_protocol

# Bytes. A client that is not let in yet has nothing to say (RFC 6455, 4.1).
BEFORE = 4096
# One that was shown out may have written this before it knew; then it answers, or is cut off (7.1.7).
AFTER = 16 * 1024
# Headers of no use once the socket is open.
HANDSHAKE = {
    b"connection", b"upgrade", b"cache-control", b"pragma", b"accept-encoding",
    b"sec-websocket-key", b"sec-websocket-version", b"sec-websocket-extensions",
}  # fmt: skip


class Protocol(ws_protocol.WebSocketProtocol):  # type: ignore[misc]
    """daphne's protocol, which cuts off a client that goes on before it is let in or after it was shown out."""

    # daphne sets it when it asks the application whether this one may come in.
    request: Any = None
    came_after = 0

    def onOpen(self) -> None:  # noqa: N802  (autobahn's name)
        """Forget the handshake: autobahn keeps its headers twice more, and the scope needs none of its own."""
        self.http_request_data = b""
        self.http_headers = self.request.headers = {}
        # This list is the scope's.
        self.clean_headers[:] = [pair for pair in self.clean_headers if pair[0] not in HANDSHAKE]
        super().onOpen()

    def consumeData(self) -> None:  # noqa: N802  (autobahn's name)
        """Take what has come, `self.data`, if this client has a say. autobahn calls it again after the handshake."""
        if self.state == self.STATE_CONNECTING and self.request is not None:
            # By itself autobahn would look for the beginning of another handshake in it.
            if len(self.data) > BEFORE:
                self.dropConnection(abort=True)
            return
        if self.state == self.STATE_CLOSING and self.closedByMe:
            self.came_after += len(self.data)
            if self.came_after > AFTER:
                self.dropConnection(abort=True)
                return
        super().consumeData()


def install() -> None:
    """Have daphne make protocols of this kind. It looks the class up at each connection."""
    ws_protocol.WebSocketFactory.protocol = Protocol
