"""A code on its way, as its visitor sees it: browser, daphne, worker, and a provider that fails on order."""

from __future__ import annotations

import re
import signal
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.support.carrier import Carrier
from tests.support.numbers import number
from tests.support.provider import Provider
from tests.support.stack import PATIENCE, Stack, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Route

    from tests.browser.window import Visitor

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def carrier() -> Iterator[Carrier]:
    """The carrier that the file's site sends through."""
    with Carrier() as provider:
        yield provider


@pytest.fixture(scope="module")
def site(carrier: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A site that sends through the carrier."""
    with Stack(tmp_path_factory.mktemp("site"), provider=carrier) as stack:
        yield stack


@pytest.fixture(autouse=True)
def _good_manners(carrier: Provider) -> Iterator[None]:
    """Every request to the carrier conforms, in every test."""
    carrier.clear()
    yield
    assert carrier.violations == []


def test_a_carrier_that_fails_twice_is_followed_to_the_end(
    visit: Callable[..., Visitor], site: Stack, carrier: Carrier
) -> None:
    """T-73."""
    carrier.script("busy", "busy")
    mobile = number()
    visitor = visit(site)
    tab, other = visitor.open(), visitor.open("/")

    # A worker is often faster than the answer to the form; this one comes when both pages have seen the queue.
    with carrier.watched():
        site.hang(site.workers[0])
        try:
            tab.ask(mobile)
            tab.shows("queued", 0)
            other.shows("queued", 0)
        finally:
            site.workers[0].signal(signal.SIGCONT)
        for state, attempt in (("retrying", 2), ("retrying", 3), ("sent", 3)):
            for page in (tab, other):
                page.shows("sending", attempt - (state == "retrying"))
            carrier.nods.release()
            tab.shows(state, attempt)
            visitor.shot(tab, f"road-{state}-{attempt}")
    assert tab.road == [
        ("queued", 0),
        ("sending", 1),
        ("retrying", 2),
        ("sending", 2),
        ("retrying", 3),
        ("sending", 3),
        ("sent", 3),
    ]
    # Nobody asked in the other tab, and it has followed.
    other.shows("sent", 3)
    assert other.road == tab.road

    # 5 s by the retry policy, and at most one tick of the queue's scheduler more.
    gaps = [later.at - sooner.ended for sooner, later in pairwise(carrier.requests)]
    assert len(gaps) == 2
    assert all(5 <= gap < 7 for gap in gaps), gaps

    # One SMS, and what it says is the way in.
    [sms] = carrier.sent
    assert sms.to == mobile
    tab.enter(sms.code)
    tab.page.wait_for_url(f"{site.url}/")
    tab.user(re.compile(".+"))
    tab.is_live()
    other.user(tab.username)
    assert mobile not in tab.page.content(), "a number is shown masked only"
    visitor.shot(tab, "road-signed-in")


def test_a_carrier_that_never_takes_it_ends_in_failed_and_one_may_ask_again_at_once(
    visit: Callable[..., Visitor], site: Stack, carrier: Carrier
) -> None:
    """T-73."""
    carrier.script("busy", "busy", "busy", "busy")
    visitor = visit(site)
    tab = visitor.open()

    mobile = number()
    with carrier.watched():
        tab.ask(mobile)
        tab.button_waits()
        for attempt in (1, 2, 3):
            tab.shows("sending", attempt)
            carrier.nods.release()
            tab.shows("retrying", attempt + 1)
            if attempt == 1:
                visitor.shot(tab, "failing-retrying")
        tab.shows("sending", 4)
        carrier.nods.release()
        tab.shows("failed", 4)
    # The cooldown would run for most of a minute yet; it is given back.
    tab.button_is_free()
    assert tab.seconds == 0
    visitor.shot(tab, "failed")
    assert len(carrier.requests) == 4
    assert carrier.sent == []
    steps = [*["sending", "retrying"] * 3, "sending", "failed"]
    # A worker that has nothing else to do may have it before a page can be told that it is queued.
    assert [state for state, _ in tab.road] in (["queued", *steps], steps)

    tab(".ask button").click()
    tab.shows("sent", 1)
    assert [sms.to for sms in carrier.sent] == [mobile]


def test_a_number_that_the_carrier_refuses_says_so_at_once(
    visit: Callable[..., Visitor], site: Stack, carrier: Provider
) -> None:
    """T-73."""
    carrier.script("bad_number")
    visitor = visit(site)
    tab = visitor.open()
    tab.ask(number())
    tab.shows("failed", 1)
    tab.button_is_free()
    tab.says("#delivery .sense", re.compile("can.t receive our messages"))
    visitor.shot(tab, "failed-number")


def test_a_carrier_that_takes_it_and_is_silent_is_not_called_a_failure(
    visit: Callable[..., Visitor], site: Stack, carrier: Provider
) -> None:
    """T-72: our own time-out ends it, and the same message may be repeated only where the provider knows it again."""
    carrier.script("accept_then_hang")
    visitor = visit(site)
    tab = visitor.open()
    tab.ask(number())
    wait_until(lambda: carrier.sent, PATIENCE, "the carrier never got it")
    tab.shows("sent")
    assert len(carrier.sent) == 1, "one message, however often it was asked"
    assert "failed" not in [state for state, _ in tab.road]


def test_an_answer_that_comes_late_does_not_turn_the_page_back(
    visit: Callable[..., Visitor], site: Stack, carrier: Provider
) -> None:
    """The carrier is often faster than the answer to the form, which says "queued"."""
    visitor = visit(site)
    tab = visitor.open()

    def hold(route: Route) -> None:
        answer = route.fetch()
        # By a push.
        expect(tab("#delivery[data-state=sent]")).to_be_attached()
        route.fulfill(response=answer)

    tab.page.route("**/code/", hold)
    tab("#mobile").fill(number())
    with tab.page.expect_response("**/code/") as late:
        tab(".ask button").click()
    assert 'data-state="queued"' in late.value.text(), "or this test means nothing"
    tab.shows("sent")
    assert tab.road[-1] == ("sent", 1)
    states = [state for state, _ in tab.road]
    assert "queued" not in states[states.index("sent") :]
