"""A Huey whose workers stop gracefully: after SIGTERM they finish what they are sending."""

from __future__ import annotations

import logging
from typing import Any

from django.conf import settings
from django.core import checks
from huey import Huey
from huey.storage import RedisStorage

from project import cpu_affinity

logger = logging.getLogger(__name__)

# The tag of system checks whose warnings a worker logs when it starts.
STARTED = "latchkey"
# Seconds that running tasks have after SIGTERM. A supervisor must not kill the worker sooner.
GRACE_SECONDS = 25


class Graceful(Huey):  # type: ignore[misc]
    """Huey with its queue in Redis.

    Huey by itself drops everything at once on SIGTERM, which is what every supervisor sends.
    """

    storage_class = RedisStorage

    def queue_entry(self, task: Any) -> tuple[str, bytes] | None:
        """Return Redis's list and the entry that enqueue a task, for a Lua script that pushes it itself (LPUSH).

        None when the queue is not in Redis. Breaks if Huey's RedisStorage no longer keeps its queue as a list under
        `queue_key`; tests/project/test_queue_entry.py fails then. It saves the code request a round trip to Redis.
        """
        return self.storage.queue_key, self.serialize_task(task)

    def create_consumer(self, **options: Any) -> Any:
        """Return the consumer. SIGTERM is graceful, whatever `-g` says; `-t` may replace GRACE_SECONDS.

        Raises SystemExit for a type of worker that cannot work.
        """
        if options.get("worker_type") not in {None, "thread", "process"}:
            # Nothing in a send yields to other greenlets: one SMS at a time, and no end before the last.
            raise SystemExit("The worker cannot run with -k greenlet. Write -k thread or -k process.")
        # What costs money or cannot work is told by the part that sends, whoever starts it.
        for message in checks.run_checks(tags=[STARTED]):
            logger.warning("%s", message)
        if settings.ONE_CORE:
            cpu_affinity.pin()
        grace = options.get("shutdown_timeout")
        options |= {"graceful_signal": "TERM", "shutdown_timeout": GRACE_SECONDS if grace is None else grace}
        return super().create_consumer(**options)
