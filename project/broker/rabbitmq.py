"""RabbitMQ as the queue needs it: a connection that mends itself, and a caller who never waits for it longer than 2 s.

Each connection has a thread of its own, for pika's connections belong to one thread, and because heartbeats must go on
while a task runs or nobody asks for anything. Other threads hand their wishes to it and wait for the answer. Nothing
here polls. One connection publishes and another takes: RabbitMQ stops reading from who publishes when it is short of
memory, and then the acknowledgements of a worker, which would help it, must not be stuck behind.
"""

from __future__ import annotations

import atexit
import logging
import os
import random
import ssl
import threading
import time
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import unquote, urlsplit

import pika
from pika.adapters.select_connection import IOLoop
from pika.exceptions import AMQPError

if TYPE_CHECKING:
    from collections.abc import Callable

logger = logging.getLogger(__name__)

# Seconds that a visitor's request may wait for RabbitMQ, all in all.
PATIENCE = 2.0
# Seconds in which a connection must stand.
SETUP = 2.0
# Seconds without a word after which a connection is taken for dead; pika allows five more.
HEARTBEAT = 10
# Seconds between two attempts to connect: the first, doubled each time up to the longest.
FIRST_PAUSE = 0.2
LONGEST_PAUSE = 2.0
# Seconds before a deleted queue is declared again. RabbitMQ needs some 50 ms to tell those who take from it; a queue
# of the same name that is there by then keeps them, and they hear of no message any more (3.10, quorum queues).
REDECLARE_PAUSE = 0.5
# Seconds after which a connection counts as one that stood. One that falls over earlier is a failed attempt.
STABLE = 1.0
# How often a message may come back because its worker died. After that it is dead and waits for an operator.
DELIVERY_LIMIT = 5
# Dead messages that are kept, the oldest make room. Each is a few hundred bytes.
MOST_DEAD = 1000
# Milliseconds after which RabbitMQ removes a forgotten queue of the self-test.
SCRATCH_LIFE = 60_000

Answer = TypeVar("Answer")


class Away(Exception):
    """RabbitMQ did not take it, or did not say so in time: it may be queued or not. The message holds no password."""


class Lost(Away):
    """The connection broke before the answer. It is worth one more try."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where RabbitMQ is, and who we are there."""

    host: str
    port: int
    vhost: str
    user: str
    password: str = field(repr=False)
    tls: bool = False

    @classmethod
    def parse(cls, url: str) -> Address | None:
        """Read amqp://user:password@host:port/vhost; None when it is no such thing.

        No exception: its text, or that of the one behind it, would hold a piece of the password.
        """
        try:
            parts = urlsplit(url)
            tls = parts.scheme == "amqps"
            port = parts.port or (5671 if tls else 5672)
        except ValueError:
            return None
        if parts.scheme not in {"amqp", "amqps"} or not parts.hostname or parts.query or parts.fragment:
            return None
        return cls(
            host=parts.hostname,
            port=port,
            # No path and a bare slash are the vhost "/", as most clients have it.
            vhost=unquote(parts.path[1:]) or "/",
            user=unquote(parts.username or "guest"),
            password=unquote(parts.password or "guest"),
            tls=tls,
        )

    def __str__(self) -> str:
        """Name it for people."""
        return f"{self.host}:{self.port}"


def declare(channel: Any, queue: str, then: Callable[[], None], *, scratch: bool = False) -> None:
    """Declare the queue and the one for its dead messages, both replicated and on disk; then go on."""
    if scratch:
        arguments: dict[str, Any] = {"x-queue-type": "quorum", "x-expires": SCRATCH_LIFE}
    else:
        dead = f"{queue}.dead"
        channel.queue_declare(
            dead, durable=True, arguments={"x-queue-type": "quorum", "x-max-length": MOST_DEAD}, callback=_ignore
        )
        arguments = {
            "x-queue-type": "quorum",
            "x-delivery-limit": DELIVERY_LIMIT,
            "x-dead-letter-exchange": "",
            "x-dead-letter-routing-key": dead,
        }
    channel.queue_declare(queue, durable=True, arguments=arguments, callback=lambda _frame: then())


class Line:
    """One connection to RabbitMQ, on a thread of its own. Methods with an underscore run on that thread."""

    role = ""

    def __init__(self, address: Address, queue: str, *, scratch: bool = False) -> None:
        """Keep where to call; the first who asks starts it."""
        self.address, self.queue, self.scratch = address, queue, scratch
        self._changed = threading.Condition()
        # `connecting`: it is worth waiting for. `down`: the last attempt failed, and nobody waits for the next.
        self._state = "idle"
        self._why = ""
        self._announced = ""
        self._since = 0.0
        self._pause = FIRST_PAUSE
        self._ended = False
        self._process = os.getpid()
        self._connection: Any = None
        self._loop: Any = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Connect, unless that is done or under way."""
        with self._changed:
            if self._thread is not None or self._ended:
                return
            self._state = "connecting"
            self._loop = IOLoop()
            self._thread = threading.Thread(target=self._run, name=f"RabbitMQ-{self.role}", daemon=True)
            self._thread.start()
        # RabbitMQ logs a connection that only breaks off as a fault.
        atexit.register(self.stop)

    def stop(self) -> None:
        """Close the connection with a word, if it takes no time."""
        with self._changed:
            if self._thread is None or self._ended or self._process != os.getpid():
                return
            self._ended = True
        atexit.unregister(self.stop)
        self.post(self._end)
        self._thread.join(0.5)

    def post(self, wish: Callable[[], None]) -> None:
        """Have something done on the line's own thread."""
        self._loop.add_callback_threadsafe(wish)

    def wait_until_up(self, deadline: float) -> Any:
        """Return the connection. Raises Away: at once when the last attempt failed, else when time is up."""
        with self._changed:
            while self._state != "up":
                left = deadline - time.monotonic()
                if self._state != "connecting" or left <= 0:
                    raise Away(self._why or "no connection yet")
                self._changed.wait(left)
            return self._connection

    def _run(self) -> None:
        self._connect()
        while not self._ended:
            try:
                self._loop.start()
            except Exception:
                # A fault of ours or of pika's in one callback. The line is the queue, so it goes on.
                logger.exception("the connection to RabbitMQ stumbles")
                if self._connection is not None:
                    self._drop(self._connection, "a fault of our own")
                time.sleep(FIRST_PAUSE)

    def _connect(self) -> None:
        where = self.address
        secure = pika.SSLOptions(ssl.create_default_context(), where.host) if where.tls else None
        parameters = pika.ConnectionParameters(
            host=where.host,
            port=where.port,
            virtual_host=where.vhost,
            credentials=pika.PlainCredentials(where.user, where.password),
            ssl_options=secure,
            heartbeat=HEARTBEAT,
            connection_attempts=1,
            socket_timeout=SETUP,
            stack_timeout=SETUP,
            client_properties={"connection_name": f"latchkey {self.role}"},
        )
        connection = self._connection = pika.SelectConnection(
            parameters, self._opened, self._closed, self._closed, custom_ioloop=self._loop
        )
        # After pika's own time-out, which ends when the connection is open but its queues are not declared.
        self._loop.call_later(SETUP + 0.5, partial(self._check_setup, connection))

    def _check_setup(self, connection: Any) -> None:
        if connection is self._connection and self._state != "up":
            self._drop(connection, "no answer")

    def _opened(self, connection: Any) -> None:
        raise NotImplementedError

    def _forget(self, why: str) -> None:
        raise NotImplementedError

    def _up(self) -> None:
        self._since = time.monotonic()
        self._tell("up", "")

    def _closed(self, connection: Any, error: BaseException) -> None:
        self._lost(connection, reason(error))

    def _drop(self, connection: Any, why: str, *, rest: float = 0.0) -> None:
        """Give a connection up, and rest before the next one. A hung one is not waited for: its heartbeat ends it."""
        self._lost(connection, why, rest)
        # One that is only being opened ends by its own time-out; pika does not bear to be interrupted in it.
        if connection.is_open:
            connection.close()

    def _gone(self, connection: Any, how: str) -> None:
        """Somebody has deleted the queue. A new connection declares it again."""
        self._drop(connection, f"the queue {self.queue} is gone ({how})", rest=REDECLARE_PAUSE)

    def _lost(self, connection: Any, why: str, rest: float = 0.0) -> None:
        # A connection that was given up may still have something to say.
        if connection is not self._connection:
            return
        self._connection = None
        if self._ended:
            self._forget(why)
            self._loop.stop()
            return
        pause = rest
        if self._state == "up" and time.monotonic() - self._since > STABLE:
            # It stood, so it may well stand again: the restart of a server, a router that forgot us.
            self._pause = FIRST_PAUSE
            self._tell("connecting", why)
        else:
            # Not all processes at the same moment.
            pause = max(rest, self._pause * random.uniform(0.5, 1))  # noqa: S311
            self._pause = min(self._pause * 2, LONGEST_PAUSE)
            self._tell("down", why)
        # Only now: who is told tries once more, and must not find the line up.
        self._forget(why)
        self._loop.call_later(pause, self._connect)

    def _tell(self, state: str, why: str) -> None:
        """Change the state, wake who waits for it, and log what is news."""
        if why and why != self._announced:
            logger.warning("RabbitMQ at %s is away (%s): %s", self.address, self.role, why)
        elif state == "up" and self._announced:
            logger.warning("RabbitMQ at %s is back (%s)", self.address, self.role)
        if why or state == "up":
            self._announced = why
        with self._changed:
            self._state, self._why = state, why
            self._changed.notify_all()

    def _end(self) -> None:
        connection = self._connection
        if connection is None or not connection.is_open:
            self._loop.stop()
            return
        # Its `_closed` stops the loop.
        connection.close()


class Publisher(Line):
    """The line that asks: to put a message into the queue, and how many there are."""

    role = "publishes"

    def __init__(self, address: Address, queue: str, *, scratch: bool = False) -> None:
        """Keep where to call."""
        super().__init__(address, queue, scratch=scratch)
        self._channel: Any = None
        self._blocked = ""
        # What was asked and not answered; of messages also their number on the channel.
        self._asked: set[Future[Any]] = set()
        self._unconfirmed: dict[int, Future[None]] = {}
        self._count = 0

    def publish(self, body: bytes) -> None:
        """Put a message into the queue and return when it is on disk. Raises Away."""
        self._ask(partial(self._publish, body))

    def size(self, queue: str = "") -> int:
        """Return how many messages wait. Raises Away."""
        waiting: int = self._ask(partial(self._size, queue or self.queue))
        return waiting

    def purge(self) -> None:
        """Remove all that waits. Raises Away."""
        self._ask(lambda channel, answer: channel.queue_purge(self.queue, callback=lambda _frame: give(answer, None)))

    def delete(self) -> None:
        """Remove the queue itself. Raises Away."""
        self._ask(lambda channel, answer: channel.queue_delete(self.queue, callback=lambda _frame: give(answer, None)))

    def _ask(self, wish: Callable[[Any, Future[Answer]], None]) -> Answer:
        """Have the line's thread do something and wait for the answer. A connection that breaks is tried once more."""
        self.start()
        deadline = time.monotonic() + PATIENCE
        for again in (True, False):
            connection = self.wait_until_up(deadline)
            answer: Future[Answer] = Future()
            self.post(partial(self._do, wish, answer))
            try:
                return answer.result(max(0.0, deadline - time.monotonic()))
            except Lost:
                if not again:
                    raise
            except TimeoutError:
                answer.cancel()
                why = f"no answer in {PATIENCE:.0f} s"
                # The next visitor shall not wait for the same.
                self.post(partial(self._drop, connection, why))
                raise Away(why) from None
        raise AssertionError("the second try returns or raises")

    def _do(self, wish: Callable[[Any, Future[Answer]], None], answer: Future[Answer]) -> None:
        if answer.cancelled():
            return
        if self._blocked:
            fail(answer, Away(f"it takes nothing: {self._blocked}"))
            return
        if self._channel is None:
            fail(answer, Lost("the connection is gone"))
            return
        self._asked.add(answer)
        answer.add_done_callback(self._asked.discard)
        try:
            wish(self._channel, answer)
        except AMQPError as error:
            fail(answer, Lost(reason(error)))

    def _publish(self, body: bytes, channel: Any, answer: Future[None]) -> None:
        # Mandatory: a message that no queue takes comes back instead of vanishing.
        properties = pika.BasicProperties(delivery_mode=pika.DeliveryMode.Persistent)
        channel.basic_publish("", self.queue, body, properties, mandatory=True)
        self._count += 1
        self._unconfirmed[self._count] = answer

    def _size(self, queue: str, channel: Any, answer: Future[int]) -> None:
        channel.queue_declare(queue, passive=True, callback=lambda frame: give(answer, frame.method.message_count))

    def _opened(self, connection: Any) -> None:
        self._blocked = ""
        connection.add_on_connection_blocked_callback(self._on_blocked)
        connection.add_on_connection_unblocked_callback(self._on_unblocked)
        connection.channel(on_open_callback=self._channel_opened)

    def _channel_opened(self, channel: Any) -> None:
        channel.add_on_close_callback(self._channel_closed)
        channel.add_on_return_callback(self._returned)
        self._channel, self._count = channel, 0
        declare(channel, self.queue, partial(self._confirm, channel), scratch=self.scratch)

    def _confirm(self, channel: Any) -> None:
        channel.confirm_delivery(self._confirmed, callback=lambda _frame: self._up())

    def _channel_closed(self, channel: Any, error: BaseException) -> None:
        if channel is self._channel:
            self._drop(channel.connection, reason(error))

    def _on_blocked(self, _connection: Any, frame: Any) -> None:
        self._blocked = frame.method.reason or "blocked"
        logger.warning("RabbitMQ at %s takes nothing: %s", self.address, self._blocked)
        for answer in list(self._asked):
            fail(answer, Away(f"it takes nothing: {self._blocked}"))

    def _on_unblocked(self, _connection: Any, _frame: Any) -> None:
        self._blocked = ""
        logger.warning("RabbitMQ at %s takes messages again", self.address)

    def _returned(self, channel: Any, method: Any, properties: Any, _body: bytes) -> None:
        # The second try finds it.
        self._gone(channel.connection, method.reply_text)

    def _confirmed(self, frame: Any) -> None:
        method = frame.method
        tags = [tag for tag in self._unconfirmed if tag <= method.delivery_tag] if method.multiple else None
        for tag in tags if tags is not None else [method.delivery_tag]:
            answer = self._unconfirmed.pop(tag, None)
            if answer is None:
                continue
            if method.NAME == "Basic.Ack":
                give(answer, None)
            else:
                fail(answer, Away("it refused the message"))

    def _forget(self, why: str) -> None:
        self._channel = None
        self._unconfirmed.clear()
        for answer in list(self._asked):
            fail(answer, Lost(why))


@dataclass(frozen=True, slots=True)
class Message:
    """A message that a thread has taken, and how to speak about it."""

    body: bytes
    channel: Any
    tag: int


class Seat:
    """The place of one worker's thread: a channel that holds one message at a time."""

    def __init__(self) -> None:
        """Nothing is held yet."""
        self.inbox: SimpleQueue[Message] = SimpleQueue()
        self.held: Message | None = None
        self.channel: Any = None
        self.left = False
        self.gone = threading.Event()


class Consumer(Line):
    """The line that takes. RabbitMQ keeps each message until it hears that the task has ended."""

    role = "takes"

    def __init__(self, address: Address, queue: str, *, scratch: bool = False) -> None:
        """Keep where to call."""
        super().__init__(address, queue, scratch=scratch)
        self._seats: list[Seat] = []

    def sit(self) -> Seat:
        """Return a new seat for the calling thread."""
        self.start()
        seat = Seat()
        self.post(partial(self._sit, seat))
        return seat

    def take(self, seat: Seat, seconds: float) -> Message | None:
        """Wait for the next message. RabbitMQ being away is only a longer wait: the line mends itself and logs it."""
        try:
            seat.held = seat.inbox.get(timeout=seconds)
        except Empty:
            seat.held = None
        return seat.held

    def settle(self, seat: Seat, *, well: bool = True) -> None:
        """Say that the held message is done with, or that nobody can read it. Never raises: unheard, it comes back."""
        message, seat.held = seat.held, None
        if message is not None:
            self.post(partial(self._settle, message, well))

    def leave(self, seat: Seat) -> None:
        """Give the seat up; what was settled before is heard, what was not taken goes to others."""
        seat.left = True
        self.post(partial(self._leave, seat))
        seat.gone.wait(1)

    def _settle(self, message: Message, well: bool) -> None:
        with suppress(AMQPError):
            if well:
                message.channel.basic_ack(message.tag)
            else:
                message.channel.basic_reject(message.tag, requeue=False)

    def _sit(self, seat: Seat) -> None:
        self._seats.append(seat)
        if self._connection is not None and self._connection.is_open:
            self._connection.channel(on_open_callback=partial(self._seat_opened, seat))

    def _leave(self, seat: Seat) -> None:
        self._seats.remove(seat)
        if seat.channel is None:
            seat.gone.set()
        else:
            with suppress(AMQPError):
                seat.channel.close()

    def _opened(self, connection: Any) -> None:
        for seat in self._seats:
            connection.channel(on_open_callback=partial(self._seat_opened, seat))
        if not self._seats:
            self._up()

    def _seat_opened(self, seat: Seat, channel: Any) -> None:
        seat.channel = channel
        channel.add_on_close_callback(partial(self._seat_closed, seat))
        channel.add_on_cancel_callback(lambda _frame: self._gone(channel.connection, "cancelled"))
        if seat.left:
            channel.close()
        else:
            declare(channel, self.queue, partial(self._consume, seat, channel), scratch=self.scratch)

    def _consume(self, seat: Seat, channel: Any) -> None:
        if seat.left or not channel.is_open:
            return
        # One at a time: what waits behind a slow task is there for the other workers.
        channel.basic_qos(prefetch_count=1)
        channel.basic_consume(self.queue, partial(self._delivered, seat), callback=lambda _frame: self._seated())

    def _seated(self) -> None:
        if self._state != "up":
            self._up()

    def _delivered(self, seat: Seat, channel: Any, method: Any, _properties: Any, body: bytes) -> None:
        seat.inbox.put(Message(body, channel, method.delivery_tag))

    def _seat_closed(self, seat: Seat, channel: Any, error: BaseException) -> None:
        if channel is not seat.channel:
            return
        seat.channel = None
        if seat.left:
            seat.gone.set()
        else:
            self._drop(channel.connection, reason(error))

    def _forget(self, why: str) -> None:
        for seat in self._seats:
            seat.channel = None
            # These come again, and would be done twice.
            with suppress(Empty):
                while True:
                    seat.inbox.get_nowait()


def give(answer: Future[Answer], value: Answer) -> None:
    """Answer, unless nobody waits any more."""
    with suppress(InvalidStateError):
        answer.set_result(value)


def fail(answer: Future[Answer], error: Exception) -> None:
    """Answer with an error, unless nobody waits any more."""
    with suppress(InvalidStateError):
        answer.set_exception(error)


def reason(error: BaseException) -> str:
    """Return in a few words why RabbitMQ is not there. None of pika's errors holds the password."""
    # pika wraps the cause, sometimes three times.
    while inner := getattr(error, "exceptions", None) or getattr(error, "exception", None) or _wrapped(error):
        error = inner[-1] if isinstance(inner, list | tuple) else inner
    text = getattr(error, "reply_text", "") or str(error.args[-1] if error.args else "") or type(error).__name__
    if "Timeout while setting up" in text:
        text = "no answer"
    if "x-queue-type" in text or "inequivalent arg" in text:
        text += ". The queue must be a quorum queue of ours: delete it, or write another QUEUE_NAME"
    return " ".join(text.split())[:300]


def _wrapped(error: BaseException) -> BaseException | None:
    return error.args[0] if error.args and isinstance(error.args[0], BaseException) else None


def _ignore(_frame: Any) -> None:
    """Take an answer that says nothing."""
