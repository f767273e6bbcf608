"""What every test may ask for: a site of its own, a provider. Nothing is shared with the machine's services."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest

from tests.support import services

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.support.provider import Provider
    from tests.support.stack import Stack

# Most tests are not about the price of a password's hash, which is a quarter of a second; who is names `REAL`.
os.environ.setdefault("LATCHKEY_TEST_SETTINGS", "tests.support.light_settings")

# Files whose tests are left to `make test-all`, beside single tests that are marked so: what stands around a sign-in
# and changes rarely. Each has real processes that are killed, hung or installed, or a wait of real seconds.
LONG = (
    # Parts that fail, and the queue in RabbitMQ.
    *("project/test_rabbitmq.py", "project/test_faults.py", "project/test_databases.py"),
    *("project/test_readiness.py", "project/test_silent_redis.py", "project/test_rolling_restart.py"),
    *("project/test_http_server.py", "project/test_pgbouncer.py", "project/test_shutdown.py"),
    *("tasks/test_failover.py", "tasks/test_gateway_faults.py", "browser/test_outage.py"),
    *("browser/test_dead_socket.py", "browser/test_waiting.py", "tools/test_chaos.py"),
    # Sessions in every race, crowds of sockets, and every page under axe.
    *("accounts/test_sessions.py", "accounts/test_lost_answers.py", "accounts/test_socket_limits.py"),
    *("accounts/test_handshakes.py", "browser/test_access.py", "browser/test_logout.py"),
    # Starting and installing: every wrong setting, make run, make user, two sites at once.
    *("project/test_settings.py", "project/test_run.py", "project/test_makefile.py"),
    *("project/test_sharing.py", "project/test_valkey.py", "project/test_traps.py"),
    *("project/test_log_counting.py", "tasks/test_gateway_settings.py", "accounts/test_createuser.py"),
    *("tasks/test_own_tasks.py", "tools/test_bench.py"),
    # A site's own pages and looks, and those of developers.
    *("browser/test_dev_pages.py", "browser/test_style.py", "browser/test_own_site.py"),
    *("browser/test_private_pages.py", "browser/test_branding.py", "pages/test_branded_site.py"),
    *("project/test_branding.py", "tasks/test_dev_phone.py"),
    # What a browser is forbidden, and the proof that no robot asks.
    *("browser/test_policy.py", "browser/test_proof.py", "browser/test_cookies.py"),
)
# Files that last longest, the longest first: with a file at a time for each process, one that begins last ends last.
LONGEST = (
    "project/test_rabbitmq.py",
    "project/test_settings.py",
    "browser/test_sign_in_flow.py",
    "tasks/test_delivery.py",
    "browser/test_code_flow.py",
    "browser/test_dead_socket.py",
    "browser/test_dev_pages.py",
    "browser/test_private_pages.py",
    "project/test_run.py",
    "tasks/test_own_tasks.py",
    "project/test_faults.py",
    "browser/test_login_page.py",
    "accounts/test_codes.py",
    "accounts/test_sessions.py",
    "browser/",
    "tasks/test_failover.py",
    "project/test_http_server.py",
    "tools/test_chaos.py",
    "accounts/",
    "project/",
)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the files that are long, before `-m` chooses, and put those that last longest first."""
    root = Path(__file__).parent

    def rank(item: pytest.Item) -> int:
        name = item.path.relative_to(root).as_posix()
        if name in LONG:
            item.add_marker("long")
        return next((n for n, longest in enumerate(LONGEST) if name.startswith(longest)), len(LONGEST))

    items.sort(key=rank)


def pytest_xdist_auto_num_workers() -> int:
    """Return how many processes share the tests: two for each core, since most wait most of the time."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 2
    return max(3, 2 * cores)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A site with the dev phone that a file's tests share. Each test brings numbers and people of its own."""
    from tests.support.stack import Stack

    with Stack(tmp_path_factory.mktemp("site")) as stack:
        yield stack


@pytest.fixture
def make_stack(tmp_path: Path) -> Iterator[Callable[..., Stack]]:
    """Make a site with settings of the test's own, started: `make_stack(SMS_COOLDOWN="3")`."""
    from tests.support.stack import Stack

    made: list[Stack] = []

    def make(**options: object) -> Stack:
        stack = Stack(tmp_path / f"site{len(made)}", **options)  # type: ignore[arg-type]
        made.append(stack)
        stack.start()
        return stack

    yield make
    for stack in made:
        stack.stop()


@pytest.fixture
def provider() -> Iterator[Provider]:
    """A Yuntongxun of the test's own."""
    from tests.support.provider import Provider

    with Provider() as provider:
        yield provider


@pytest.fixture
def database() -> Iterator[str]:
    """Return the URL of a PostgreSQL database of the test's own, which is empty."""
    server, name = services.postgresql(), f"latchkey_test_{secrets.token_hex(6)}"
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(f'CREATE DATABASE "{name}"')
    yield f"{server.rsplit('/', 1)[0]}/{name}"
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
