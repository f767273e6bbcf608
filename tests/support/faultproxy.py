"""A TCP proxy that fails on order, to stand in front of Redis, RabbitMQ, PostgreSQL or a provider.

    with FaultProxy("127.0.0.1", 5672) as proxy:
        client = connect("127.0.0.1", proxy.port)
        proxy.hang()      # a black hole: nothing moves, nothing is lost; `heal` lets it all through, as TCP would
        proxy.away()      # nobody listens: open connections are reset, new ones refused
        proxy.reset()     # open connections are reset once; new ones work
        proxy.swallow()   # open connections die without a word to anybody; new ones work
        proxy.deafen()    # what is sent to the server arrives, no answer comes back; until `heal`
        proxy.drop_reply(b"LPUSH")   # the next such command is done; its reply is lost, the connection with it
        proxy.say(b"...")     # every client hears this from the server
        proxy.heal()
        assert proxy.dropped == 1

It changes nothing on the machine: only who connects through it notices. `connections` counts those accepted so far,
`sent` and `received` the bytes passed on to and from the server.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from typing import BinaryIO, Self

# Seconds within which the server behind must take a connection.
CONNECT = 5.0
BLOCK = 65536


class _Pair:
    """One client's connection and ours to the server."""

    def __init__(self, client: socket.socket, server: socket.socket) -> None:
        """Take both ends."""
        self.client, self.server = client, server
        # The reply to a chosen command is on its way: the next answer ends the connection.
        self.doomed = False
        # What comes from either end is lost, and neither end is told.
        self.dead = False

    def break_off(self) -> None:
        """Reset both, as a crash does: what was on its way is gone."""
        for end in (self.client, self.server):
            with contextlib.suppress(OSError):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            # Before the close: a thread that reads holds the socket open.
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RD)
            end.close()


class FaultProxy:
    """A proxy on a port of its own. Faults may be ordered from any thread."""

    def __init__(self, host: str, port: int, *, at: int = 0, tap: BinaryIO | None = None) -> None:
        """Take the server to stand in front of, and where to stand. All that passes is also written to the tap."""
        self.server = (host, port)
        self._tap = tap
        self.port = at
        self.connections = self.sent = self.received = self.dropped = 0
        self._lock = threading.Lock()
        # Set while bytes may move to the server and back.
        self._there = threading.Event()
        self._back = threading.Event()
        self._there.set()
        self._back.set()
        self._marker = b""
        self._pairs: set[_Pair] = set()
        self._listener: socket.socket | None = None
        self._ended = False
        self._ending = threading.Event()

    def __enter__(self) -> Self:
        """Listen."""
        self._listen()
        return self

    def __exit__(self, *problem: object) -> None:
        """End everything at once, whatever hangs."""
        self._ended = True
        self._ending.set()
        self.away()
        self._there.set()
        self._back.set()

    # --- Faults ---

    def hang(self) -> None:
        """Swallow everything for now, in both directions and of new connections as well."""
        self._there.clear()
        self._back.clear()

    def deafen(self) -> None:
        """Let through what clients send, and keep what the server answers."""
        self._back.clear()

    def away(self) -> None:
        """Be nobody: reset what is open and refuse what comes."""
        with self._lock:
            listener, self._listener = self._listener, None
        if listener is not None:
            # Wakes the thread in accept, which would hold the port open.
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        self.reset()

    def reset(self) -> None:
        """Reset what is open now."""
        with self._lock:
            pairs, self._pairs = self._pairs, set()
        for pair in pairs:
            pair.break_off()

    def swallow(self) -> None:
        """Let what is open now die as it does behind a router that has forgotten it: no FIN, no RST, no byte."""
        with self._lock:
            for pair in self._pairs:
                pair.dead = True

    def drop_reply(self, marker: bytes) -> None:
        """Lose the reply to the next piece of data to the server that holds these bytes."""
        self._marker = marker

    def say(self, data: bytes) -> None:
        """Tell every client something as if the server had said it, between two messages of its own."""
        with self._lock:
            for pair in self._pairs:
                with contextlib.suppress(OSError):
                    pair.client.sendall(data)

    def heal(self) -> None:
        """Pass everything on again, first of all what waits."""
        self._marker = b""
        self._there.set()
        self._back.set()
        if self._listener is None:
            self._listen()

    # --- Work ---

    def _listen(self) -> None:
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", self.port))
        listener.listen(128)
        self.port = listener.getsockname()[1]
        self._listener = listener
        threading.Thread(target=self._accept, args=(listener,), name="faultproxy", daemon=True).start()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _address = listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(client,), name="faultproxy", daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        self._there.wait()
        try:
            server = socket.create_connection(self.server, timeout=CONNECT)
        except OSError:
            client.close()
            return
        server.settimeout(None)
        for end in (client, server):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        pair = _Pair(client, server)
        with self._lock:
            gone = self._ended or self._listener is None
            self._pairs.add(pair)
        if gone:
            self.reset()
            return
        threading.Thread(target=self._answers, args=(pair,), name="faultproxy", daemon=True).start()
        with contextlib.suppress(OSError):
            while data := client.recv(BLOCK):
                self._there.wait()
                if pair.dead:
                    continue
                with self._lock:
                    if self._marker and self._marker in data:
                        self._marker, pair.doomed = b"", True
                self._keep(data)
                server.sendall(data)
                self.sent += len(data)
            if not pair.dead:
                server.shutdown(socket.SHUT_WR)

    def _keep(self, data: bytes) -> None:
        if self._tap is not None:
            with self._lock, contextlib.suppress(ValueError):
                # A tap that is closed already has all that anybody wants to see.
                self._tap.write(data + b"\n")

    def _answers(self, pair: _Pair) -> None:
        with contextlib.suppress(OSError):
            while data := pair.server.recv(BLOCK):
                if pair.doomed:
                    self.dropped += 1
                    break
                self._back.wait()
                if pair.dead:
                    continue
                self._keep(data)
                pair.client.sendall(data)
                self.received += len(data)
            # Both are done when the server is: no client of ours goes on sending to one that has closed.
            if pair.dead:
                self._ending.wait()
        with self._lock:
            self._pairs.discard(pair)
        if pair.doomed:
            pair.break_off()
            return
        for end in (pair.client, pair.server):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
