"""The databases that a site is measured on: SQLite always, PostgreSQL where there is one."""

from __future__ import annotations

import contextlib
import secrets
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import psycopg

from tests.support import services

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.stack import Stack


def has_postgresql() -> bool:
    """Tell whether a PostgreSQL lets us make a database. Which one: LATCHKEY_TEST_POSTGRESQL, as for the tests."""
    try:
        with psycopg.connect(services.POSTGRESQL, connect_timeout=2) as connection:
            found = connection.execute("SELECT rolcreatedb FROM pg_roles WHERE rolname = current_user").fetchone()
    except psycopg.OperationalError:
        return False
    return found == (True,)


@contextlib.contextmanager
def postgresql() -> Iterator[dict[str, str]]:
    """Make a database, give it as a site's settings, and remove it in the end."""
    name = f"latchkey_bench_{secrets.token_hex(6)}"
    with psycopg.connect(services.POSTGRESQL, autocommit=True) as admin:
        admin.execute(f'CREATE DATABASE "{name}"')
    try:
        yield {"DATABASE_URL": f"{services.POSTGRESQL.rsplit('/', 1)[0]}/{name}"}
    finally:
        with psycopg.connect(services.POSTGRESQL, autocommit=True) as admin:
            admin.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


def rows(stack: Stack, sql: str) -> list[tuple[Any, ...]]:
    """Ask a site's database, whichever it has."""
    if url := stack.settings.get("DATABASE_URL"):
        with psycopg.connect(url, autocommit=True) as connection:
            done = connection.execute(sql.encode())
            return done.fetchall() if done.description else []
    return [tuple(row.values()) for row in stack.rows(sql)]


def moment(value: Any) -> float:
    """Return a time of the database as seconds since 1970: SQLite gives its times as text."""
    time = datetime.fromisoformat(value).replace(tzinfo=UTC) if isinstance(value, str) else value
    return float(time.timestamp())
