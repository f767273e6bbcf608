"""How many messages one worker sends while its provider takes 100 ms for each, with every attempt in its row."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

from bench import databases, sites
from bench.figures import Figure
from tests.support.stack import BIN, PATIENCE, ROOT, Part, Stack, free_port, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from bench.figures import Pace

# Seconds that the provider takes.
TAKES = 0.1
# Of a round's deliveries, in the order of their end, what is left out at either side: the worker wakes up, and at last
# it has fewer than it has threads for.
EDGE = 0.15
THREADS = (4, 16, 64)
# Of SQLite, which writes one at a time.
SQLITE_THREADS, SQLITE_TARGET = 32, 150
ACCOUNT = {
    "SMS_GATEWAYS": "yuntongxun",
    "YUNTONGXUN_ACCOUNT_SID": "a" * 32,
    "YUNTONGXUN_AUTH_TOKEN": "b" * 32,
    "YUNTONGXUN_APP_ID": "c" * 32,
}


class Worker:
    """A site without visitors, a provider, and one worker with so many threads."""

    def __init__(self, stack: Stack, threads: int, filler: subprocess.Popen[str]) -> None:
        """Take what it works for. It does not run yet."""
        self.stack, self.threads, self._filler = stack, threads, filler
        command = [str(BIN / "huey_consumer"), "-q", "tasks.app.huey", "-w", str(threads), "-k", "thread"]
        self.part = Part("bench-worker", command, stack.environment, stack.folder / "bench-worker.log")

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Run it."""
        self.part.start()
        try:
            # Whoever stands still before a worker has begun waits for it in vain.
            self.fill(self.threads)
            wait_until(self._is_done, PATIENCE, f"the worker does not work, see {self.part.log}")
            yield
        finally:
            self.part.kill()

    def round(self, seconds: int) -> float:
        """Let it send what takes so long, and return how many it sent in a second."""
        many = max(int(self.threads / TAKES * seconds), 3 * self.threads)
        databases.rows(self.stack, "DELETE FROM tasks_attempt")
        databases.rows(self.stack, "DELETE FROM tasks_delivery")
        self.stack.hang(self.part)
        self.fill(many)
        self.part.signal(signal.SIGCONT)
        wait_until(self._is_done, PATIENCE + 4 * seconds, f"the worker did not end, see {self.part.log}")
        found = databases.rows(self.stack, "SELECT ended_at FROM tasks_attempt WHERE outcome = 'accepted'")
        ended = sorted(databases.moment(at) for (at,) in found)
        if len(ended) != many:
            raise AssertionError(f"{len(ended)} of {many} were accepted")
        inner = ended[int(many * EDGE) : many - int(many * EDGE)]
        return (len(inner) - 1) / (inner[-1] - inner[0])

    def fill(self, many: int) -> None:
        """Accept so many messages, and enqueue each."""
        assert self._filler.stdin is not None
        assert self._filler.stdout is not None
        self._filler.stdin.write(f"{many}\n")
        self._filler.stdin.flush()
        if self._filler.stdout.readline() != f"{many}\n":
            raise AssertionError("the messages could not be written")

    def _is_done(self) -> bool:
        time.sleep(0.2)
        return not databases.rows(
            self.stack, "SELECT 1 FROM tasks_delivery WHERE state IN ('queued', 'sending', 'retrying') LIMIT 1"
        )


class Deliveries:
    """What one worker sends."""

    def __init__(self, running: sites.Sites, pace: Pace, *, threads: Sequence[int] = THREADS) -> None:
        """Take where files go and how long to measure. The sites of this group are its own."""
        self.sites, self.pace, self.threads = running, pace, threads

    def measures(self) -> Sequence[Callable[[], list[Figure]]]:
        """Return everything, in order."""
        return (self.on_postgresql, self.on_sqlite) if databases.has_postgresql() else (self.on_sqlite,)

    def on_postgresql(self) -> list[Figure]:
        """Deliveries of one worker on PostgreSQL, the provider taking 100 ms."""
        with databases.postgresql() as settings, self.site("deliveries-postgresql", settings) as (stack, filler):
            found = {threads: self._rounds(Worker(stack, threads, filler)) for threads in self.threads}
        return [
            Figure(
                f"deliveries of a worker with {threads} threads, PostgreSQL, against {threads} / 0.1 s",
                0.95,
                "at least",
                [value * TAKES / threads for value in values],
                details={"deliveries a second": values},
            )
            for threads, values in found.items()
        ]  # fmt: skip

    def on_sqlite(self) -> list[Figure]:
        """Deliveries of one worker on SQLite, the provider taking 100 ms."""
        with self.site("deliveries-sqlite", {}) as (stack, filler):
            values = self._rounds(Worker(stack, SQLITE_THREADS, filler))
        name = f"deliveries of a worker with {SQLITE_THREADS} threads, SQLite"
        return [Figure(name, SQLITE_TARGET, "at least", values, "/s")]

    def _rounds(self, worker: Worker) -> list[float]:
        with worker.running():
            return [worker.round(self.pace.seconds) for _ in range(self.pace.rounds)]

    @contextlib.contextmanager
    def site(self, name: str, database: dict[str, str]) -> Iterator[tuple[Stack, subprocess.Popen[str]]]:
        """Run a site on a database, its provider, and the process that accepts messages."""
        port = free_port()
        settings: dict[str, Any] = {
            "DJANGO_SETTINGS_MODULE": "bench.latchkey",
            "YUNTONGXUN_BASE_URL": f"http://127.0.0.1:{port}",
            **ACCOUNT,
            **sites.LIMITS,
            **sites.AS_IN_THE_WORLD,
            **database,
        }
        folder = self.sites.folder(name)
        command = [sys.executable, "-m", "bench.provider", str(port), str(TAKES)]
        with Stack(folder, workers=0, **settings) as stack:
            provider = Part("provider", command, stack.environment, folder / "provider.log")
            provider.start()
            filler = subprocess.Popen(
                [sys.executable, "-m", "bench.fill"],
                cwd=ROOT, env=stack.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            )  # fmt: skip
            try:
                yield stack, filler
            finally:
                filler.kill()
                filler.communicate()
                provider.kill()
