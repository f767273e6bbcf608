"""Huey's queue in RabbitMQ. Only the queue: schedule, locks and results stay in Redis.

In Redis a task is gone from the queue when a worker takes it. RabbitMQ keeps it until the worker says that it has
ended, and gives it to another worker if that one dies. docs/queue.md tells what this is worth.
"""

from __future__ import annotations

import os
import threading
from typing import Any

from huey.storage import RedisStorage

from project.broker.graceful import Graceful
from project.broker.rabbitmq import Address, Consumer, Publisher, Seat

# Seconds that one look into the queue takes: the worker's loop looks at its stop flag in between.
LOOK = 1.0


class RabbitStorage(RedisStorage):
    """Huey's storage in Redis, but for the queue."""

    def __init__(self, name: str, *, address: Address, scratch: bool = False, **redis: Any) -> None:
        """Take where RabbitMQ is; nothing is connected yet. A scratch queue is for a moment and keeps no dead."""
        super().__init__(name, **redis)
        self.address, self.scratch = address, scratch
        self._making = threading.Lock()
        self._here = threading.local()
        self._renew()

    def _renew(self) -> None:
        self._publisher = Publisher(self.address, self.name, scratch=self.scratch)
        self._consumer = Consumer(self.address, self.name, scratch=self.scratch)
        self._process = os.getpid()

    def _mind_forks(self) -> None:
        """Give a forked worker connections of its own: a connection's thread stays behind in the parent."""
        if self._process != os.getpid():
            with self._making:
                if self._process != os.getpid():
                    self._renew()

    @property
    def _seat(self) -> Seat | None:
        """The calling thread's seat, if it has one at this connection."""
        owner, seat = getattr(self._here, "seat", (None, None))
        return seat if owner is self._consumer else None

    def enqueue(self, data: bytes, priority: float | None = None) -> None:
        """Put a task into the queue. Raises rabbitmq.Away: then it may be there or not."""
        if priority:
            raise NotImplementedError("Priorities are not supported by this queue.")
        self._mind_forks()
        self._publisher.publish(data)

    def dequeue(self) -> bytes | None:
        """Take the next task, None when there is none for a second. It stays in RabbitMQ until `settle`."""
        self._mind_forks()
        seat = self._seat
        if seat is None:
            seat = self._consumer.sit()
            self._here.seat = (self._consumer, seat)
        # Who asks for the next is done with the last.
        self._consumer.settle(seat)
        message = self._consumer.take(seat, LOOK)
        return None if message is None else message.body

    def settle(self, *, well: bool = True) -> None:
        """Say that this thread's task has ended or, not `well`, that nobody can read it: RabbitMQ sets it aside."""
        if seat := self._seat:
            self._consumer.settle(seat, well=well)

    def leave(self) -> None:
        """End this thread's work, so that nothing is kept for it."""
        if seat := self._seat:
            self._here.seat = (None, None)
            self._consumer.leave(seat)

    def queue_size(self) -> int:
        """Return how many tasks wait, without those that workers are at. Raises rabbitmq.Away."""
        self._mind_forks()
        return self._publisher.size()

    def dead_size(self) -> int:
        """Return how many tasks were set aside. Raises rabbitmq.Away."""
        self._mind_forks()
        return self._publisher.size(f"{self.name}.dead")

    def enqueued_items(self, limit: int | None = None) -> list[bytes]:
        """Refuse: RabbitMQ shows a message only to who takes it, and each look would count as a failed delivery."""
        raise NotImplementedError("RabbitMQ's messages cannot be looked at from here; see docs/queue.md.")

    def flush_queue(self) -> None:
        """Remove what waits."""
        self._mind_forks()
        self._publisher.purge()

    def delete_queue(self) -> None:
        """Remove the queue itself."""
        self._publisher.delete()

    def close(self) -> None:
        """Close the connections; the next who asks opens new ones."""
        if self._process == os.getpid():
            self._publisher.stop()
            self._consumer.stop()
        self._renew()


class RabbitHuey(Graceful):
    """A Huey that tells RabbitMQ how each task ended."""

    storage_class = RabbitStorage

    def __init__(self, name: str, **options: Any) -> None:
        """Let each worker's thread leave the queue with a word when it ends."""
        super().__init__(name, **options)
        self.on_shutdown("leave the queue")(self.storage.leave)

    def bell(self, task: Any) -> None:
        """Return None: this queue is not in Redis."""

    def dequeue(self) -> Any:
        """Take the next task. One that cannot be read is set aside: it would not be readable the next time."""
        try:
            return super().dequeue()
        except Exception:
            self.storage.settle(well=False)
            raise

    def execute(self, task: Any, timestamp: Any = None) -> Any:
        """Run a task, and only then say so.

        Also when it failed: what is to become of it stands in its row, and the same message again would find the same.
        """
        try:
            return super().execute(task, timestamp)
        finally:
            self.storage.settle()
