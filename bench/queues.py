"""Huey, which is Latchkey's queue, beside Celery: the same task, the same Redis, as many threads."""

from __future__ import annotations

import json
import secrets
import subprocess
from typing import TYPE_CHECKING

from bench import sites
from bench.figures import Figure
from tests.support.stack import ROOT, Part

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from bench.figures import Pace

THREADS = "16"
# For each second of a round.
ENQUEUED, STARTED = 500, 50
WORKERS = {
    "huey": ["huey_consumer", "bench.peers.race_huey.huey", "-q", "-w", THREADS, "-k", "thread"],
    # Without what it says to other workers: there is none.
    "celery": [
        *("celery", "-A", "bench.peers.race_celery", "worker", "-P", "threads", "-c", THREADS, "-l", "error"),
        *("--without-gossip", "--without-mingle", "--without-heartbeat"),
    ],
}


class Queues:
    """What a task costs."""

    def __init__(self, running: sites.Sites, pace: Pace) -> None:
        """Take where things run. The queues share Valkey with Latchkey, in a database of their own."""
        self.sites, self.pace = running, pace

    def measures(self) -> Sequence[Callable[[], list[Figure]]]:
        """Return everything, in order; nothing without the peers."""
        return (self.race,) if self.sites.installed else ()

    def race(self) -> list[Figure]:
        """A task in Huey against the same in Celery."""
        folder = self.sites.folder("queues")
        folder.mkdir(parents=True, exist_ok=True)
        found: dict[str, list[dict[str, float]]] = {name: [] for name in WORKERS}
        environments = {
            name: {
                "PATH": f"{sites.VENV / 'bin'}:/usr/bin:/bin",
                "REDIS_URL": self.sites.redis(7),
                "QUEUE_NAME": f"{name}-{secrets.token_hex(4)}",
            }
            for name in WORKERS
        }
        parts = [
            Part(name, [str(sites.VENV / "bin" / command[0]), *command[1:]], environments[name], folder / f"{name}.log")
            for name, command in WORKERS.items()
        ]
        try:
            for part in parts:
                part.start()
            for n in range(-1, self.pace.rounds):
                for name in list(WORKERS) if n % 2 else reversed(list(WORKERS)):
                    said = self._run(name, environments[name])
                    if n >= 0:
                        found[name].append(said)
        finally:
            for part in parts:
                part.kill()
        return [
            self._ratio("the cost of enqueueing a task, Huey against Celery", "enqueue", found),
            self._ratio("from enqueue to start, p50, Huey against Celery", "start", found),
        ]

    def _run(self, name: str, environment: Mapping[str, str]) -> dict[str, float]:
        many = [str(each * self.pace.seconds) for each in (ENQUEUED, STARTED)]
        command = [str(sites.VENV / "bin" / "python"), "-m", "bench.peers.race", name, *many]
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
        said: dict[str, float] = json.loads(done.stdout)
        return said

    def _ratio(self, name: str, what: str, found: Mapping[str, list[dict[str, float]]]) -> Figure:
        pairs = list(zip(found["huey"], found["celery"], strict=True))
        details = {each: [one[what] for one in ones] for each, ones in found.items()}
        return Figure(name, 1, "at most", [ours[what] / theirs[what] for ours, theirs in pairs], details=details)
