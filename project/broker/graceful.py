"""A Huey whose workers end well: SIGTERM lets what is being sent be sent."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from huey import Huey
from huey.storage import RedisStorage

from project.server import cpu_affinity

# Seconds that tasks may take to end after SIGTERM. A supervisor must not kill sooner.
GRACE = 25


class Graceful(Huey):  # type: ignore[misc]
    """Huey with its queue in Redis.

    Huey itself takes SIGTERM, which is what every supervisor sends, as the wish to drop everything at once.
    """

    storage_class = RedisStorage

    def queue_entry(self, task: Any) -> tuple[str, bytes] | None:
        """Return the list and the entry that enqueue a task, for a script that pushes it itself.

        None when the queue is not in Redis: then it can only be enqueued.
        """
        return self.storage.queue_key, self.serialize_task(task)

    def create_consumer(self, **options: Any) -> Any:
        """Return the consumer; SIGTERM is graceful, whatever `-g` says, and takes GRACE unless `-t` says otherwise."""
        if settings.ONE_CORE:
            cpu_affinity.settle()
        grace = options.get("shutdown_timeout")
        options |= {"graceful_signal": "TERM", "shutdown_timeout": GRACE if grace is None else grace}
        return super().create_consumer(**options)
