"""The sites that are measured: Latchkey, a bare page, the peers. Real servers and workers, and one Valkey for all."""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import shutil
import signal
import subprocess
import sys
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

import httpx
from redis import Redis

from project.run import valkey
from tests.support.stack import PATIENCE, ROOT, Part, Stack, free_port, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

OUT = ROOT / "var" / "bench"
VENV = OUT / "venv"
LOCK = Path(__file__).with_name("requirements.lock")
# On, and counted with each request, but so high that none of them ends the measurement.
HIGH = "1000000000"
LIMITS = {
    f"SMS_{name}": HIGH
    for name in ("PER_HOUR", "PER_DAY", "PER_IP_HOUR", "PER_SESSION_HOUR", "PER_PREFIX_HOUR", "BUDGET_HOUR")
}
# As in the world: DEBUG=0 has the first two, and the units of docs/operators.md the third.
AS_IN_THE_WORLD: dict[str, Any] = {"ALTCHA": "adaptive", "ADMIN": "0", "ONE_CORE": "1"}
# How many numbers allauth knows: more than it can be asked for in a whole run.
ACCOUNTS = 60_000
# Threads of each worker: as many as tests.support.stack gives Latchkey's.
THREADS = "4"


class NotInstalled(Exception):
    """The peers' environment could not be made; the message is pip's last line."""


class Site:
    """One site: what runs, and where."""

    def __init__(self, name: str, folder: Path, url: str, workers: list[Part], queue: str, redis: Redis) -> None:
        """Take a site's parts."""
        self.name, self.folder, self.url = name, folder, url
        self.workers, self._queue, self.redis = workers, f"huey.redis.{queue}", redis

    @contextlib.contextmanager
    def resting(self, *, really: bool = True) -> Iterator[None]:
        """Let the workers stand still meanwhile, if `really`; then throw away what a round has left over."""
        if really:
            for worker in self.workers:
                self.hang(worker)
        try:
            yield
        finally:
            self.redis.delete(self._queue)
            self.forget()
            for worker in self.workers:
                worker.signal(signal.SIGCONT)
            wait_until(self.is_idle, PATIENCE, f"{self.name} is not done with what it began")

    def hang(self, worker: Part) -> None:
        """Let a worker stand still."""
        worker.signal(signal.SIGSTOP)

    def forget(self) -> None:
        """Forget what waits outside of the queue."""

    @property
    def waiting(self) -> int:
        """How many tasks are in the queue."""
        return self.redis.llen(self._queue)

    def is_idle(self) -> bool:
        """Tell whether nothing is under way."""
        return not self.waiting


class Latchkey(Site):
    """Latchkey, with everything switched on."""

    def __init__(self, stack: Stack) -> None:
        """Take a stack that runs."""
        self.stack = stack
        super().__init__("latchkey", stack.folder, stack.url, stack.workers, stack.settings["QUEUE_NAME"], stack.redis)

    @classmethod
    @contextlib.contextmanager
    def running(cls, folder: Path) -> Iterator[Self]:
        """Run it in a folder."""
        settings = {"DJANGO_SETTINGS_MODULE": "bench.latchkey", "SOCKETS": HIGH, **LIMITS, **AS_IN_THE_WORLD}
        with Stack(folder, **settings) as stack:
            yield cls(stack)

    def hang(self, worker: Part) -> None:
        """Let a worker stand still, but not in the middle of a write."""
        self.stack.hang(worker)

    def forget(self) -> None:
        """End what waits, so that no sweeper enqueues it in another site's round."""
        self.stack.rows("UPDATE tasks_delivery SET state = 'expired' WHERE state IN ('queued', 'retrying')")

    def is_idle(self) -> bool:
        """Tell whether nothing is being sent."""
        return super().is_idle() and not self.stack.rows("SELECT 1 FROM tasks_delivery WHERE state = 'sending' LIMIT 1")


class Sites:
    """Everything that is measured. Each starts when it is first asked for; a peer that cannot be installed is None."""

    def __init__(self, folder: Path, ends: contextlib.ExitStack, say: Callable[[str], None]) -> None:
        """Take where the sites keep their files, what stops them, and how to say that one is missing."""
        self._folder, self._ends, self._say = folder, ends, say

    @cached_property
    def latchkey(self) -> Latchkey:
        """Latchkey. Its Valkey is everybody's."""
        return self._ends.enter_context(Latchkey.running(self.folder("latchkey")))

    @cached_property
    def bare(self) -> Site:
        """A bare template view."""
        return self._ends.enter_context(bare(self.folder("bare"), self.redis(1)))

    @cached_property
    def tutorial(self) -> Site | None:
        """The tutorial view."""
        return self._peer("tutorial", 2)

    @cached_property
    def allauth(self) -> Site | None:
        """django-allauth."""
        return self._peer("allauth", 3, accounts=ACCOUNTS)

    @cached_property
    def installed(self) -> bool:
        """Whether the peers' environment is there. Made when first asked for."""
        try:
            install()
        except NotInstalled as problem:
            self._say(f"Without the peers: {problem}")
            return False
        return True

    def folder(self, name: str) -> Path:
        """Return where a site keeps its files."""
        return self._folder / name

    def redis(self, database: int) -> str:
        """Return the address of one of Valkey's databases. Latchkey has 0, and nobody may take another's."""
        address = urlsplit(valkey.url(self.latchkey.folder))
        return address._replace(path=f"/{database}").geturl()

    def _peer(self, name: str, database: int, *, accounts: int = 0) -> Site | None:
        if not self.installed:
            return None
        return self._ends.enter_context(peer(name, self.folder(name), self.redis(database), accounts=accounts))


@contextlib.contextmanager
def bare(folder: Path, redis_url: str) -> Iterator[Site]:
    """Run Django's template view behind Latchkey's middleware and server."""
    world = {**AS_IN_THE_WORLD, "ONE_CORE": "0"}
    settings = {"DJANGO_SETTINGS_MODULE": "bench.bare.settings", "REDIS_URL": redis_url, **world}
    with Stack(folder, workers=0, **settings) as stack:
        # Latchkey's two processes may have settled on both cores, and this one shall have what they have.
        on_one_core(stack.webs[0].pid)
        yield Site("bare page", folder, stack.url, [], stack.settings["QUEUE_NAME"], stack.redis)


def on_one_core(pid: int) -> None:
    """Keep a process on one core, as ONE_CORE=1 does."""
    tasks = Path(f"/proc/{pid}/task")
    for task in tasks.iterdir() if tasks.exists() else []:
        os.sched_setaffinity(int(task.name), {max(os.sched_getaffinity(0))})


@contextlib.contextmanager
def peer(name: str, folder: Path, redis_url: str, *, accounts: int = 0) -> Iterator[Site]:
    """Run a peer, whose name in letters is its queue's as well. The environment must be there."""
    folder.mkdir(parents=True)
    port = free_port()
    environment = {
        "PATH": f"{VENV / 'bin'}:/usr/bin:/bin",
        "DJANGO_SETTINGS_MODULE": f"bench.peers.{name}_site",
        "SECRET_KEY": secrets.token_urlsafe(40),
        "DATABASE": str(folder / "db.sqlite3"),
        "REDIS_URL": redis_url,
        "QUEUE_NAME": name,
    }
    subprocess.run(
        [VENV / "bin" / "python", "-m", "bench.peers.prepare", str(accounts)], cwd=ROOT, env=environment, check=True
    )

    def part(what: str, *command: str) -> Part:
        return Part(what, [str(VENV / "bin" / command[0]), *command[1:]], environment, folder / f"{what}.log")

    web = part("web", "daphne", "-v", "0", "-p", str(port), "bench.peers.asgi:application")
    worker = part("worker", "huey_consumer", "bench.peers.tasks.huey", "-w", THREADS, "-k", "thread")
    url = f"http://127.0.0.1:{port}"
    try:
        web.start()
        worker.start()
        wait_until(lambda: _answers(f"{url}/healthz"), PATIENCE, f"{name} does not answer, see {web.log}")
        yield Site(name, folder, url, [worker], name, Redis.from_url(redis_url))
    finally:
        web.kill()
        worker.kill()


def install() -> None:
    """Make the peers' environment, once for a lock. Raises NotInstalled."""
    stamp = VENV / "lock.sha256"
    wanted = hashlib.sha256(LOCK.read_bytes()).hexdigest()
    if stamp.exists() and stamp.read_text() == wanted:
        return
    shutil.rmtree(VENV, ignore_errors=True)
    pip = [f"{VENV}/bin/python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"]
    for command in (
        [sys.executable, "-m", "venv", str(VENV)],
        [*pip, "--no-deps", "--require-hashes", "-r", str(LOCK)],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise NotInstalled((done.stderr.strip().splitlines() or ["?"])[-1])
    stamp.write_text(wanted)


def _answers(url: str) -> bool:
    with contextlib.suppress(httpx.TransportError):
        return httpx.get(url, timeout=5, verify=False).status_code == 200
    return False
