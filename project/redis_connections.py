"""Connections to Redis that notice when the other end is gone without a word: no FIN, no RST, no answer.

A router that forgets a connection, a machine that loses its power and a proxy that hangs all look like this. TCP gives
such a connection up after a quarter of an hour. Until then a server that waits for pushes hears none, and each idle
connection of a pool costs the request that takes it a time-out. Imported by the settings, so it reads none.
"""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Any

import redis
from redis.asyncio import connection as live

if TYPE_CHECKING:
    from redis.connection import ConnectionInterface

# Seconds without data after which the connection that waits for pushes is pinged, and seconds to wait for the answer.
PING_EVERY = 2
SILENCE = 2.0
# The kernel asks an idle connection's other end after 15 s, and gives it up after 3 more questions, 5 s apart.
KEEPALIVE: dict[str, Any] = {
    "socket_keepalive": True,
    # Not every system has all three.
    "socket_keepalive_options": {
        getattr(socket, name): value
        for name, value in {"TCP_KEEPIDLE": 15, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3}.items()
        if hasattr(socket, name)
    },
}


class Pool(redis.ConnectionPool):
    """A pool that drops its idle connections when one comes back broken: they are most likely as dead as that one."""

    def release(self, connection: ConnectionInterface) -> None:
        """Take a connection back."""
        super().release(connection)  # type: ignore[arg-type]
        if not connection.is_connected:
            self.disconnect(inuse_connections=False)


class _Listening:
    """A connection that waits for pushes, and fails if a ping has no answer.

    redis-py pings it (`health_check_interval`), but does not look for the answer as long as nothing else comes.
    """

    # When the oldest command without an answer was sent.
    _asked: float | None = None

    async def on_connect(self) -> None:
        """Forget what the connection before this one was asked."""
        self._asked = None
        await super().on_connect()  # type: ignore[misc]

    async def send_command(self, *args: Any, **kwargs: Any) -> None:
        """Send a command, and note since when there is one without an answer."""
        await super().send_command(*args, **kwargs)  # type: ignore[misc]
        if self._asked is None:
            self._asked = asyncio.get_running_loop().time()

    async def read_response(self, *args: Any, **kwargs: Any) -> Any:
        """Read what has come. Raises redis.ConnectionError after too long a silence, and redis-py connects again."""
        response = await super().read_response(*args, **kwargs)  # type: ignore[misc]
        if response is not None:
            self._asked = None
        elif self._asked is not None and asyncio.get_running_loop().time() - self._asked > SILENCE:
            await self.disconnect(nowait=True)  # type: ignore[attr-defined]
            raise redis.ConnectionError(f"no answer to a ping for {SILENCE:.0f} s")
        return response


class Listening(_Listening, live.Connection):
    """The same over TCP."""


class ListeningTLS(_Listening, live.SSLConnection):
    """The same over TLS."""


def for_pushes(url: str) -> dict[str, Any]:
    """Return what the channel layer's `hosts` needs for a Redis at this address."""
    options: dict[str, Any] = {**live.parse_url(url)}
    kind = options.get("connection_class", live.Connection)
    if kind is live.UnixDomainSocketConnection:
        # The other end is on this machine: its kernel closes the connection.
        return options
    options["connection_class"] = ListeningTLS if kind is live.SSLConnection else Listening
    return {
        **KEEPALIVE,
        "socket_connect_timeout": 2,
        "socket_timeout": 2,
        "health_check_interval": PING_EVERY,
        **options,
    }
