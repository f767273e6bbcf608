"""The connection that asks RabbitMQ: to put a message into the queue, and how many are there."""

from __future__ import annotations

import logging
import time
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import pika
from pika.exceptions import AMQPError

from project.broker.connection import Connection
from project.broker.errors import Away, ConnectionLost, reason
from project.broker.queues import declare

if TYPE_CHECKING:
    from collections.abc import Callable

    from project.broker.address import Address

logger = logging.getLogger(__name__)

# Seconds that a visitor's request may wait for RabbitMQ, all in all.
PATIENCE_SECONDS = 2.0

Answer = TypeVar("Answer")


class Publisher(Connection):
    """One channel for all threads of the process. Methods with an underscore run on the connection's thread."""

    role = "publishes"

    def __init__(self, address: Address, queue: str, *, scratch: bool = False) -> None:
        super().__init__(address, queue, scratch=scratch)
        self._channel: Any = None
        self._blocked = ""
        # What was asked and not answered; of messages also their number on the channel.
        self._pending: set[Future[Any]] = set()
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
        """Remove all messages that wait. Raises Away."""
        self._ask(lambda channel, answer: channel.queue_purge(self.queue, callback=lambda _frame: give(answer, None)))

    def delete(self) -> None:
        """Remove the queue itself. Raises Away."""
        self._ask(lambda channel, answer: channel.queue_delete(self.queue, callback=lambda _frame: give(answer, None)))

    def _ask(self, question: Callable[[Any, Future[Answer]], None]) -> Answer:
        """Ask on the connection's thread and wait for the answer. When the connection breaks, ask once more."""
        self.start()
        deadline = time.monotonic() + PATIENCE_SECONDS
        for again in (True, False):
            connection = self.wait_until_up(deadline)
            answer: Future[Answer] = Future()
            self.call_soon(partial(self._send, question, answer))
            try:
                return answer.result(max(0.0, deadline - time.monotonic()))
            except ConnectionLost:
                if not again:
                    raise
            except TimeoutError:
                answer.cancel()
                why = f"no answer in {PATIENCE_SECONDS:.0f} s"
                # The next visitor shall not wait for the same.
                self.call_soon(partial(self._drop, connection, why))
                raise Away(why) from None
        raise AssertionError("the second try returns or raises")

    def _send(self, question: Callable[[Any, Future[Answer]], None], answer: Future[Answer]) -> None:
        if answer.cancelled():
            return
        if self._blocked:
            fail(answer, Away(f"it takes nothing: {self._blocked}"))
            return
        if self._channel is None:
            fail(answer, ConnectionLost("the connection is gone"))
            return
        self._pending.add(answer)
        answer.add_done_callback(self._pending.discard)
        try:
            question(self._channel, answer)
        except AMQPError as error:
            fail(answer, ConnectionLost(reason(error)))

    def _publish(self, body: bytes, channel: Any, answer: Future[None]) -> None:
        # Mandatory: a message that no queue takes comes back instead of vanishing.
        properties = pika.BasicProperties(delivery_mode=pika.DeliveryMode.Persistent)
        channel.basic_publish("", self.queue, body, properties, mandatory=True)
        self._count += 1
        self._unconfirmed[self._count] = answer

    def _size(self, queue: str, channel: Any, answer: Future[int]) -> None:
        channel.queue_declare(queue, passive=True, callback=lambda frame: give(answer, frame.method.message_count))

    def _on_open(self, connection: Any) -> None:
        self._blocked = ""
        connection.add_on_connection_blocked_callback(self._on_blocked)
        connection.add_on_connection_unblocked_callback(self._on_unblocked)
        connection.channel(on_open_callback=self._on_channel_open)

    def _on_channel_open(self, channel: Any) -> None:
        channel.add_on_close_callback(self._on_channel_closed)
        channel.add_on_return_callback(self._on_returned)
        self._channel, self._count = channel, 0
        declare(channel, self.queue, partial(self._ask_for_confirms, channel), scratch=self.scratch)

    def _ask_for_confirms(self, channel: Any) -> None:
        channel.confirm_delivery(self._on_confirmed, callback=lambda _frame: self._set_up())

    def _on_channel_closed(self, channel: Any, error: BaseException) -> None:
        if channel is self._channel:
            self._drop(channel.connection, reason(error))

    def _on_blocked(self, _connection: Any, frame: Any) -> None:
        self._blocked = frame.method.reason or "blocked"
        logger.warning("RabbitMQ at %s takes nothing: %s", self.address, self._blocked)
        for answer in list(self._pending):
            fail(answer, Away(f"it takes nothing: {self._blocked}"))

    def _on_unblocked(self, _connection: Any, _frame: Any) -> None:
        self._blocked = ""
        logger.warning("RabbitMQ at %s takes messages again", self.address)

    def _on_returned(self, channel: Any, method: Any, _properties: Any, _body: bytes) -> None:
        # The second try declares the queue again.
        self._drop_for_lost_queue(channel.connection, method.reply_text)

    def _on_confirmed(self, frame: Any) -> None:
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

    def _on_lost(self, why: str) -> None:
        self._channel = None
        self._unconfirmed.clear()
        for answer in list(self._pending):
            fail(answer, ConnectionLost(why))


def give(answer: Future[Answer], value: Answer) -> None:
    """Answer, unless nobody waits any more."""
    with suppress(InvalidStateError):
        answer.set_result(value)


def fail(answer: Future[Answer], error: Exception) -> None:
    """Answer with an error, unless nobody waits any more."""
    with suppress(InvalidStateError):
        answer.set_exception(error)
