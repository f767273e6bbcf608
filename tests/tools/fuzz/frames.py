"""Frames, in this process: the protocol that daphne has for sockets, with the limits that we start it with.

What lies behind it, the consumer, takes any text; tests/tools/fuzz/site.py sends frames to a whole site.
"""

from __future__ import annotations

import logging
from queue import SimpleQueue
from typing import Any

from daphne.ws_protocol import WebSocketFactory
from hypothesis import strategies as st
from twisted.internet.defer import succeed
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport

from project.run.runner import DAPHNE
from tests.support.raw import KEY, frame
from tests.tools.fuzz.target import Target

LIMIT = int(DAPHNE[DAPHNE.index("--websocket-max-message-size") + 1])
HANDSHAKE = (
    "GET /ws/ HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    f"Sec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n\r\n"
).encode()
logging.getLogger("daphne").setLevel(logging.CRITICAL)


class Server:
    """As much of daphne's server as a socket asks for."""

    root_path = ""
    proxy_forwarded_address_header = None

    def __init__(self) -> None:
        """Begin with nothing received."""
        self.queue: SimpleQueue[dict[str, Any]] = SimpleQueue()

    def protocol_connected(self, protocol: object) -> None:
        """Take no note."""

    def protocol_disconnected(self, protocol: object) -> None:
        """Take no note."""

    def log_action(self, protocol: str, action: str, details: object) -> None:
        """Take no note."""

    def create_application(self, protocol: object, scope: object) -> Any:
        """Give the queue that an application would read."""
        return succeed(self.queue)


def any_stream(pieces: list[bytes]) -> None:
    """T-51, T-52, T-53: nothing raises, nothing longer than the limit is kept or handed on."""
    server = Server()
    factory = WebSocketFactory(server, reactor=Clock())
    factory.setProtocolOptions(
        maxMessagePayloadSize=LIMIT, maxFramePayloadSize=LIMIT, openHandshakeTimeout=0, closeHandshakeTimeout=0
    )
    protocol = factory.buildProtocol(None)
    protocol._raw_query_string = b""
    transport: Any = StringTransport()  # type: ignore[no-untyped-call]
    # As an HTTP connection has one by the time it is upgraded.
    transport.registerProducer(object(), streaming=True)
    protocol.makeConnection(transport)
    protocol.dataReceived(HANDSHAKE)
    protocol.serverAccept()
    assert b" 101 " in transport.value(), "or this means nothing"
    for piece in pieces:
        if transport.disconnecting or transport.disconnected:
            break
        protocol.dataReceived(piece)
        # Two frames' worth: one that is read, one that has come with it.
        assert len(protocol.data or b"") <= LIMIT + len(piece) + 14
    while not server.queue.empty():
        event = server.queue.get()
        if event["type"] == "websocket.receive":
            message = event.get("text", "").encode() if "text" in event else event["bytes"]
            assert len(message) <= LIMIT


def any_bytes(data: bytes) -> None:
    """As any_stream, for atheris: in one piece, or byte by byte."""
    any_stream([data[1:]] if data[:1] < b"\x80" else [data[at : at + 1] for at in range(1, min(len(data), 300))])


payloads = st.one_of(st.binary(max_size=130), st.text(max_size=40).map(lambda text: text.encode()))
frames = st.one_of(
    st.builds(
        lambda payload, opcode, masked: frame(payload, opcode=opcode, masked=masked),
        payloads, st.sampled_from([0, 1, 2, 8, 9, 10]), st.sampled_from([True, True, True, False]),
    ),
    st.builds(lambda payload, first: frame(payload, first=first), payloads, st.integers(0, 255)),
    # Lengths that are only said.
    st.builds(lambda first, size: bytes([first, 0xFF]) + size.to_bytes(8, "big") + b"mask", st.integers(0, 255),
              st.sampled_from([0, 125, 65535, 65536, 65537, 2**31, 2**63 - 1, 2**63, 2**64 - 1])),
    st.binary(max_size=60),
)  # fmt: skip
SEEDS = tuple(
    b"\x00" + made
    for made in (
        frame(b"hello"), frame(b"hello", opcode=2), frame(b"", opcode=9), frame(b"\x03\xe8", opcode=8),
        frame("é".encode(), first=0x01) + frame(b"x", first=0x80), frame(b"a" * 200),
    )
)  # fmt: skip
TARGETS = (Target("frames", st.lists(frames, max_size=10), any_stream, raw=any_bytes, seeds=SEEDS),)
