"""The connection that takes messages. RabbitMQ keeps each until it is acknowledged: when the task has ended."""

from __future__ import annotations

import threading
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

from pika.exceptions import AMQPError

from project.broker.connection import Connection
from project.broker.errors import reason
from project.broker.queues import declare

if TYPE_CHECKING:
    from project.broker.address import Address


@dataclass(frozen=True, slots=True)
class Delivered:
    """A message as RabbitMQ delivered it, and where it is to be acknowledged."""

    body: bytes
    channel: Any
    tag: int


class Subscription:
    """The channel of one worker's thread. It holds one message at a time."""

    def __init__(self) -> None:
        self.inbox: SimpleQueue[Delivered] = SimpleQueue()
        self.unacked: Delivered | None = None
        self.channel: Any = None
        self.cancelled = False
        self.closed = threading.Event()


class Consumer(Connection):
    """The subscriptions of a worker's threads. Methods with an underscore run on the connection's thread."""

    role = "takes"

    def __init__(self, address: Address, queue: str, *, scratch: bool = False) -> None:
        super().__init__(address, queue, scratch=scratch)
        self._subscriptions: list[Subscription] = []

    def subscribe(self) -> Subscription:
        self.start()
        subscription = Subscription()
        self.call_soon(partial(self._subscribe, subscription))
        return subscription

    def get(self, subscription: Subscription, seconds: float) -> bytes | None:
        """Wait for the next message. While RabbitMQ is away, this only waits; the connection logs it."""
        try:
            message = subscription.unacked = subscription.inbox.get(timeout=seconds)
        except Empty:
            return None
        return message.body

    def ack(self, subscription: Subscription) -> None:
        """Say that the task of the held message has ended. Never raises: without an ack the message comes back."""
        message, subscription.unacked = subscription.unacked, None
        if message is not None:
            self.call_soon(partial(self._ack, message))

    def reject(self, subscription: Subscription) -> None:
        """Say that nobody can read the held message: RabbitMQ moves it to the dead queue. Never raises."""
        message, subscription.unacked = subscription.unacked, None
        if message is not None:
            self.call_soon(partial(self._reject, message))

    def cancel(self, subscription: Subscription) -> None:
        """End a subscription. What was acknowledged before is heard; what was not taken goes to other workers."""
        subscription.cancelled = True
        self.call_soon(partial(self._cancel, subscription))
        subscription.closed.wait(1)

    def _ack(self, message: Delivered) -> None:
        with suppress(AMQPError):
            message.channel.basic_ack(message.tag)

    def _reject(self, message: Delivered) -> None:
        with suppress(AMQPError):
            message.channel.basic_reject(message.tag, requeue=False)

    def _subscribe(self, subscription: Subscription) -> None:
        self._subscriptions.append(subscription)
        if self._connection is not None and self._connection.is_open:
            self._connection.channel(on_open_callback=partial(self._on_channel_open, subscription))

    def _cancel(self, subscription: Subscription) -> None:
        self._subscriptions.remove(subscription)
        if subscription.channel is None:
            subscription.closed.set()
        else:
            with suppress(AMQPError):
                subscription.channel.close()

    def _on_open(self, connection: Any) -> None:
        for subscription in self._subscriptions:
            connection.channel(on_open_callback=partial(self._on_channel_open, subscription))
        if not self._subscriptions:
            self._set_up()

    def _on_channel_open(self, subscription: Subscription, channel: Any) -> None:
        subscription.channel = channel
        channel.add_on_close_callback(partial(self._on_channel_closed, subscription))
        channel.add_on_cancel_callback(lambda _frame: self._drop_for_lost_queue(channel.connection, "cancelled"))
        if subscription.cancelled:
            channel.close()
        else:
            declare(channel, self.queue, partial(self._consume, subscription, channel), scratch=self.scratch)

    def _consume(self, subscription: Subscription, channel: Any) -> None:
        if subscription.cancelled or not channel.is_open:
            return
        # One at a time: what waits behind a slow task is there for the other workers.
        channel.basic_qos(prefetch_count=1)
        channel.basic_consume(
            self.queue, partial(self._on_message, subscription), callback=lambda _frame: self._on_consuming()
        )

    def _on_consuming(self) -> None:
        if self._state != "up":
            self._set_up()

    def _on_message(self, subscription: Subscription, channel: Any, method: Any, _properties: Any, body: bytes) -> None:
        subscription.inbox.put(Delivered(body, channel, method.delivery_tag))

    def _on_channel_closed(self, subscription: Subscription, channel: Any, error: BaseException) -> None:
        if channel is not subscription.channel:
            return
        subscription.channel = None
        if subscription.cancelled:
            subscription.closed.set()
        else:
            self._drop(channel.connection, reason(error))

    def _on_lost(self, why: str) -> None:
        for subscription in self._subscriptions:
            subscription.channel = None
            # RabbitMQ delivers these again; they would be done twice.
            with suppress(Empty):
                while True:
                    subscription.inbox.get_nowait()
