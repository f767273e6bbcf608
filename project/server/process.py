"""What a serving process needs besides the application. Importing `asgi` does none of it; starting a server does.

The server announces itself by the ASGI lifespan (uvicorn, granian, hypercorn) or, as daphne has none, by running
Twisted's reactor. Any other server's process may call `start()` itself.
"""

from __future__ import annotations

import gc
import os
import sys
from typing import TYPE_CHECKING, Any

from channels.layers import get_channel_layer
from django.conf import settings

from project import cpu_affinity
from project.run import valkey
from project.server import twisted_reactor

if TYPE_CHECKING:
    from collections.abc import Callable

# Connections that may wait to be accepted.
BACKLOG = 4096


def start() -> None:
    """Prepare this process for serving: to be called once, before the first connection."""
    if settings.EMBEDDED_VALKEY:
        valkey.ensure(settings.VAR_DIR)
        if valkey.url(settings.VAR_DIR) != settings.REDIS_URL:
            raise valkey.Failed("The embedded Valkey had to move to another port. Please start again.")
    # Two threads that ask for the first layer at once would make two, and a channel of one is unknown to the other.
    get_channel_layer()
    # After the embedded Valkey, which then runs on every core.
    if settings.ONE_CORE:
        cpu_affinity.pin()
    tune_collector()


def tune_collector() -> None:
    """Make the garbage collector's long pauses rare: each one stops all countdowns and requests of the process."""
    # What is here now stays, and need not be examined again.
    gc.collect()
    gc.freeze()
    # Of nothing: Python puts a full collection off until a quarter as many objects are new as the last one has left.
    gc.collect()
    # A page leaves some forty objects in cycles, those of Django's template contexts. What is under way when the second
    # generation is examined moves to the third, and is freed with the full collection after 2,000,000 objects: 50,000
    # pages. With thousands of open pages that quarter puts it off further, as it would take longer.
    gc.set_threshold(2_000, 20, 50)


def start_when_daphne_serves(take_signals: Callable[[], None]) -> None:
    """Under daphne, start when Twisted's reactor runs: daphne listens then, and has accepted no connection yet.

    `take_signals` is called as well: other servers finish what is under way by themselves. Anywhere else nothing is
    imported and nothing happens.
    """
    if "daphne.server" not in sys.modules:
        return
    reactor = twisted_reactor.running()
    reactor.callWhenRunning(_start_under_daphne)
    reactor.callWhenRunning(take_signals)


def _start_under_daphne() -> None:
    from project.server import daphne_request, daphne_websocket, http_channel

    try:
        daphne_request.install()
        http_channel.install()
        daphne_websocket.install()
        lengthen_backlog()
        start()
    except BaseException as error:  # noqa: BLE001  (Twisted would log it where nobody reads, and serve unprotected)
        valkey.stop()
        sys.stderr.write(f"{error}\n" if isinstance(error, valkey.Failed) else f"{type(error).__name__}: {error}\n")
        sys.stderr.flush()
        os._exit(1)


def lengthen_backlog() -> None:
    """Let a crowd of connections wait to be accepted.

    Twisted lets 50: the system drops others, which try again 1, 3 and 7 s later. It has a bound of its own
    (net.core.somaxconn).
    """
    for port in twisted_reactor.listening_ports():
        # Once more on the same socket, which changes the number and nothing else (listen(2)).
        port.socket.listen(BACKLOG)


async def lifespan(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Start and stop with a server that speaks the ASGI lifespan protocol."""
    await receive()
    try:
        start()
    except valkey.Failed as error:
        await send({"type": "lifespan.startup.failed", "message": str(error)})
        return
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await send({"type": "lifespan.shutdown.complete"})
