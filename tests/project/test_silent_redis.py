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
from tests.support.stack import Stack, wait_until
from tests.support.together import together

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# Seconds after which everything has noticed: a worker's read takes three, the channel layer's ping four.
NOTICED = 6
# Of the stack's worker. Each pushes over a connection of its own.
THREADS = 4
# What a push takes at most on a busy machine. Without pushes a page looks for news itself, after 5 to 8 s.
PUSHED = 3.0
# Shorter than a request waits for Redis, which is a second.
PAUSE_MS = 500


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
    # No page is open any more: nobody would miss what does not come.
    wait_until(lambda: not stack.redis.pubsub_channels("*__group__*"), 10)
    proxy.swallow()
    time.sleep(NOTICED)
    # One request and one push of each thread may be lost: they find out. Redis gives the threads their turns in order.
    for _ in range(2 * THREADS):
        stack.person().ask(number())
        wait_until(lambda: {row["state"] for row in stack.deliveries()} == {"sent"}, 20)
    time.sleep(NOTICED)
    took = [delivered_after(stack) for _ in range(THREADS)]
    assert max(took) < PUSHED, took


def test_a_request_is_answered_at_once_and_the_next_is_accepted(site: tuple[Stack, FaultProxy]) -> None:
    stack, proxy = site
    people = [stack.person() for _ in range(6)]
    for person in people:
        person.get()
    # While Redis takes its time, so that each has a connection of its own: all of them die, and one request may pay.
    before = proxy.connections
    stack.redis.client_pause(PAUSE_MS)
    together([partial(person.ask, number()) for person in people])
    assert proxy.connections - before >= len(people) - 1, "or this test means nothing"
    proxy.swallow()
    began = time.monotonic()
    first = people[0].ask(number()).status_code
    # Again at once: none of them takes another dead connection.
    others = together([partial(person.ask, number()) for person in people[1:]])
    assert time.monotonic() - began < 4
    assert first in {202, 503}
    assert [answer.status_code for answer in others] == [202] * 5
