"""daphne's WebSocket protocol: cuts off a client that floods a socket, and says 503 to a handshake that comes too soon.

daphne reads as fast as a client writes. While a handshake waits for our answer it keeps every byte, and when we have
closed a socket it reads on for a second, in which thirty floods at once held up everybody else. It answers 403 to every
handshake that is refused, and knows no `websocket.http.response`, the ASGI extension for another status.

Saves: that memory and time, and 3 kB of an open page: copies of the handshake.
Breaks if: daphne no longer looks up `WebSocketFactory.protocol` at each connection, or autobahn renames `consumeData`,
`failHandshake`, `http_request_data`, `http_headers`, `closedByMe` or its states. Held by tests/project/test_hooks.py.
"""

from __future__ import annotations

from typing import Any

from daphne import ws_protocol

from project.live.handshakes import TRY_AGAIN_LATER, retry_after

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
    is_later = False

    def onOpen(self) -> None:  # noqa: N802  (autobahn's name)
        """Forget the handshake: autobahn keeps its headers twice more, and the scope needs none of its own."""
        self.http_request_data = b""
        self.http_headers = self.request.headers = {}
        # This list is the scope's.
        self.clean_headers[:] = [pair for pair in self.clean_headers if pair[0] not in HANDSHAKE]
        super().onOpen()

    def handle_reply(self, message: dict[str, Any]) -> None:
        """Do what the application says; note when it refuses a handshake for now only."""
        self.is_later = self.state == self.STATE_CONNECTING and message.get("code") == TRY_AGAIN_LATER
        super().handle_reply(message)

    def failHandshake(  # noqa: N802  (autobahn's name)
        self,
        reason: str,
        code: int = 400,
        responseHeaders: list[tuple[str, str]] | None = None,  # noqa: N803
    ) -> None:
        """Refuse a handshake: with 503 and a time to wait if it may come again."""
        if self.is_later:
            reason, code, responseHeaders = "Service Unavailable", 503, [("Retry-After", str(retry_after()))]  # noqa: N806
        super().failHandshake(reason, code, responseHeaders)

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
