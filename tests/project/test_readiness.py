"""`/readyz` rehearses a request for a code: it is green only where one would be accepted, and it leaves nothing."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import psycopg
import pytest
from redis import Redis

from project.run import valkey
from tests.support import services
from tests.support.numbers import number
from tests.support.stack import ROOT, Stack, free_port, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# As docs/operators.md gives them to a site that shares its Redis.
RIGHTS = ("~latchkey:*", "~huey.*.latchkey", "&latchkey*", "+@all", "-@admin", "-@dangerous")


@pytest.fixture(scope="module")
def poor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A site whose user in Redis has the documented rights."""
    folder = tmp_path_factory.mktemp("poor")
    valkey.ensure(folder)
    grant(folder)
    port = urlsplit(valkey.url(folder)).port
    url = f"redis://latchkey:secret@127.0.0.1:{port}/0"
    with Stack(folder / "site", REDIS_URL=url, QUEUE_NAME="", SMS_COOLDOWN="1") as site:
        yield site
    valkey.owned.pop(folder / "valkey").server.kill()


def grant(folder: Path, *more: str) -> None:
    """Give the site's user the documented rights, and what else is said."""
    admin: Any = Redis.from_url(valkey.url(folder))
    admin.execute_command("ACL", "SETUSER", "latchkey", "reset", "on", ">secret", *RIGHTS, *more)


def reason(site: Stack) -> str:
    """Return why a site is not ready, empty if it is."""
    answer = site.get("/readyz")
    said: dict[str, Any] = answer.json()
    assert set(said) == {"ready", "reason"}
    assert (answer.status_code == 200) == said["ready"] == (said["reason"] == "")
    return str(said["reason"])


def test_a_ready_site_takes_a_code_and_the_rehearsal_leaves_nothing(poor: Stack) -> None:
    """T-92."""
    admin: Any = Redis.from_url(valkey.url(poor.folder.parent), decode_responses=True)
    wait_until(lambda: reason(poor) == "", 20)
    rows, keys = poor.deliveries(), set(admin.keys("*"))
    workers = len(poor.workers[0].text())
    for _ in range(20):
        assert reason(poor) == ""
    assert poor.deliveries() == rows
    assert set(admin.keys("*")) <= keys | {"latchkey:sweeper:seen"}
    assert poor.workers[0].text()[workers:] == "", "a worker has met the rehearsal"
    assert admin.pubsub_channels("*rehearsal*") == []
    assert poor.person().ask(number()).status_code == 202


@pytest.mark.parametrize("right", ["-eval", "-publish", "-lpush", "-zadd", "-multi", "-subscribe", "resetchannels"])
def test_a_redis_user_without_a_right_that_a_code_needs_is_not_ready(poor: Stack, right: str) -> None:
    """T-92: such a site answers PING, and nobody can have a code. The log says once what is missing."""
    wait_until(lambda: reason(poor) == "", 20)
    logged = len(poor.webs[0].text())
    grant(poor.folder.parent, right)
    try:
        for _ in range(3):
            assert reason(poor) == "redis"
        if right != "-subscribe":
            assert poor.person().ask(number()).status_code == 503, "or this test means nothing"
        said = subprocess.run(
            [sys.executable, "manage.py", "check_queue"],
            cwd=ROOT, env=poor.environment, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert said.returncode == 1
        assert len(said.stderr.splitlines()) == 1
    finally:
        grant(poor.folder.parent)
    wait_until(lambda: reason(poor) == "", 20)
    # Of many lines of a kind the last ones are written together, some seconds later.
    wait_until(lambda: poor.webs[0].text()[logged:].count("WARNING tasks.health: not ready: redis") == 1, 15)
    assert poor.webs[0].text()[logged:].count("INFO tasks.health: ready again") == 1


def test_a_redis_cluster_is_not_ready(tmp_path: Path) -> None:
    """Nor does it work: the keys of a request lie in different slots."""
    port = free_port()
    command = [valkey._binary(), "--port", str(port), "--cluster-enabled", "yes", "--bind", "127.0.0.1"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL) as cluster:
        client: Any = Redis(port=port)
        wait_until(lambda: _pings(client), 20)
        client.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
        wait_until(lambda: client.cluster("INFO")["cluster_state"] == "ok", 20)
        site = Stack(tmp_path / "site", workers=0, REDIS_URL=f"redis://127.0.0.1:{port}/0")
        try:
            site.start()
            assert reason(site) == "redis"
            assert "not ready: redis CROSSSLOT, a Redis Cluster, which is not supported" in site.webs[0].text()
            assert site.person().ask(number()).status_code == 503
            environment = site.environment | {"PORT": str(free_port())}
            started = subprocess.run(
                [sys.executable, "-m", "project.run"],
                cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False,
            )  # fmt: skip
        finally:
            site.stop()
            cluster.kill()
    assert started.returncode == 1
    assert started.stderr.strip() == (
        f"Redis at 127.0.0.1:{port} is a part of a Redis Cluster, which cannot run our transactions. "
        "Write the address of a single server in REDIS_URL."
    )


def _pings(client: Any) -> bool:
    try:
        return bool(client.ping())
    except Exception:  # noqa: BLE001
        return False


# --- A full disk ---


def test_a_redis_that_cannot_write_to_its_disk(tmp_path: Path) -> None:
    """T-77, T-92."""
    with Stack(tmp_path / "site") as site:
        site.redis.config_set("save", "3600 1000")
        # A file that cannot be replaced by a snapshot, as on a full disk.
        (site.folder / "valkey" / "dump.rdb").mkdir()
        site.redis.bgsave()
        wait_until(lambda: reason(site) == "disk", 10)
        answer = site.person().ask(number())
        assert (answer.status_code, answer.json()["code"]) == (503, "UNAVAILABLE")
        assert "not ready: redis MISCONF\n" in site.webs[0].text()
        assert "code refused: redis MISCONF\n" in site.webs[0].text()
        before = said_of(site, "code refused: redis MISCONF")
        person = site.person()
        for _ in range(30):
            assert person.ask(number()).status_code == 503
        assert len(re.findall("code refused: redis MISCONF", site.webs[0].text())) < 20, "a line for each"
        wait_until(lambda: said_of(site, "code refused: redis MISCONF") == before + 30, 20, "some are not counted")
        (site.folder / "valkey" / "dump.rdb").rmdir()
        site.redis.config_set("save", "")
        site.redis.bgsave()
        wait_until(lambda: reason(site) == "", 20)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of sixteen megabytes."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=16m,mode=700", "latchkey-test", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        services.missing("no small file system can be mounted here", "Run this test as root")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_sqlite_on_a_full_disk(tmp_path: Path, small_disk: Path) -> None:
    """T-77, T-92: every answer is a 503 in its own form, and all is well again when there is room."""
    site = Stack(small_disk, workers=0)
    # The logs are elsewhere: else they could not say so.
    for part in site.webs:
        part.log = tmp_path / f"{part.name}.log"
    try:
        site.start()
        assert reason(site) == "sweeper"
        person = site.person()
        assert person.token
        ballast = small_disk / "ballast"
        with ballast.open("wb", buffering=0) as file:
            while _fits(file):
                pass
        # What was reserved earlier is used up first.
        wait_until(lambda: [person.get("/login/"), reason(site)][-1] == "disk", 30)
        assert "not ready: database OperationalError SQLITE_FULL" in site.webs[0].text()
        ballast.unlink()
        wait_until(lambda: reason(site) == "sweeper", 20)
        assert person.ask(number()).status_code == 202
    finally:
        site.stop()


def said_of(site: Stack, words: str) -> int:
    """Return how many lines the log tells of: those that it has, and those that it counted together."""
    log = site.webs[0].text()
    more = re.findall(rf"{words}(?: \(and ([0-9]+) more like this in [0-9]+ s\))?$", log, re.MULTILINE)
    return sum(1 + int(count or 0) for count in more)


def _fits(file: Any) -> bool:
    try:
        return bool(file.write(b"x" * 4096))
    except OSError:
        return False


def test_a_postgresql_on_a_full_disk(tmp_path: Path, database: str) -> None:
    """T-77, T-92: the server says 53100 when a table needs another page."""
    with Stack(tmp_path / "site", DATABASE_URL=database) as site, psycopg.connect(database, autocommit=True) as admin:
        admin.execute(
            "CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = '53100'; END $$"
        )
        admin.execute("CREATE TRIGGER full_disk BEFORE INSERT ON tasks_delivery EXECUTE FUNCTION full_disk()")
        assert reason(site) == "disk"
        assert site.person().ask(number()).status_code == 503
        assert "not ready: database OperationalError DiskFull" in site.webs[0].text()
        assert "code refused: database OperationalError DiskFull" in site.webs[0].text()
        admin.execute("DROP TRIGGER full_disk ON tasks_delivery")
        wait_until(lambda: reason(site) == "", 20)
