"""Services that a test needs from the machine, and what is done when one is missing.

Only tests that ask here touch such a service, each under names of its own that it removes. A missing one skips the
test and says why; where LATCHKEY_REQUIRE_SERVICES=1 promises that all are there, as in CI, it is an error.
"""

from __future__ import annotations

import os
import shutil
import socket
from typing import NoReturn
from urllib.parse import urlsplit

import pika
import psycopg
import pytest

POSTGRESQL = os.environ.get("LATCHKEY_TEST_POSTGRESQL", "postgres://postgres@127.0.0.1:5432/postgres")
RABBITMQ = os.environ.get("LATCHKEY_TEST_RABBITMQ", "amqp://guest:guest@127.0.0.1:5672/")
# Seconds that one may take to answer on a busy machine. One that is not there says so at once.
PATIENCE = 20


def missing(what: str, how: str) -> NoReturn:
    """Skip the test, or fail it where everything was promised. `how` says how to get the service."""
    if os.environ.get("LATCHKEY_REQUIRE_SERVICES") == "1":
        pytest.fail(f"LATCHKEY_REQUIRE_SERVICES=1, but {what}. {how}", pytrace=False)
    pytest.skip(f"{what}. {how}")


def rabbitmq() -> str:
    """Return the URL of a RabbitMQ that answers, or skip."""
    parts = urlsplit(RABBITMQ)
    try:
        with socket.create_connection((parts.hostname, parts.port or 5672), timeout=PATIENCE) as connection:
            # Who speaks AMQP answers this with its first frame, a method on channel 0.
            connection.sendall(b"AMQP\x00\x00\x09\x01")
            answer = connection.recv(1)
    except OSError:
        answer = b""
    if answer != b"\x01":
        missing(
            f"no RabbitMQ answers at {parts.hostname}:{parts.port or 5672}",
            "Debian: apt-get install rabbitmq-server; elsewhere: LATCHKEY_TEST_RABBITMQ=amqp://user:password@host/vhost",
        )
    return RABBITMQ


def delete_queues(url: str, queue: str) -> None:
    """Remove a site's queues from RabbitMQ."""
    with pika.BlockingConnection(pika.URLParameters(url)) as connection:
        for name in (queue, f"{queue}.dead"):
            connection.channel().queue_delete(name)


def postgresql() -> str:
    """Return the URL of a PostgreSQL in which we may make databases of our own, or skip."""
    try:
        with psycopg.connect(POSTGRESQL, connect_timeout=PATIENCE) as connection:
            found = connection.execute("SELECT rolcreatedb FROM pg_roles WHERE rolname = current_user").fetchone()
    except psycopg.OperationalError:
        found = None
    if found != (True,):
        parts = urlsplit(POSTGRESQL)
        missing(
            f"no PostgreSQL lets us make a database at {parts.hostname}:{parts.port or 5432}",
            "Write LATCHKEY_TEST_POSTGRESQL=postgres://user:password@host/postgres of a role with CREATEDB",
        )
    return POSTGRESQL


def pgbouncer() -> str:
    """Return the path of PgBouncer's program, or skip."""
    found = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")
    if not found:
        # As nginx and HAProxy: a program that only some sites have in front of their own.
        pytest.skip("no pgbouncer here; Debian: apt-get install pgbouncer")
    return found
