"""The self-test of the queue: a task that counts, so that an operator sees that each part works."""

from __future__ import annotations

import json
import logging
import time
from dataclasses import asdict, dataclass, replace

from huey.contrib.djhuey import task

from project import redis
from project.live.push import push

logger = logging.getLogger(__name__)

# The group of the open self-test pages.
GROUP = "queue"
CHANGED = "progress.changed"
# Seconds for which the last run is kept.
KEPT_SECONDS = 600
KEY = redis.key("selftest")


@dataclass(frozen=True, slots=True)
class Run:
    """The progress of a run. Times are seconds since 1970."""

    of: int
    asked_at: float
    started_at: float = 0.0
    done: int = 0
    # When `done` last changed. The consumer subtracts it from the time to show how long the push took.
    counted_at: float = 0.0

    @property
    def state(self) -> str:
        """Return `waiting` (for a worker), `running` or `done`."""
        if not self.started_at:
            return "waiting"
        return "done" if self.done >= self.of else "running"

    @property
    def waited_ms(self) -> int:
        """Return how long the task was in the queue (milliseconds)."""
        return round((self.started_at - self.asked_at) * 1000) if self.started_at else 0


def start(of: int) -> None:
    """Enqueue a run of `of` steps. Raises redis.Unavailable."""
    _save(Run(of=of, asked_at=time.time()))
    count(of)


def current() -> Run | None:
    """Return the last run, or None. Raises redis.Unavailable."""
    saved = redis.client().get(KEY)
    return Run(**json.loads(saved)) if saved else None


@task()
def count(of: int) -> None:
    """Count to `of`, one step a second. Each step is pushed to the open pages, and logged."""
    run = replace(current() or Run(of=of, asked_at=time.time()), started_at=time.time())
    _save(run)
    logger.info("self-test: taken after %d ms in the queue", run.waited_ms)
    for done in range(1, of + 1):
        time.sleep(1)
        run = replace(run, done=done, counted_at=time.time())
        _save(run)
        logger.info("self-test: step %d of %d", done, of)


def _save(run: Run) -> None:
    redis.client().set(KEY, json.dumps(asdict(run)), ex=KEPT_SECONDS)
    push(GROUP, CHANGED)
