"""Runs the whole site as one process tree: embedded Valkey, migrations, daphne and the worker. `make run` uses it.

It prints the site's address once a request succeeds, stops everything within ten seconds, and leaves nothing behind,
however it ends. honcho, the library for this, puts a shell and a Python process around each part, cannot tell when a
part is ready, and leaves the parts running when it is killed.
"""

from __future__ import annotations

import errno
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TextIO
from urllib.parse import urlsplit

import django
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.db import Error as DatabaseError
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from redis import AuthenticationError, Redis, RedisError

from project import database, env, var_dir
from project.run import child, valkey

if TYPE_CHECKING:
    from types import FrameType

BASE_DIR = Path(__file__).resolve().parents[2]

# Seconds from SIGTERM to SIGKILL for the parts. Valkey goes last and has two: the whole stop takes less than ten.
GRACE_SECONDS = 7
# The worker has less: it then interrupts its tasks and logs which.
WORKER_GRACE_SECONDS = 5
WAITING_NOTICE_SECONDS = 10

DAPHNE = [
    # Warnings only: no line for each request.
    *("-v", "0"),
    "--no-server-name",
    # Holds in both directions: the largest message that we send is the dev phone's list. The consumer takes far less.
    *("--websocket-max-message-size", "65536"),
    *("--websocket-max-frame-size", "65536"),
    # Never: daphne ends a socket with a code after which no page reconnects.
    *("--websocket_timeout", "-1"),
    *("--ping-interval", "20"),
    *("--ping-timeout", "20"),
    *("--http-timeout", "30"),
    "asgi:application",
]
# Eight workers: a send waits for the provider most of its time.
HUEY = ["-q", "-w", "8", "-k", "thread", "-g", "TERM", "-t", str(WORKER_GRACE_SECONDS), "tasks.app.huey"]


class CannotStart(Exception):
    """The site cannot run. The message is one line that says why; `code` is our exit code."""

    def __init__(self, why: str, code: int = 1) -> None:
        super().__init__(why)
        self.code = code


class Stopped(Exception):
    """Somebody pressed Ctrl-C or sent SIGTERM."""


class Signals:
    """Notes Ctrl-C and SIGTERM in a flag, so that neither interrupts a start or a migration half-way."""

    def __init__(self) -> None:
        self.came = False
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            # Under nohup a hang-up is ignored, and stays so.
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._take)

    def _take(self, _number: int, _frame: FrameType | None) -> None:
        self.came = True

    def check(self) -> None:
        if self.came:
            raise Stopped


class Part:
    """A process of the tree. Its name is printed before each line of its log."""

    def __init__(self, name: str, script: str, *arguments: str) -> None:
        self.name = name
        # Through the interpreter: the #! line of an installed script is wrong once its folder has been moved.
        command = [sys.executable, str(Path(sys.executable).with_name(script)), *arguments]
        self.process = child.start(
            command,
            cwd=BASE_DIR,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
            output=subprocess.PIPE,
        )
        self._log = threading.Thread(target=self._relay, daemon=True)
        self._log.start()

    def _relay(self) -> None:
        for line in self.process.stdout or ():
            say(f"{self.name:6} | {line.decode(errors='replace').rstrip()}")

    def stop(self, deadline: float) -> None:
        """Stop the process, by force if it still runs at the deadline, and print the rest of its log."""
        child.stop(self.process, within=max(0, deadline - time.monotonic()))
        self._log.join(timeout=1)


def main() -> int:
    """Run the site until it is stopped or a part dies, and return the exit code."""
    signals = Signals()
    parts: list[Part] = []
    try:
        configure(development="--development" in sys.argv)
        check_port()
        start_redis()
        signals.check()
        migrate()
        signals.check()
        parts.append(Part("daphne", "daphne", "-b", settings.HOST, "-p", str(settings.PORT), *DAPHNE))
        parts.append(Part("huey", "huey_consumer", *HUEY))
        wait_until_ready(parts, signals)
        announce()
        watch(parts, signals)
    except Stopped:
        return 0
    except CannotStart as refused:
        say(str(refused), to=sys.stderr)
        return refused.code
    except valkey.Failed as failed:
        say(str(failed), to=sys.stderr)
        return 1
    finally:
        stop(parts)


def configure(*, development: bool) -> None:
    """Prepare VAR_DIR and read the settings, with DEBUG on for somebody who only tries Latchkey out."""
    # The shell may name another project's.
    os.environ["DJANGO_SETTINGS_MODULE"] = "project.settings"
    if development:
        # The file may say DEBUG=0, and wins over this default.
        env.read_file()
        os.environ["DEBUG"] = env.text("DEBUG", "1")
    try:
        var_dir.prepare()
        django.setup()
    except ImproperlyConfigured as error:
        raise CannotStart(str(error), code=2) from error


def check_port() -> None:
    """Refuse a port on which daphne could not listen, before anything is started."""
    host, port = settings.HOST, settings.PORT
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _name, address = found[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except socket.gaierror as error:
        raise CannotStart(f"HOST is {host!r}, no address at all. Write HOST=127.0.0.1.", code=2) from error
    except PermissionError as error:
        raise CannotStart(f"Port {port} needs rights that we do not have. Run: PORT=8000 make run.") from error
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise CannotStart(f"HOST is {host!r}, no address of this machine. Write HOST=127.0.0.1.", code=2) from error
        other = port + 1 if port < 65535 else 8000
        raise CannotStart(
            f"Port {port} on {host} is in use. Stop the program using it, or run: PORT={other} make run."
        ) from error


def start_redis() -> None:
    """Start the embedded Valkey, or check that the Redis of REDIS_URL answers."""
    if settings.EMBEDDED_VALKEY:
        valkey.ensure(settings.VAR_DIR)
        return
    parts = urlsplit(settings.REDIS_URL)
    # Never the whole address: it may hold a password.
    where = f"{parts.hostname}:{parts.port or 6379}" if parts.hostname else parts.path
    try:
        client = Redis.from_url(settings.REDIS_URL, socket_connect_timeout=2, socket_timeout=2, retry=None)
        client.ping()
    except AuthenticationError as error:
        raise CannotStart(f"Redis at {where} refuses the password in REDIS_URL.") from error
    except (RedisError, OSError) as error:
        raise CannotStart(
            f"Redis at {where} does not answer. Start it, or leave REDIS_URL empty for our own."
        ) from error
    if _is_cluster(client):
        raise CannotStart(
            f"Redis at {where} is a part of a Redis Cluster, which cannot run our transactions. "
            "Write the address of a single server in REDIS_URL."
        )


def _is_cluster(client: Redis) -> bool:
    """Tell whether the server is a part of a Redis Cluster. Unlike INFO, any user may say HELLO."""
    try:
        said: Any = client.execute_command("HELLO")  # type: ignore[no-untyped-call]
    except (RedisError, OSError):
        return False
    # A list of names and values in RESP2.
    pairs = said.items() if isinstance(said, dict) else zip(said[::2], said[1::2], strict=False)
    return (b"mode", b"cluster") in pairs


def migrate() -> None:
    """Migrate the database. Most starts find nothing to do, and finding that out is the cheap part."""
    try:
        executor = MigrationExecutor(connection)
        if executor.migration_plan(executor.loader.graph.leaf_nodes()):
            say("Preparing the database.")
            call_command("migrate", interactive=False, verbosity=0)
    except DatabaseError as error:
        if not database.is_away(error):
            raise
        why = str(error).strip().splitlines()[0]
        raise CannotStart(f"The database of DATABASE_URL cannot be used: {why}") from error
    finally:
        connection.close()


def wait_until_ready(parts: list[Part], signals: Signals) -> None:
    """Return when a request would succeed, and print from time to time what is missing."""
    said = time.monotonic()
    while missing := _missing():
        check_parts(parts, signals)
        if time.monotonic() - said > WAITING_NOTICE_SECONDS:
            said = time.monotonic()
            say(f"Not ready yet: {missing}")
        time.sleep(0.1)


def _missing() -> str:
    """Return what keeps the site from being ready, empty when nothing does."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.HOST, settings.HOST)  # noqa: S104
    # The name that a visitor's browser uses: any other one is refused.
    headers = {"Host": urlsplit(settings.PUBLIC_ORIGIN).netloc}
    try:
        for path in ("/readyz", "/"):
            request = HTTPConnection(host, settings.PORT, timeout=2)
            request.request("GET", path, headers=headers)
            answer = request.getresponse()
            body = answer.read(200).decode(errors="replace").strip()
            request.close()
            # Under PUBLIC_ORIGIN=https://... the plain home page is a redirect.
            if answer.status >= 400:
                return f"{path} answers {answer.status} {body if path == '/readyz' else ''}".rstrip()
    except (OSError, HTTPException) as error:
        return f"{host}:{settings.PORT} does not answer ({type(error).__name__})"
    return ""


def announce() -> None:
    host = f"[{settings.HOST}]" if ":" in settings.HOST else settings.HOST
    say(f"Latchkey is ready at http://{host}:{settings.PORT}/")
    if settings.DEBUG and "phone" in settings.SMS_GATEWAYS:
        say(f"Dev phone: http://{host}:{settings.PORT}/dev/phone/")


def watch(parts: list[Part], signals: Signals) -> NoReturn:
    """Check the parts until check_parts raises."""
    while True:
        check_parts(parts, signals)
        if settings.EMBEDDED_VALKEY:
            # It may belong to another start with this VAR_DIR and end with it: then we start the next.
            valkey.ensure(settings.VAR_DIR)
        time.sleep(0.5)


def check_parts(parts: list[Part], signals: Signals) -> None:
    """Raise when it is time to stop: a signal has come, or a part has died."""
    signals.check()
    codes = {part.name: part.process.poll() for part in parts} | {"valkey": valkey.exit_code()}
    for name, code in codes.items():
        if code is not None:
            raise CannotStart(f"{name} has died with exit code {code}. The other parts are being stopped.")


def stop(parts: list[Part]) -> None:
    """Stop everything within ten seconds: daphne and the worker first, then the Valkey that they need."""
    deadline = time.monotonic() + GRACE_SECONDS
    for part in parts:
        part.process.terminate()
    for part in parts:
        part.stop(deadline)
    valkey.stop()


def say(line: str, to: TextIO | None = None) -> None:
    """Print a line in one piece: several threads print."""
    out = to or sys.stdout
    # If nobody reads the output any longer, or it cannot show such letters, the site goes on in silence.
    with suppress(OSError, UnicodeError):
        out.write(f"{line}\n")
        out.flush()
