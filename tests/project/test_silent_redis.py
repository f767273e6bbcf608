"""A Redis behind something that forgets connections: those that are open die without a word, and new ones work."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from project.run import valkey
from tests.support.faultproxy import FaultProxy
from tests.support.numbers import number
from tests.support.stack import Stack
from tests.support.together import together

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# Seconds after which everything has noticed: a worker's read takes three, the channel layer's ping four.
NOTICED = 6
# What a push takes at most on a busy machine. Without pushes a page looks for news itself, after 5 to 8 s.
PUSHED = 3.0


@pytest.fixture
def site(tmp_path: Path) -> Iterator[tuple[Stack, FaultProxy]]:
    """A site whose Redis is behind a proxy."""
    # The stack stops it: it lies in the stack's folder.
    tmp_path.joinpath("valkey").mkdir()
    valkey.ensure(tmp_path)
    url = urlsplit(valkey.url(tmp_path))
    with FaultProxy("127.0.0.1", url.port or 0) as proxy:
        through = url._replace(netloc=url.netloc.replace(f":{url.port}", f":{proxy.port}")).geturl()
        with Stack(tmp_path, REDIS_URL=through) as stack:
            yield stack, proxy


def delivered_after(stack: Stack) -> float:
    """Open a page, request a code, and return after how many seconds the page says that it was sent."""
    person = stack.person()
    page = person.open()
    page.wait_for("connection", state="live")
    began = time.monotonic()
    assert person.ask(number()).status_code == 202
    page.wait_for("delivery", 30, state="sent")
    page.close()
    return time.monotonic() - began


def test_pushes_are_on_time_again_within_seconds(site: tuple[Stack, FaultProxy]) -> None:
    """Those of the web, which takes the request, and of the worker, which sends it."""
    stack, proxy = site
    assert delivered_after(stack) < PUSHED, "or this test means nothing"
    proxy.swallow()
    time.sleep(NOTICED)
    # One request and one push of each thread may be lost: they find out.
    for _ in range(2):
        stack.person().ask(number())
    time.sleep(NOTICED)
    took = [delivered_after(stack) for _ in range(4)]
    assert max(took) < PUSHED, took


def test_a_request_is_answered_at_once_and_the_next_is_accepted(site: tuple[Stack, FaultProxy]) -> None:
    stack, proxy = site
    people = [stack.person() for _ in range(6)]
    for person in people:
        person.get()
    # At once, so that the pool has several connections: each of them dies, and only one of them may cost a request.
    for _ in range(3):
        together([partial(person.ask, number()) for person in people])
    proxy.swallow()
    answers = []
    for person in people:
        began = time.monotonic()
        answers.append((person.ask(number()).status_code, time.monotonic() - began))
    assert max(seconds for _status, seconds in answers) < 4, answers
    assert answers[0][0] in {202, 503}
    assert [status for status, _seconds in answers[1:]] == [202] * 5, answers
