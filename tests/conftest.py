"""What every test may ask for: a site of its own, a provider. Nothing is shared with the machine's services."""

from __future__ import annotations

import os
import secrets
from typing import TYPE_CHECKING

import psycopg
import pytest

from tests.support import services

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.support.provider import Provider
    from tests.support.stack import Stack

# Most tests are not about the price of a password's hash, which is a quarter of a second; who is names `REAL`.
os.environ.setdefault("LATCHKEY_TEST_SETTINGS", "tests.support.light_settings")


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
