"""The bench's own eyes: what it calls a frame, a lag, a push, and what it would notice. Nothing is timed here."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from channels_redis.pubsub import RedisPubSubChannelLayer

from bench import crowd, pushes
from bench.ticks import lags
from bench.visitors import invite
from project.live.push import published
from tests.support.numbers import number
from tests.support.raw import frame
from tests.support.stack import Stack

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bench.visitors import Visitor


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A site whose pages are open by the dozen."""
    with Stack(tmp_path_factory.mktemp("bench")) as stack:
        yield stack


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65535, 65536])
def test_a_frame_is_taken_when_it_is_whole(size: int) -> None:
    whole = frame(b"x" * size, masked=False)
    assert crowd.frame(whole) == (crowd.TEXT, b"x" * size, b"")
    assert crowd.frame(whole + b"more") == (crowd.TEXT, b"x" * size, b"more")
    assert crowd.frame(whole[:-1]) is None
    assert crowd.frame(whole[:1]) is None


def test_the_bench_pushes_what_the_site_pushes() -> None:
    assert pushes.published(RedisPubSubChannelLayer(), "browser.x") == published("browser.x", "delivery.changed")


def test_a_late_second_is_lag_and_a_late_countdown_is_not() -> None:
    """Two pages, begun in different moments. One is told a number again; a second of the other comes 0.3 s late."""
    on_time = [(10.2, 9), (11.2, 8), (11.9, 8), (12.2, 7)]
    once_late = [(10.7, 9), (12.0, 8), (12.7, 7)]
    found = lags([on_time, once_late], 10.0, 3)
    assert found[0] == pytest.approx([0, 0])
    assert sorted(found[1]) == pytest.approx([0])
    assert sorted(found[2]) == pytest.approx([0, 0, 0.3])


def test_what_came_before_is_not_looked_at() -> None:
    assert lags([[(9.0, 5), (10.5, 4)]], 10.0, 1) == [[0.0]]


def told(stack: Stack, visitors: list[Visitor]) -> list[list[str]]:
    """Open a page for each visitor and return what each is told at first."""
    said: list[list[str]] = [[] for _ in visitors]

    async def come() -> None:
        cookies = [visitor.cookie for visitor in visitors]
        everyone = await crowd.enter(f"{stack.url}/ws/", cookies, lambda page, text: said[page.n].append(text))
        for page in everyone:
            page.leave()

    asyncio.run(come())
    return said


def test_visitors_are_let_in_and_each_is_shown_an_sms_that_was_sent(site: Stack) -> None:
    visitors = invite(site, 30)
    assert len({visitor.group for visitor in visitors}) == 30
    said = told(site, visitors)
    assert all('data-state="sent"' in "".join(texts) for texts in said)


def test_a_stranger_is_refused_and_the_bench_says_so(site: Stack) -> None:
    [visitor] = invite(site, 1)
    with pytest.raises(crowd.Refused, match="403"):
        told(site, [visitor._replace(session=number())])
