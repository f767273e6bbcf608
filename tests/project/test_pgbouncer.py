"""A PgBouncer in transaction mode between the site and PostgreSQL, set up as docs/operators.md says."""

from __future__ import annotations

import os
import subprocess
import time
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import psycopg
import pytest

from tests.support import services
from tests.support.numbers import number
from tests.support.stack import ROOT, Stack, free_port, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def pooled(tmp_path: Path, database: str) -> Iterator[str]:
    """Return the URL of the database through a PgBouncer of the test's own, with four connections to the server."""
    program, parts, port = services.pgbouncer(), urlsplit(database), free_port()
    name, user = parts.path[1:], parts.username or "postgres"
    folder = tmp_path / "pgbouncer"
    folder.mkdir()
    (folder / "users").write_text(f'"{user}" "{parts.password or ""}"\n')
    (folder / "ini").write_text(
        f"[databases]\n{name} = host={parts.hostname} port={parts.port or 5432}\n"
        f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n"
        f"auth_type = trust\nauth_file = {folder}/users\npool_mode = transaction\ndefault_pool_size = 4\n"
    )
    command = [program, str(folder / "ini")]
    if os.geteuid() == 0:
        # It refuses to be root, and needs to read its files as somebody else.
        for path in (*reversed(folder.parents[:3]), folder):
            path.chmod(0o755)
        command[1:1] = ["-u", "nobody"]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        yield f"postgres://{user}@127.0.0.1:{port}/{name}?options="
        process.kill()


def test_a_site_works_behind_a_pool_and_its_statements_end_in_time(tmp_path: Path, database: str, pooled: str) -> None:
    """T-77: the time-out that PgBouncer does not pass on is set in PostgreSQL. No health check waits for a lock."""
    page = ROOT.joinpath("docs", "operators.md").read_text()
    assert "`?options=`" in page
    assert "SET statement_timeout = '5s'" in page
    with psycopg.connect(database, autocommit=True) as admin:
        admin.execute(f"ALTER DATABASE \"{urlsplit(database).path[1:]}\" SET statement_timeout = '2s'")
    with Stack(tmp_path / "site", DATABASE_URL=pooled) as site:
        mobile, person = number(), site.person()
        assert person.ask(mobile).status_code == 202
        assert person.enter(site.phone.code_for(mobile)).status_code == 200
        with psycopg.connect(database) as other:
            other.execute("LOCK TABLE tasks_delivery")
            began = time.monotonic()
            assert site.person().ask(number()).status_code == 503
            assert time.monotonic() - began < 10
            began = time.monotonic()
            assert site.get("/healthz").status_code == 200
            assert time.monotonic() - began < 1
            assert site.get("/readyz").json()["reason"] == "database"
        wait_until(lambda: site.get("/readyz").status_code == 200, 20, "the site does not recover")
        assert site.person().ask(number()).status_code == 202
