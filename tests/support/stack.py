"""A whole Latchkey of the test's own: Valkey, database, daphne, worker, each on a port, a file and a name of its own.

    with Stack(folder, SMS_COOLDOWN="3") as stack:
        person = stack.person()
        person.ask("13800138000")
        assert stack.phone.wait_for(1)[-1].code

Every part is a real process with a known pid, so that a test can kill it, stop it and start it again.
"""

from __future__ import annotations

import contextlib
import os
import random
import secrets
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar

import httpx
import redis

from accounts.sessions import hashed
from project.run import valkey
from tests.support.person import Person
from tests.support.phone import Handset
from tests.support.shell import Shell

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.provider import Provider

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
# For a test that is about the price of a password: `Stack(folder, **REAL)` hashes as a site in production does.
REAL: dict[str, Any] = {"DJANGO_SETTINGS_MODULE": "project.settings"}
# Seconds a part may take to be there on a busy machine.
PATIENCE = 90.0

T = TypeVar("T")


def free_port() -> int:
    """Return a port that is free now, and stays so while its server is down.

    Below those that systems hand out for outgoing connections: one of those can be taken at any moment. And no other
    test of this run gets it: a server listens seconds after its port was chosen, and not while it is down.
    """
    for port in random.sample(range(12000, 20000), 1000):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError):
                probe.bind(("127.0.0.1", port))
                # Raises where another process of this run was given the same one.
                if folder := os.environ.get("LATCHKEY_TEST_DIR"):
                    Path(folder, f"port-{port}").touch(exist_ok=False)
                return port
    raise AssertionError("no free port")


def wait_until(look: Callable[[], T], seconds: float = 10.0, what: str = "") -> T:
    """Return the first true answer of `look`; fail when none comes in time."""
    deadline = time.monotonic() + seconds
    pause = 0.005
    while True:
        answer = look()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {what or look}; last seen: {answer!r}")
        time.sleep(pause)
        # What is soon there is soon seen, and what lasts is not asked for all the time.
        pause = min(0.05, 1.5 * pause)


class Part:
    """One process of a stack."""

    def __init__(self, name: str, command: list[str], environment: dict[str, str], log: Path) -> None:
        """Take what to run; nothing runs yet."""
        self.name, self.command, self.environment, self.log = name, command, environment, log
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, adding to its log."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command, cwd=ROOT, env=self.environment, stdout=log, stderr=subprocess.STDOUT,
                start_new_session=True,
            )  # fmt: skip

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self.process is not None
        return self.process.pid

    def signal(self, number: int) -> None:
        """Send it a signal: SIGSTOP and SIGCONT hang it and wake it up."""
        os.kill(self.pid, number)

    def kill(self) -> None:
        """Kill it without a word (SIGKILL), with what it has started, as granian does, and wait until it is gone."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def stop(self, seconds: float = 30) -> int:
        """Ask it to end (SIGTERM) and return its exit code."""
        assert self.process is not None
        with contextlib.suppress(ProcessLookupError):
            self.signal(signal.SIGCONT)
        self.process.terminate()
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise

    def text(self) -> str:
        """Return what it has logged."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""


class Stack:
    """All parts of one site. Settings are given by their names; without them the limits do not bite."""

    def __init__(
        self, folder: Path, *, provider: Provider | None = None, webs: int = 1, workers: int = 1, **settings: str
    ) -> None:
        """Prepare a site in a folder. With a provider the gateway is Yuntongxun, else the dev phone."""
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.provider = provider
        self.ports = [free_port() for _ in range(webs)]
        self.url = f"http://127.0.0.1:{self.ports[0]}"
        gateway = {"SMS_GATEWAYS": "yuntongxun", **provider.settings} if provider else {"SMS_GATEWAYS": "phone"}
        self.settings = {
            "DEBUG": "1",
            "ENV_FILE": "",
            "VAR_DIR": str(folder),
            "PORT": str(self.ports[0]),
            "SECRET_KEY": secrets.token_urlsafe(40),
            "KEY_PREFIX": "latchkey",
            # Of its own: all stacks share one RabbitMQ.
            "QUEUE_NAME": f"test{secrets.token_hex(4)}",
            "SMS_PER_HOUR": "100000",
            "SMS_PER_DAY": "100000",
            "SMS_PER_IP_HOUR": "100000",
            "SMS_BUDGET_HOUR": "100000",
            "PASSWORD_TRIES": "100000",
            "GUESSES_PER_IP": "100000",
            "SOCKETS_PER_SESSION": "100000",
            "SOCKETS_PER_ADDRESS": "100000",
            **gateway,
            **settings,
        }
        # Nothing of the developer's environment gets in but what a process needs to run.
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
        self.environment = {
            **kept,
            "PYTHONUNBUFFERED": "1",
            "DJANGO_SETTINGS_MODULE": os.environ.get("LATCHKEY_TEST_SETTINGS", "project.settings"),
            **self.settings,
        }
        self.webs = [
            self._part(f"web{n}", [str(BIN / "daphne"), "-v", "0", "-p", str(port), "asgi:application"])
            for n, port in enumerate(self.ports)
        ]
        self.workers = [
            self._part(f"worker{n}", [str(BIN / "huey_consumer"), "tasks.app.huey", "-w", "4", "-k", "thread"])
            for n in range(workers)
        ]
        self.people: list[Person] = []
        self._shell: Shell | None = None

    def _part(self, name: str, command: list[str]) -> Part:
        return Part(name, command, self.environment, self.folder / f"{name}.log")

    def __enter__(self) -> Self:
        """Start everything and wait until a visitor would be served."""
        self.start()
        return self

    def __exit__(self, *problem: object) -> None:
        """Stop everything."""
        self.stop()

    def start(self) -> None:
        """Start Valkey, then the others."""
        if "REDIS_URL" not in self.settings:
            valkey.ensure(self.folder)
        if "DATABASE_URL" not in self.settings:
            shutil.copy(migrated_database(), self.folder / "latchkey.sqlite3")
        else:
            self.manage("migrate", "-v0")
        for part in [*self.workers, *self.webs]:
            part.start()
        try:
            for port in self.ports:
                self.wait_for_web(port)
            if self.workers:
                wait_until(lambda: self.get("/readyz").status_code == 200, PATIENCE, "the site is not ready")
        except BaseException:
            print(self.logs())  # noqa: T201
            self.stop()
            raise

    def stop(self) -> None:
        """Kill what still runs. A test that cares about a clean end asks for it itself."""
        for person in self.people:
            person.close()
        for part in [*self.webs, *self.workers]:
            part.kill()
        if self._shell is not None:
            self._shell.close()
            self._shell = None
        folder = self.folder / "valkey"
        if folder in valkey.owned:
            self.kill_valkey()

    def wait_for_web(self, port: int | None = None) -> None:
        """Wait until daphne answers."""
        port = port or self.ports[0]
        wait_until(lambda: self.get("/healthz", port).status_code == 200, PATIENCE, "daphne does not answer")

    def get(self, path: str, port: int | None = None) -> httpx.Response:
        """Get a page as nobody in particular; a server that is away is a 599."""
        try:
            return httpx.get(f"http://127.0.0.1:{port or self.ports[0]}{path}", timeout=10, verify=False)
        except httpx.TransportError:
            return httpx.Response(599)

    def hang(self, part: Part) -> None:
        """Hang a process (SIGSTOP), but not in the middle of a write: then nobody else could write either."""
        while True:
            part.signal(signal.SIGSTOP)
            wait_until(partial(_stands_still, part.pid), PATIENCE, f"{part.name} does not stand still")
            if "DATABASE_URL" in self.settings or self._is_writable():
                return
            part.signal(signal.SIGCONT)
            time.sleep(0.05)

    def _is_writable(self) -> bool:
        """Tell whether nobody holds the database's one write lock for longer than a write takes."""
        path = self.folder / "latchkey.sqlite3"
        with contextlib.closing(sqlite3.connect(path, timeout=1, isolation_level=None)) as connection:
            try:
                connection.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError:
                return False
            connection.execute("ROLLBACK")
            return True

    # --- Valkey ---

    def kill_valkey(self) -> None:
        """Kill Valkey (SIGKILL)."""
        mine = valkey.owned.pop(self.folder / "valkey")
        mine.server.kill()
        mine.server.wait()
        os.close(mine.lock)

    def start_valkey(self) -> None:
        """Start Valkey again, with what it had written down."""
        valkey.ensure(self.folder)

    def empty_valkey(self) -> None:
        """Kill Valkey, forget all it knew, and start it again."""
        self.kill_valkey()
        shutil.rmtree(self.folder / "valkey" / "appendonlydir", ignore_errors=True)
        self.start_valkey()

    def signal_valkey(self, number: int) -> None:
        """Send Valkey a signal, such as SIGSTOP."""
        valkey.owned[self.folder / "valkey"].server.send_signal(number)

    @property
    def redis(self) -> redis.Redis:
        """A client of the site's Redis."""
        return redis.Redis.from_url(self.settings.get("REDIS_URL") or valkey.url(self.folder), decode_responses=True)

    # --- What there is to look at ---

    @property
    def phone(self) -> Handset:
        """What the handset has received, by whichever gateway."""
        return Handset(self.url, self.provider)

    def broken_session(self) -> str:
        """Return the key of a session whose row holds what it cannot hold, so that whoever shows it breaks a view."""
        key = "".join(random.choices("0123456789abcdef", k=32))
        row = (
            "INSERT INTO django_session (session_key, session_data, expire_date) VALUES (?, '', '2999-99-99 00:00:00')"
        )
        self.rows(row, hashed(key))
        return key

    def person(self, *, language: str = "en", port: int | None = None, **headers: str) -> Person:
        """Return a visitor with a browser of their own."""
        person = Person(f"http://127.0.0.1:{port or self.ports[0]}", language=language, headers=headers)
        self.people.append(person)
        return person

    def rows(self, sql: str, *values: Any) -> list[dict[str, Any]]:
        """Ask the site's SQLite database."""
        with contextlib.closing(sqlite3.connect(self.folder / "latchkey.sqlite3", timeout=10)) as connection:
            connection.row_factory = sqlite3.Row
            with connection:
                return [dict(row) for row in connection.execute(sql, values)]

    def deliveries(self) -> list[dict[str, Any]]:
        """Return every delivery, oldest first."""
        return self.rows("SELECT * FROM tasks_delivery ORDER BY created_at")

    def attempts(self) -> list[dict[str, Any]]:
        """Return every attempt, oldest first."""
        return self.rows("SELECT * FROM tasks_attempt ORDER BY started_at")

    def wait_for_state(self, state: str, seconds: float = 30) -> dict[str, Any]:
        """Wait until the newest delivery is in a state, and return it."""
        found = wait_until(
            lambda: [row for row in self.deliveries()[-1:] if row["state"] == state],
            seconds,
            f"no delivery became {state}",
        )
        return found[0]

    def manage(self, *words: str, **more: str) -> str:
        """Run manage.py for this site, in a process of its own, and return what it said."""
        done = subprocess.run(
            [sys.executable, "manage.py", *words],
            cwd=ROOT, env={**self.environment, **more}, capture_output=True, text=True, timeout=60, check=True,
        )  # fmt: skip
        return done.stdout

    def shell(self, code: str) -> str:
        """Say something in the site's shell, which stays open, and return what was printed."""
        # A new one when its environment is no longer the site's.
        if self._shell is not None and self._shell.environment != self.environment:
            self._shell.close()
            self._shell = None
        if self._shell is None:
            self._shell = Shell(ROOT, self.environment)
        return self._shell.say(code)

    def user(self, username: str, *, password: str = "", mobile: str = "", **fields: Any) -> None:
        """Make an account, as an operator would from the shell."""
        self.shell(
            "from accounts.models import User; "
            f"u = User(username={username!r}, mobile={mobile or None!r}, **{fields!r}); "
            f"u.set_password({password or None!r}); u.save()"
        )

    def logs(self) -> str:
        """Return what every part has logged."""
        return "".join(f"--- {part.name}\n{part.text()}" for part in [*self.webs, *self.workers])


def _stands_still(pid: int) -> bool:
    """Tell whether each thread of a process has stopped: one that is waiting for the disk does so when that is done."""
    tasks = Path(f"/proc/{pid}/task")
    if not tasks.exists():
        time.sleep(0.1)
        return True
    return all(_stopped(stat) for stat in tasks.glob("*/stat"))


def _stopped(stat: Path) -> bool:
    """Tell whether a thread has stopped, or has ended since it was seen."""
    try:
        return stat.read_text().rpartition(")")[2].split()[0] == "T"
    except (FileNotFoundError, ProcessLookupError):
        return True


def migrated_database() -> Path:
    """Return an empty, migrated SQLite database to copy. Made once for a run of the tests, by whoever comes first."""
    folder = Path(os.environ["LATCHKEY_TEST_DIR"])
    done = folder / "migrated.sqlite3"
    if not done.exists():
        own = folder / f"migrated.{os.getpid()}"
        environment = {**os.environ, "DATABASE_URL": f"sqlite:///{own}", "DJANGO_SETTINGS_MODULE": "project.settings"}
        subprocess.run([sys.executable, "manage.py", "migrate", "-v0"], cwd=ROOT, env=environment, check=True)
        # Out of the write-ahead log, so that the one file is all there is.
        with contextlib.closing(sqlite3.connect(own)) as connection:
            connection.execute("PRAGMA journal_mode=DELETE")
        own.replace(done)
    return done
