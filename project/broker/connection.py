"""A connection to RabbitMQ that opens itself again, and for which no caller waits longer than 2 s.

Each connection has a thread of its own: pika's connections belong to one thread, and heartbeats must go on while a
task runs or nobody asks for anything. Other threads hand their calls to it and wait for the answer. Nothing polls.
The publisher and the consumer have a connection each: RabbitMQ stops reading from a publisher when it is short of
memory, and the acknowledgements of a worker, which free memory, must not wait behind that.
"""

from __future__ import annotations

import atexit
import logging
import os
import random
import ssl
import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Any

import pika
from pika.adapters.select_connection import IOLoop

from project.broker.errors import Away, reason

if TYPE_CHECKING:
    from collections.abc import Callable

    from project.broker.address import Address

logger = logging.getLogger(__name__)

# Seconds within which a connection must be open and its queues declared.
SETUP_TIMEOUT = 2.0
# Seconds of silence after which a connection is taken for dead; pika allows five more.
HEARTBEAT_SECONDS = 10
# Seconds between two attempts to connect: the first, doubled each time up to the longest.
FIRST_PAUSE = 0.2
LONGEST_PAUSE_SECONDS = 2.0
# Seconds before a deleted queue is declared again. RabbitMQ needs some 50 ms to tell its consumers; a queue of the same
# name that exists by then keeps them, and they are given no message any more (3.10, quorum queues).
REDECLARE_PAUSE = 0.5
# Seconds after which a connection counts as stable. One that breaks earlier is a failed attempt.
STABLE = 1.0


class Connection:
    """One connection to RabbitMQ, on a thread of its own. Methods with an underscore run on that thread."""

    # How the log and RabbitMQ's list of connections name this one.
    role = ""

    def __init__(self, address: Address, queue: str, *, scratch: bool = False) -> None:
        self.address, self.queue, self.scratch = address, queue, scratch
        self._changed = threading.Condition()
        # `connecting`: it is worth waiting for. `down`: the last attempt failed, and nobody waits for the next.
        self._state = "idle"
        self._why = ""
        self._announced = ""
        self._up_since = 0.0
        self._pause = FIRST_PAUSE
        self._stopped = False
        self._process = os.getpid()
        self._connection: Any = None
        self._loop: Any = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Connect, unless that is done or under way."""
        with self._changed:
            if self._thread is not None or self._stopped:
                return
            self._state = "connecting"
            self._loop = IOLoop()
            self._thread = threading.Thread(target=self._run, name=f"RabbitMQ-{self.role}", daemon=True)
            self._thread.start()
        # RabbitMQ logs a connection that only breaks off as a fault.
        atexit.register(self.stop)

    def stop(self) -> None:
        """Close the connection properly, if that takes no time."""
        with self._changed:
            if self._thread is None or self._stopped or self._process != os.getpid():
                return
            self._stopped = True
        atexit.unregister(self.stop)
        self.call_soon(self._close)
        self._thread.join(0.5)

    def call_soon(self, call: Callable[[], None]) -> None:
        self._loop.add_callback_threadsafe(call)

    def wait_until_up(self, deadline: float) -> Any:
        """Return pika's connection. Raises Away: at once when the last attempt failed, else at the deadline."""
        with self._changed:
            while self._state != "up":
                left = deadline - time.monotonic()
                if self._state != "connecting" or left <= 0:
                    raise Away(self._why or "no connection yet")
                self._changed.wait(left)
            return self._connection

    def _on_open(self, connection: Any) -> None:
        """Open the channels; call `_set_up` when they can be used."""
        raise NotImplementedError

    def _on_lost(self, why: str) -> None:
        """Forget what belonged to the connection that was lost."""
        raise NotImplementedError

    def _run(self) -> None:
        self._connect()
        while not self._stopped:
            try:
                self._loop.start()
            except Exception:
                # A fault in one callback must not end the thread: without it there is no queue.
                logger.exception("error on the connection to RabbitMQ, reconnecting")
                if self._connection is not None:
                    self._drop(self._connection, "an internal error")
                time.sleep(FIRST_PAUSE)

    def _connect(self) -> None:
        where = self.address
        parameters = pika.ConnectionParameters(
            host=where.host,
            port=where.port,
            virtual_host=where.vhost,
            credentials=pika.PlainCredentials(where.user, where.password),
            ssl_options=pika.SSLOptions(ssl.create_default_context(), where.host) if where.tls else None,
            heartbeat=HEARTBEAT_SECONDS,
            connection_attempts=1,
            socket_timeout=SETUP_TIMEOUT,
            stack_timeout=SETUP_TIMEOUT,
            client_properties={"connection_name": f"latchkey {self.role}"},
        )
        connection = self._connection = pika.SelectConnection(
            parameters, self._on_open, self._on_closed, self._on_closed, custom_ioloop=self._loop
        )
        # pika's own time-out ends when the connection is open; its queues are not declared by then.
        self._loop.call_later(SETUP_TIMEOUT + 0.5, partial(self._check_setup, connection))

    def _check_setup(self, connection: Any) -> None:
        if connection is self._connection and self._state != "up":
            self._drop(connection, "no answer")

    def _set_up(self) -> None:
        self._up_since = time.monotonic()
        self._set_state("up", "")

    def _on_closed(self, connection: Any, error: BaseException) -> None:
        self._lost(connection, reason(error))

    def _drop(self, connection: Any, why: str, *, pause: float = 0.0) -> None:
        """Give a connection up, and pause before the next. Nobody waits for a hung one: its heartbeat ends it."""
        self._lost(connection, why, pause)
        # One that is only being opened ends by its own time-out; pika cannot be interrupted in it.
        if connection.is_open:
            connection.close()

    def _drop_for_lost_queue(self, connection: Any, how: str) -> None:
        """Somebody has deleted the queue. A new connection declares it again."""
        self._drop(connection, f"the queue {self.queue} is gone ({how})", pause=REDECLARE_PAUSE)

    def _lost(self, connection: Any, why: str, pause: float = 0.0) -> None:
        # A connection that was given up may still report something.
        if connection is not self._connection:
            return
        self._connection = None
        if self._stopped:
            self._on_lost(why)
            self._loop.stop()
            return
        if self._state == "up" and time.monotonic() - self._up_since > STABLE:
            # A stable connection is worth waiting for: the server restarts, or a router forgot us.
            self._pause = FIRST_PAUSE
            self._set_state("connecting", why)
        else:
            # Not all processes at the same moment.
            pause = max(pause, self._pause * random.uniform(0.5, 1))  # noqa: S311
            self._pause = min(self._pause * 2, LONGEST_PAUSE_SECONDS)
            self._set_state("down", why)
        # Only now: a caller that learns of it tries once more, and must not find the state "up".
        self._on_lost(why)
        self._loop.call_later(pause, self._connect)

    def _set_state(self, state: str, why: str) -> None:
        """Change the state, wake the callers that wait for it, and log what is new."""
        if why and why != self._announced:
            logger.warning("RabbitMQ at %s is away (%s): %s", self.address, self.role, why)
        elif state == "up" and self._announced:
            logger.warning("RabbitMQ at %s is back (%s)", self.address, self.role)
        if why or state == "up":
            self._announced = why
        with self._changed:
            self._state, self._why = state, why
            self._changed.notify_all()

    def _close(self) -> None:
        connection = self._connection
        if connection is None or not connection.is_open:
            self._loop.stop()
            return
        # `_on_closed` stops the loop.
        connection.close()
