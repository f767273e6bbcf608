"""A web process that is asked to end finishes what it has begun, and its pages come back."""

from __future__ import annotations

import socket
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from tests.support.numbers import number
from tests.support.stack import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.stack import Stack

REQUESTS = 12


def test_sigterm_loses_no_answer_of_what_is_under_way(make_stack: Callable[..., Stack]) -> None:
    """T-70: twelve requests wait for the database when the signal comes; each gets its 202, and its SMS."""
    stack = make_stack(SMS_PER_IP_HOUR="100", SMS_PER_SESSION_HOUR="100")
    [web] = stack.webs
    people = [stack.person() for _ in range(REQUESTS)]
    for person in people:
        assert person.token
    assert web.process
    with sqlite3.connect(stack.folder / "latchkey.sqlite3", isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        with ThreadPoolExecutor(REQUESTS) as pool:
            answers = [pool.submit(person.ask, number()) for person in people]
            wait_until(lambda: len(list(stack.redis.scan_iter("*cooldown*"))) == REQUESTS, 20)
            web.process.terminate()
            wait_until(lambda: _refuses(stack.ports[0]), 10)
            other.execute("ROLLBACK")
            assert [answer.result().status_code for answer in answers] == [202] * REQUESTS
    assert web.process.wait(10) == 0
    wait_until(lambda: [row["state"] for row in stack.deliveries()] == ["sent"] * REQUESTS, 20)


def test_a_socket_is_closed_with_a_code_on_which_its_page_comes_back(make_stack: Callable[..., Stack]) -> None:
    stack = make_stack()
    [web] = stack.webs
    assert web.process
    person = stack.person()
    page = person.open()
    web.process.terminate()
    assert page.wait_for_close() == 4012
    assert web.process.wait(10) == 0


def _refuses(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) != 0
