"""What an error of Redis or of the database is called in the log: asked of real servers that really refuse."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import psycopg
import pytest
from django import db
from redis import Redis

from project import outage, redis
from project.run import valkey
from tests.support import services
from tests.support.stack import free_port, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.stack import Stack

# In a transaction, as a request for a code sends it; the visitor's number stands in for whatever a key may hold.
SECRET = "13800138000"
SCRIPT = "redis.call('SET', KEYS[1], 'x') return redis.call('PUBLISH', ARGV[1], 'x')"
RIGHTS = "+@all -@admin -@dangerous"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A Valkey of the tests' own, in its folder."""
    folder = tmp_path_factory.mktemp("outage")
    valkey.ensure(folder)
    yield folder
    valkey.owned.pop(folder / "valkey").server.kill()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a Valkey that is a cluster of one."""
    port = free_port()
    command = [valkey._binary(), "--port", str(port), "--cluster-enabled", "yes", "--bind", "127.0.0.1"]
    process = subprocess.Popen(command, cwd=tmp_path_factory.mktemp("cluster"), stdout=subprocess.DEVNULL)
    client = Redis(port=port)
    wait_until(lambda: _answers(client), 20)
    client.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)  # type: ignore[no-untyped-call]
    wait_until(lambda: _answers(client, "GET", "x"), 20)
    yield port
    process.kill()
    process.wait()


def _answers(client: Any, *command: str) -> bool:
    try:
        client.execute_command(*(command or ("PING",)))
    except redis.Unavailable:
        return False
    return True


def refusal(client: Any) -> redis.Unavailable:
    """Return what a server says to a request for a code."""
    pipe = client.pipeline(transaction=True)
    pipe.eval(SCRIPT, 2, f"latchkey:{SECRET}", "huey.redis.latchkey", "latchkey__group__x")
    with pytest.raises(redis.Unavailable) as refused:
        pipe.execute()
    return refused.value


@pytest.mark.parametrize(
    ("fault", "cure", "code"),
    [
        ("CONFIG SET maxmemory 1", "CONFIG SET maxmemory 0", "OOM"),
        ("REPLICAOF 127.0.0.1 1", "REPLICAOF NO ONE", "READONLY"),
        ("CONFIG SET min-replicas-to-write 1", "CONFIG SET min-replicas-to-write 0", "NOREPLICAS"),
    ],
)
def test_a_server_that_refuses_is_called_by_its_own_code(server: Path, fault: str, cure: str, code: str) -> None:
    client: Any = Redis.from_url(valkey.url(server))
    client.execute_command(*fault.split())
    try:
        error = refusal(client)
    finally:
        client.execute_command(*cure.split())
    assert outage.name(error) == f"redis {code}"
    assert outage.is_outage(error)
    assert not outage.is_disk_full(error)


@pytest.mark.parametrize("right", ["-eval", "-publish", "-set", "resetchannels", "resetkeys"])
def test_a_right_that_is_missing_is_called_so_wherever_it_is_missed(server: Path, right: str) -> None:
    """Redis calls it NOPERM, but in a script it has no code for it; and the text may hold a key."""
    admin: Any = Redis.from_url(valkey.url(server))
    rights = ["~*", "&*", *RIGHTS.split(), right]
    admin.execute_command("ACL", "SETUSER", "poor", "reset", "on", ">secret", *rights)
    error = refusal(Redis(port=urlsplit(valkey.url(server)).port or 0, username="poor", password="secret"))
    assert outage.name(error) == "redis NOPERM"
    assert SECRET not in outage.name(error)


def test_a_wrong_password_and_a_server_that_is_gone(server: Path) -> None:
    port = urlsplit(valkey.url(server)).port or 0
    assert outage.name(refusal(Redis(port=port, password="wrong"))) == "redis WRONGPASS"
    assert outage.name(refusal(Redis(port=port))) == "redis NOAUTH"
    assert outage.name(refusal(Redis(port=free_port()))) == "redis ConnectionError"


def test_a_cluster_is_known_as_one(cluster: int) -> None:
    error = refusal(Redis(port=cluster))
    assert outage.name(error) == "redis CROSSSLOT"
    assert outage.is_cluster(error)


def test_a_redis_that_cannot_write_to_its_disk(tmp_path: Path) -> None:
    valkey.ensure(tmp_path)
    mine = valkey.owned[tmp_path / "valkey"]
    try:
        client = Redis.from_url(valkey.url(tmp_path))
        # A file that cannot be replaced by a snapshot, as on a full disk.
        (tmp_path / "valkey" / "dump.rdb").mkdir()
        client.config_set("save", "3600 1000")
        client.bgsave()
        wait_until(lambda: not _answers(client), 10)
        error = refusal(client)
    finally:
        valkey.owned.pop(tmp_path / "valkey")
        mine.server.kill()
    assert outage.name(error) == "redis MISCONF"
    assert outage.is_disk_full(error)


def test_an_answer_that_holds_a_key_is_not_quoted() -> None:
    """The command stands before the answer in redis-py's text, and a key may look like a code."""
    error = redis.Unavailable("Command # 1 (EVAL MISCONF) of pipeline caused error: odd")
    assert outage.name(error) == "redis RedisError"
    assert outage.name(ValueError(SECRET)) == "ValueError"


FULL = """
from django.db import connection, Error
from project import outage
cursor = connection.cursor()
try:
    cursor.execute("PRAGMA max_page_count = 1")
    cursor.execute("CREATE TABLE large (x)")
    cursor.execute("INSERT INTO large VALUES (zeroblob(1000000))")
except Error as error:
    print(outage.name(error), outage.is_disk_full(error), outage.is_outage(error))
"""


def test_a_full_sqlite_is_called_so(stack: Stack) -> None:
    assert stack.manage("shell", "-c", FULL).strip().endswith("database OperationalError SQLITE_FULL True True")


@pytest.mark.parametrize(
    ("state", "name", "full", "away"),
    [
        ("53100", "OperationalError DiskFull", True, True),
        ("53200", "OperationalError OutOfMemory", False, True),
        ("53300", "OperationalError TooManyConnections", False, True),
        ("25006", "InternalError ReadOnlySqlTransaction", False, True),
        ("57P01", "OperationalError AdminShutdown", False, True),
        ("57014", "OperationalError QueryCanceled", False, True),
        ("55P03", "OperationalError LockNotAvailable", False, True),
        ("40P01", "OperationalError DeadlockDetected", False, True),
        ("58030", "OperationalError IoError", False, True),
        ("XX001", "InternalError DataCorrupted", False, True),
        ("42501", "ProgrammingError InsufficientPrivilege", False, True),
        ("42601", "ProgrammingError SyntaxError", False, False),
        ("23505", "IntegrityError UniqueViolation", False, False),
    ],
)
def test_an_error_of_postgresql_has_one_meaning(state: str, name: str, *, full: bool, away: bool) -> None:
    """Raised by the server itself, under the SQLSTATE that it has then."""
    raising = f"DO $$ BEGIN RAISE EXCEPTION '{SECRET}' USING ERRCODE = '{state}'; END $$"
    connection = psycopg.connect(services.postgresql())
    django_s_own = db.utils.DatabaseErrorWrapper(_Database())
    with connection, pytest.raises(db.Error) as raised, django_s_own:
        connection.execute(raising)
    assert outage.name(raised.value) == f"database {name}"
    assert (outage.is_disk_full(raised.value), outage.is_outage(raised.value)) == (full, away)


class _Database:
    """As much of Django's connection as its translation of a driver's errors needs."""

    Database = psycopg
    errors_occurred = False
