"""Huey's queue in RabbitMQ. Only the queue: schedule, locks and results stay in Redis.

In Redis a task is gone from the queue when a worker takes it. RabbitMQ keeps it until the worker says that it has
ended, and gives it to another worker if that one dies. docs/queue.md tells what this is worth.
"""

from __future__ import annotations

import os
import threading
from typing import Any

from huey.storage import RedisStorage

from project.broker.address import Address
from project.broker.consumer import Consumer, Subscription
from project.broker.graceful import Graceful
from project.broker.publisher import Publisher
from project.broker.queues import dead_queue

# Seconds that one `dequeue` waits: the worker's loop checks its stop flag in between.
DEQUEUE_TIMEOUT = 1.0


class RabbitStorage(RedisStorage):
    """Huey's storage in Redis, but for the queue."""

    def __init__(self, name: str, *, address: Address, scratch: bool = False, **redis: Any) -> None:
        """Take the address of RabbitMQ; nothing is connected yet. A scratch queue expires and has no dead queue."""
        super().__init__(name, **redis)
        self.address, self.scratch = address, scratch
        self._renewing = threading.Lock()
        self._local = threading.local()
        self._renew()

    def _renew(self) -> None:
        self._publisher = Publisher(self.address, self.name, scratch=self.scratch)
        self._consumer = Consumer(self.address, self.name, scratch=self.scratch)
        self._process = os.getpid()

    def _renew_after_fork(self) -> None:
        """Give a forked worker connections of its own: a connection's thread stays behind in the parent."""
        if self._process != os.getpid():
            with self._renewing:
                if self._process != os.getpid():
                    self._renew()

    @property
    def _subscription(self) -> Subscription | None:
        """The calling thread's subscription, if it has one on this connection."""
        owner, subscription = getattr(self._local, "subscription", (None, None))
        return subscription if owner is self._consumer else None

    def enqueue(self, data: bytes, priority: float | None = None) -> None:
        """Put a task into the queue. Raises Away: then it may be there or not."""
        if priority:
            raise NotImplementedError("Priorities are not supported by this queue.")
        self._renew_after_fork()
        self._publisher.publish(data)

    def dequeue(self) -> bytes | None:
        """Take the next task, None when there is none for a second. RabbitMQ keeps it until `ack`."""
        self._renew_after_fork()
        subscription = self._subscription
        if subscription is None:
            subscription = self._consumer.subscribe()
            self._local.subscription = (self._consumer, subscription)
        # A thread that asks for the next task is done with the last.
        self._consumer.ack(subscription)
        return self._consumer.get(subscription, DEQUEUE_TIMEOUT)

    def ack(self) -> None:
        if subscription := self._subscription:
            self._consumer.ack(subscription)

    def reject(self) -> None:
        """Say that nobody can read this thread's task: RabbitMQ moves it to the dead queue."""
        if subscription := self._subscription:
            self._consumer.reject(subscription)

    def cancel(self) -> None:
        """End this thread's subscription, so that no message is kept for it."""
        if subscription := self._subscription:
            self._local.subscription = (None, None)
            self._consumer.cancel(subscription)

    def queue_size(self) -> int:
        """Return how many tasks wait, without those that a worker is running. Raises Away."""
        self._renew_after_fork()
        return self._publisher.size()

    def dead_size(self) -> int:
        """Return how many messages the dead queue holds. Raises Away."""
        self._renew_after_fork()
        return self._publisher.size(dead_queue(self.name))

    def enqueued_items(self, limit: int | None = None) -> list[bytes]:
        """Refuse: RabbitMQ shows a message only to a consumer, and each look would count as a failed delivery."""
        raise NotImplementedError("RabbitMQ's messages cannot be looked at from here; see docs/queue.md.")

    def flush_queue(self) -> None:
        """Remove all tasks that wait. Raises Away."""
        self._renew_after_fork()
        self._publisher.purge()

    def delete_queue(self) -> None:
        """Remove the queue itself. Raises Away."""
        self._publisher.delete()

    def close(self) -> None:
        """Close the connections; the next call opens new ones."""
        if self._process == os.getpid():
            self._publisher.stop()
            self._consumer.stop()
        self._renew()


class RabbitHuey(Graceful):
    """A Huey that tells RabbitMQ when each task has ended."""

    storage_class = RabbitStorage

    def __init__(self, name: str, **options: Any) -> None:
        """Let each of a worker's threads end its subscription when it stops."""
        super().__init__(name, **options)
        self.on_shutdown("cancel the subscription")(self.storage.cancel)

    def queue_entry(self, task: Any) -> None:
        """Return None: this queue is not in Redis."""

    def dequeue(self) -> Any:
        """Take the next task. One that cannot be read goes to the dead queue: it would never be readable."""
        try:
            return super().dequeue()
        except Exception:
            self.storage.reject()
            raise

    def execute(self, task: Any, timestamp: Any = None) -> Any:
        """Run a task and acknowledge it then, even when it has failed.

        What becomes of a failed one stands in its row; the same message once more would find the same.
        """
        try:
            return super().execute(task, timestamp)
        finally:
            self.storage.ack()
