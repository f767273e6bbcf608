"""The site under test: two daphnes, two workers, a Valkey, a broker and a database of its own, with proxies between."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import re
import secrets
import signal
import sqlite3
import zlib
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, BinaryIO, Self
from urllib.parse import urlsplit, urlunsplit

import pika
import psycopg
from psycopg.rows import dict_row

from accounts import sessions
from accounts.sessions.browser_id import hashed
from accounts.sessions.store import ENDED, MOVED, UNREAD
from project.run import valkey
from tests.support import services
from tests.support.faultproxy import FaultProxy
from tests.support.stack import Part, Stack, free_port
from tests.tools.chaos.providers import KINDS
from tests.tools.chaos.record import Leak, Row, Try

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from tests.tools.chaos.plans import Plan
    from tests.tools.chaos.providers import MoodyAliyun, MoodyYuntongxun

# Redis's own clock: seconds and microseconds. Six digits that are no code.
REDIS_TIME = re.compile(rb"\*2\r\n\$10\r\n[0-9]{10}\r\n\$[1-6]\r\n[0-9]{1,6}\r\n")
SIX_DIGITS = re.compile(rb"(?<![0-9A-Za-z.:/_+-])[0-9]{6}(?![0-9A-Za-z.:/_+=-])")
MOBILE = re.compile(rb"1[3-9][0-9]{9}")


class Site:
    """Everything of one run, and its tables."""

    def __init__(self, folder: Path, plan: Plan) -> None:
        """Build it; nothing runs yet."""
        self.folder, self.plan = folder, plan
        folder.mkdir(parents=True, exist_ok=True)
        self.providers: list[MoodyYuntongxun | MoodyAliyun] = [KINDS[name]() for name in plan.gateways]
        self._ends = contextlib.ExitStack()
        self.seen: list[tuple[str, Path]] = []
        self.taps: list[BinaryIO] = []
        self.broker: FaultProxy | None = None
        self.receipt_secret = secrets.token_hex(16)
        self._browsers: dict[str, str] = {}

    def __enter__(self) -> Self:
        """Start everything and wait until a visitor would be served."""
        with contextlib.ExitStack() as ends:
            for provider in self.providers:
                ends.enter_context(provider)
            settings = {name: value for provider in self.providers for name, value in provider.settings.items()}
            settings |= {f"{name.upper()}_RECEIPT_SECRET": self.receipt_secret for name in self.plan.gateways}
            settings |= self._database(ends) | self._broker(ends) | self._redis(ends)
            self.stack = Stack(
                self.folder,
                webs=2,
                workers=2,
                SMS_GATEWAYS=",".join(self.plan.gateways),
                SMS_AMBIGUOUS=self.plan.ambiguous,
                SMS_COOLDOWN=str(self.plan.cooldown),
                SMS_CODE_TTL=str(self.plan.ttl),
                **settings,  # type: ignore[arg-type]
            )
            ends.callback(self.stack.stop)
            if self.broker:
                ends.callback(self._remove_queues)
            self.stack.start()
            for provider in self.providers:
                provider.be_moody(self.plan.seed)
            self._ends = ends.pop_all()
        return self

    def __exit__(self, *problem: object) -> None:
        """Stop everything; what is hung is woken first, or it could not even die in time."""
        for part in self.parts:
            with contextlib.suppress(ProcessLookupError, AssertionError):
                part.signal(signal.SIGCONT)
        self._ends.close()

    @property
    def parts(self) -> list[Part]:
        """Every process but Valkey."""
        return [*self.stack.workers, *self.stack.webs]

    @property
    def credentials(self) -> list[str]:
        """What the providers know us by."""
        secret = ("_AUTH_TOKEN", "_KEY_SECRET")
        return [
            value for provider in self.providers for name, value in provider.settings.items() if name.endswith(secret)
        ]

    def _tap(self, name: str, ends: contextlib.ExitStack) -> BinaryIO:
        path = self.folder / f"{name}.seen"
        self.seen.append((f"what passed to and from {name}", path))
        tap = ends.enter_context(path.open("wb"))
        self.taps.append(tap)
        return tap

    def _redis(self, ends: contextlib.ExitStack) -> dict[str, str]:
        valkey.ensure(self.folder)
        parts = urlsplit(valkey.url(self.folder))
        self.redis = ends.enter_context(
            FaultProxy("127.0.0.1", parts.port or 0, at=free_port(), tap=self._tap("redis", ends))
        )
        return {"REDIS_URL": urlunsplit(parts._replace(netloc=f":{parts.password}@127.0.0.1:{self.redis.port}"))}

    def start_valkey(self) -> None:
        """Start Valkey again; a stranger may have taken its port meanwhile."""
        self.stack.start_valkey()
        self.redis.server = ("127.0.0.1", urlsplit(valkey.url(self.folder)).port or 0)

    def _broker(self, ends: contextlib.ExitStack) -> dict[str, str]:
        if self.plan.broker == "redis":
            return {}
        parts = urlsplit(services.rabbitmq())
        self._broker_url = services.rabbitmq()
        self.broker = ends.enter_context(
            FaultProxy(parts.hostname or "", parts.port or 5672, at=free_port(), tap=self._tap("rabbitmq", ends))
        )
        name = f"{parts.username or 'guest'}:{parts.password or 'guest'}"
        return {"BROKER_URL": urlunsplit(parts._replace(netloc=f"{name}@127.0.0.1:{self.broker.port}"))}

    def _remove_queues(self) -> None:
        name = self.stack.settings["QUEUE_NAME"]
        connection = pika.BlockingConnection(pika.URLParameters(self._broker_url))
        with contextlib.closing(connection):
            for queue in (name, f"{name}.dead"):
                connection.channel().queue_delete(queue)

    def _database(self, ends: contextlib.ExitStack) -> dict[str, str]:
        if self.plan.database == "sqlite":
            self._postgres = ""
            return {}
        server, name = services.postgresql(), f"latchkey_chaos_{secrets.token_hex(6)}"
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}"')
        ends.callback(_drop_database, server, name)
        self._postgres = urlunsplit(urlsplit(server)._replace(path=f"/{name}"))
        return {"DATABASE_URL": self._postgres}

    # --- What the tables say ---

    def ask(self, sql: str) -> list[dict[str, Any]]:
        """Read the tables, beside the site."""
        if self._postgres:
            with psycopg.connect(self._postgres, row_factory=dict_row) as connection:
                return connection.execute(sql).fetchall()
        path = self.folder / "latchkey.sqlite3"
        with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", timeout=10, uri=True)) as connection:
            connection.row_factory = sqlite3.Row
            return [dict(row) for row in connection.execute(sql)]

    def rows(self) -> list[Row]:
        """Return every delivery, oldest first."""
        return [
            Row(
                id=row["id"],
                mobile=row["mobile"],
                browser=row["browser"],
                state=row["state"],
                attempts=row["attempts"],
                possibly_duplicated=bool(row["possibly_duplicated"]),
                created_at=unix(row["created_at"]),
                resend_at=unix(row["resend_at"]),
                used=row["used_at"] is not None,
                guesses=row["guesses"],
            )
            for row in self.ask("SELECT * FROM tasks_delivery ORDER BY created_at")
        ]

    def tries(self) -> list[Try]:
        """Return every attempt, oldest first."""
        return [
            Try(
                id=row["id"],
                delivery=row["delivery_id"],
                n=row["n"],
                gateway=row["gateway"],
                outcome=row["outcome"],
                started_at=unix(row["started_at"]),
                provider_id=row["provider_id"],
            )
            for row in self.ask("SELECT * FROM tasks_attempt ORDER BY started_at")
        ]

    def browser(self, session: str | None) -> str:
        """Return the browser that a session's cookie stands for, empty when there is no such session any more."""
        if session is None:
            return ""
        if match := sessions.VISITOR.fullmatch(session):
            return hashed(match["planted"])
        key = sessions.hashed(session)
        if key not in self._browsers:
            for row in self.ask("SELECT session_key, session_data FROM django_session"):
                self._browsers[row["session_key"]] = _planted(row["session_data"])
        return self._browsers.get(key, "")

    # --- What must not be anywhere ---

    def leaks(self, mobiles: Iterable[str], codes: Iterable[str], tokens: Iterable[str]) -> list[Leak]:
        """Look for secrets in every log and in all that passed to and from Redis and the broker."""
        numbers = {mobile.removeprefix("+86").encode() for mobile in mobiles}
        digits = {code.encode() for code in codes}
        words = {token.encode() for token in tokens if token}
        places = [*self.seen, *((f"the log of {part.name}", part.log) for part in self.parts)]
        places += [("Valkey's log", self.folder / "valkey" / "valkey.log")]
        found = []
        for where, path in places:
            if not path.exists():
                continue
            text = REDIS_TIME.sub(b"", path.read_bytes())
            for what, hits in (
                ("a full number", numbers & set(MOBILE.findall(text))),
                ("a code", digits & set(SIX_DIGITS.findall(text))),
                ("a session's or a form's token, or a provider's secret", {word for word in words if word in text}),
            ):
                found += [Leak(f"{what} (…{hit[-2:].decode()})", where) for hit in hits]
        return found


def unix(moment: str | datetime) -> float:
    """Return a moment as a database gives it as Unix time."""
    if isinstance(moment, str):
        moment = datetime.fromisoformat(moment)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return moment.timestamp()


def _planted(data: str) -> str:
    """Read the browser's id out of a session's row: signed JSON, packed where that is shorter."""
    if data.startswith((ENDED, MOVED)):
        return ""
    if data.startswith(UNREAD):
        # The mark and the code's delivery come before it.
        data = data.split(":", 2)[2]
    body = data.rsplit(":", 2)[0]
    packed = body.startswith(".")
    body = body.removeprefix(".")
    raw = base64.urlsafe_b64decode(body + "=" * (-len(body) % 4))
    found = json.loads(zlib.decompress(raw) if packed else raw).get("browser")
    return hashed(found) if isinstance(found, str) else ""


def _drop_database(server: str, name: str) -> None:
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


def is_gone(pid: int) -> bool:
    """Tell whether a process has ended."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False
