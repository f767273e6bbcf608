"""A WebSocket by hand, byte for byte: for handshakes and frames that no library would send."""

from __future__ import annotations

import os
import socket
import struct
from contextlib import suppress
from typing import Self

KEY = "dGhlIHNhbXBsZSBub25jZQ=="


class RawSocket:
    """One TCP connection that may become a WebSocket."""

    def __init__(self, port: int, *, buffer: int = 0) -> None:
        """Connect. With `buffer`, the system keeps no more than about so many bytes that nobody has read."""
        self.socket = socket.socket()
        self.socket.settimeout(5)
        if buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        self.socket.connect(("127.0.0.1", port))
        self.said = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *problem: object) -> None:
        self.socket.close()

    def handshake(self, *headers: tuple[str, str], path: str = "/ws/", host: str = "127.0.0.1") -> int:
        """Ask for a WebSocket and return the status."""
        self.ask(*headers, path=path, host=host)
        while b"\r\n\r\n" not in self.said:
            part = self.socket.recv(4096)
            if not part:
                return 0
            self.said += part
        return int(self.said.split(b" ", 2)[1])

    def ask(self, *headers: tuple[str, str], path: str = "/ws/", host: str = "127.0.0.1") -> None:
        """Ask for a WebSocket with exactly these headers besides the protocol's own, and do not wait for the answer."""
        lines = [
            f"GET {path} HTTP/1.1",
            f"Host: {host}",
            "Upgrade: websocket",
            "Connection: Upgrade",
            f"Sec-WebSocket-Key: {KEY}",
            "Sec-WebSocket-Version: 13",
            *(f"{name}: {value}" for name, value in headers),
        ]
        self.socket.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())

    def send(self, data: bytes) -> None:
        """Send bytes as they are; a server that has closed already is no news."""
        with suppress(OSError):
            self.socket.sendall(data)

    def is_ended(self, seconds: float = 20.0) -> bool:
        """Tell whether the server ends the connection within some seconds."""
        self.socket.settimeout(seconds)
        try:
            while self.socket.recv(65536):
                pass
        except TimeoutError:
            return False
        except OSError:
            pass
        return True


def frame(payload: bytes = b"", *, opcode: int = 1, first: int | None = None, masked: bool = True) -> bytes:
    """Return a client's frame. `first` is its first byte where a flag or opcode is to be wrong."""
    start = bytes([0x80 | opcode if first is None else first])
    flag = 0x80 if masked else 0
    if len(payload) < 126:
        start += bytes([flag | len(payload)])
    elif len(payload) < 65536:
        start += bytes([flag | 126]) + struct.pack(">H", len(payload))
    else:
        start += bytes([flag | 127]) + struct.pack(">Q", len(payload))
    if not masked:
        return start + payload
    mask = os.urandom(4)
    return start + mask + bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))
