"""What a database that answers, but cannot do its work, means for a visitor; and that the site comes back by itself."""

from __future__ import annotations

import contextlib
import time
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import psycopg
import pytest
from django import db

from project import database as errors
from tests.support import services
from tests.support.faultproxy import FaultProxy
from tests.support.numbers import number
from tests.support.stack import Stack, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PASSWORD = "correct horse battery"


@pytest.fixture
def site(tmp_path: Path, database: str) -> Iterator[Stack]:
    """A site in PostgreSQL, with somebody who has a password."""
    with Stack(tmp_path / "site", DATABASE_URL=database, SMS_COOLDOWN="1") as stack:
        stack.user("margaret", password=PASSWORD)
        yield stack


@contextlib.contextmanager
def read_only(url: str) -> Iterator[None]:
    """Make new connections read-only, as those to a demoted server are, and end the old ones."""
    name = url.rsplit("/", 1)[1]
    with psycopg.connect(services.postgresql(), autocommit=True) as admin:
        admin.execute(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')
        admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name])
        try:
            yield
        finally:
            admin.execute(f'ALTER DATABASE "{name}" RESET default_transaction_read_only')


def test_a_read_only_postgresql_is_a_503_and_is_left_after_the_promotion(site: Stack, database: str) -> None:
    """Django keeps such a connection, which answers SELECT 1: after the failover nobody could sign in by it."""
    person = site.person()
    with read_only(database):
        wait_until(lambda: site.get("/readyz").json().get("reason") == "database", 20, "the site is called ready")
        for path, fields in (
            ("/code/", {"mobile": number()}),
            ("/login/", {"username": "margaret", "password": PASSWORD}),
        ):
            answer = person.page(path, **fields)
            assert answer.status_code == 503, (path, answer.status_code)
            assert "<html" in answer.text
            answer = person.htmx(path, **fields)
            assert answer.status_code == 503, (path, answer.status_code)
        answer = person.ask(number())
        assert answer.status_code == 503
        assert answer.json()["code"] == "UNAVAILABLE"
    # No connection is ended by anybody else.
    wait_until(lambda: site.get("/readyz").status_code == 200, 20, "the site stays read-only")
    wait_until(partial(_is_taken, site), 10, "no code can be asked for")
    assert site.person().login("margaret", PASSWORD).status_code == 200
    assert "Traceback" not in site.webs[0].text()


def test_a_postgresql_that_falls_silent_is_a_503_within_ten_seconds(tmp_path: Path, database: str) -> None:
    """The network takes what is sent and nothing comes back, as after a failover without a goodbye."""
    parts = urlsplit(database)
    with FaultProxy(parts.hostname or "", parts.port or 5432) as proxy:
        through = parts._replace(netloc=f"{parts.netloc.rpartition('@')[0]}@127.0.0.1:{proxy.port}").geturl()
        with Stack(tmp_path / "site", DATABASE_URL=through) as site:
            site.user("margaret", password=PASSWORD)
            person = site.person()
            assert person.login("margaret", PASSWORD).status_code == 200
            proxy.hang()
            try:
                for _ in range(2):
                    began = time.monotonic()
                    answer = person.page("/login/", username="margaret", password=PASSWORD)
                    assert answer.status_code == 503
                    assert time.monotonic() - began < 10
                    assert site.get("/healthz").status_code == 200
            finally:
                # The old connections never come back.
                proxy.away()
                proxy.heal()
            wait_until(lambda: site.get("/readyz").status_code == 200, 20, "the site does not recover")
            assert site.person().login("margaret", PASSWORD).status_code == 200


def _is_taken(site: Stack) -> bool:
    return site.person().ask(number()).status_code == 202


@pytest.mark.parametrize(
    "error", [db.OperationalError, db.InterfaceError, db.InternalError, db.DatabaseError, db.Error]
)
def test_an_error_of_the_database_s_own_says_that_it_is_away(error: type[Exception]) -> None:
    assert errors.is_away(error())


@pytest.mark.parametrize(
    "error", [db.DataError, db.IntegrityError, db.ProgrammingError, db.NotSupportedError, ValueError]
)
def test_a_wrong_statement_is_our_own_fault(error: type[Exception]) -> None:
    assert not errors.is_away(error())
