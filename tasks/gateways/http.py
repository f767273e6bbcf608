"""One HTTP POST to a provider, bounded in time and in size.

It answers with a Reply, or says which of two things went wrong: NotSent, when the provider certainly saw nothing of
it, or Lost, when it may have. It follows no redirect, asks no proxy, and writes no log line: a signed URL is a secret.

This is httpcore, the engine under httpx, without httpx, for three reasons. httpx logs every URL at INFO, and a signed
URL in a log is a day of free SMS for its reader. Its time-outs are for each read, so a reply that drips a byte a
second holds a worker for as long as it likes; a deadline for the whole has to sit under it, where httpx lets nobody in.
And it unpacks a compressed reply on the way, which would leave our limit on its size to a few bytes of gzip.
"""

from __future__ import annotations

import os
import queue
import socket
import threading
import time
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import httpcore

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterable, Mapping

# Seconds. From the first look-up of the name to the last byte of TLS: a provider in one's own country takes 50 ms.
CONNECT = 2.0
# Seconds of silence on an open connection. Yuntongxun's own SDK waits as long.
READ = 5.0
# Seconds for all of it. A delivery's lease is 15 s and has to outlive this.
TOTAL = 6.0
# Bytes of body. A provider's answer is 200; what is longer is not one.
LONGEST = 64 * 1024
# Seconds that an idle connection is kept. Short, because a provider that hangs up on an idle connection just as we
# write to it leaves us not knowing whether it read the request.
KEPT = 5.0

# When the request that this thread is busy with must be over, on the monotonic clock.
_deadline: ContextVar[float] = ContextVar("deadline")


class NotSent(Exception):
    """Nothing of the request left: no name, no connection, no TLS. The gateway may promise that no SMS comes of it."""


class Lost(Exception):
    """The request left, or some of it, and no usable answer came back. The gateway can promise nothing."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What a provider answered, whatever the status."""

    status: int
    body: bytes


def post(url: str, headers: Mapping[str, str], content: bytes) -> Reply:
    """Post `content` and return the reply. Raises NotSent or Lost, whose text holds no secret."""
    token = _deadline.set(time.monotonic() + TOTAL)
    try:
        timeouts = {"pool": CONNECT, "connect": CONNECT, "read": READ, "write": READ}
        pairs = list(headers.items())
        with pool().stream("POST", url, headers=pairs, content=content, extensions={"timeout": timeouts}) as r:
            body = bytearray()
            # Read to the end even when the status says enough: only a connection that was read to the end is used
            # again. One that we leave early is closed, not drained.
            for chunk in r.iter_stream():
                body += chunk
                if len(body) > LONGEST:
                    raise Lost("the answer is too long")
            return Reply(r.status, bytes(body))
    except (httpcore.ConnectError, httpcore.ConnectTimeout, httpcore.PoolTimeout, httpcore.UnsupportedProtocol) as exc:
        raise NotSent(f"no connection ({type(exc).__name__})") from exc
    except (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError) as exc:
        raise Lost(f"no answer ({type(exc).__name__})") from exc
    finally:
        _deadline.reset(token)


@cache
def pool() -> httpcore.ConnectionPool:
    """Return this process's connections, shared by its threads.

    It's OK that two threads may each build one at the very first call: one is kept, the other goes after its reply.
    """
    return httpcore.ConnectionPool(
        # The system's certificates and certifi's: a container without ca-certificates still knows its providers, and
        # SSL_CERT_FILE adds one's own.
        ssl_context=httpcore.default_ssl_context(),
        # More than any worker has threads, so that nobody waits for a connection that somebody else's provider hangs.
        max_connections=100,
        keepalive_expiry=KEPT,
        network_backend=_Backend(),
    )


# A forked worker must not share its parent's connections: two processes would read each other's answers.
os.register_at_fork(after_in_child=pool.cache_clear)


def _left(seconds: float | None, otherwise: type[Exception]) -> float:
    """Return how long one step may take: its own time-out or what is left of the whole, whichever is less."""
    left = min(_deadline.get() - time.monotonic(), TOTAL if seconds is None else seconds)
    if left <= 0:
        # Not 0 as a time-out: to a socket that means "do not wait", which is another thing.
        raise otherwise("out of time")
    return left


def _addresses(host: str, port: int, seconds: float) -> list[str]:
    """Look a name up within `seconds`. getaddrinfo has no time-out of its own and may take half a minute."""
    found: queue.SimpleQueue[list[str] | Exception] = queue.SimpleQueue()

    def look_up() -> None:
        try:
            infos = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as exc:
            found.put(exc)
        else:
            found.put([str(info[4][0]) for info in infos])

    # A thread that nobody waits for: it ends when the resolver gives up, and a stopping worker does not wait for it.
    threading.Thread(target=look_up, name="look-up", daemon=True).start()
    try:
        answer = found.get(timeout=seconds)
    except queue.Empty:
        raise httpcore.ConnectTimeout("the name was not found in time") from None
    if isinstance(answer, Exception):
        raise httpcore.ConnectError("the name was not found") from answer
    return answer


class _Backend(httpcore.NetworkBackend):
    """Connects within CONNECT seconds, the look-up included, however many addresses a name has."""

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        by = time.monotonic() + _left(timeout, httpcore.ConnectTimeout)
        addresses = _addresses(host, port, by - time.monotonic())
        problem: Exception = httpcore.ConnectError("the name has no address")
        for tried, address in enumerate(addresses):
            # Each address gets a fair share of the time, so that a dead IPv6 route leaves some for IPv4.
            share = (by - time.monotonic()) / (len(addresses) - tried)
            if share <= 0:
                break
            try:
                stream = httpcore.SyncBackend().connect_tcp(address, port, share, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as exc:
                problem = exc
            else:
                return _Stream(stream)
        raise problem


class _Stream(httpcore.NetworkStream):
    """A connection on which no step outlives the request's deadline: this is what ends a slow drip."""

    def __init__(self, stream: httpcore.NetworkStream) -> None:
        self._stream = stream

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, _left(timeout, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, _left(timeout, httpcore.WriteTimeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        return _Stream(self._stream.start_tls(ssl_context, server_hostname, _left(timeout, httpcore.ConnectTimeout)))

    def get_extra_info(self, info: str) -> object:
        return self._stream.get_extra_info(info)
