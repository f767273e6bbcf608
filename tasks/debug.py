"""The queue's self-test: a task that counts, so that an operator sees in ten seconds that every part works."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass, replace

from huey.contrib.djhuey import task

from project import redis
from project.live.push import push

# The group that open self-test pages listen to.
GROUP = "queue"
CHANGED = "progress.changed"
# Seconds the last run is remembered.
MEMORY = 600
KEY = redis.key("selftest")


@dataclass(frozen=True, slots=True)
class Run:
    """How far a run is. Times are seconds since 1970."""

    of: int
    asked_at: float
    started_at: float = 0.0
    done: int = 0
    # When `done` last changed; the socket subtracts it from its own time to know how long the push took.
    counted_at: float = 0.0

    @property
    def state(self) -> str:
        """Tell `waiting` (no worker has taken it), `running` or `done`."""
        if not self.started_at:
            return "waiting"
        return "done" if self.done >= self.of else "running"

    @property
    def waited_ms(self) -> int:
        """How long the task lay in the queue."""
        return round((self.started_at - self.asked_at) * 1000) if self.started_at else 0


def start(of: int = 10) -> None:
    """Ask a worker to count. Raises redis.Unavailable when there is no queue to ask through."""
    _save(Run(of=of, asked_at=time.time()))
    count(of)


def current() -> Run | None:
    """Return the last run, None when there is none. Raises redis.Unavailable."""
    saved = redis.client().get(KEY)
    return Run(**json.loads(saved)) if saved else None


@task()
def count(of: int) -> None:
    """Count to `of`, one step a second, and tell the open pages at each."""
    run = replace(current() or Run(of=of, asked_at=time.time()), started_at=time.time())
    _save(run)
    for done in range(1, of + 1):
        time.sleep(1)
        run = replace(run, done=done, counted_at=time.time())
        _save(run)


def _save(run: Run) -> None:
    redis.client().set(KEY, json.dumps(asdict(run)), ex=MEMORY)
    push(GROUP, CHANGED)
