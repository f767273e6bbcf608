"""A connection that dies without a word: the page notices, says so, asks, and comes back."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from tests.support.faultproxy import FaultProxy
from tests.support.numbers import number
from tests.support.stack import Stack, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.browser.window import Visitor

pytestmark = pytest.mark.browser

# Seconds in which a page must have noticed, on a busy machine.
NOTICED = 35


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A site whose countdown is over before a dead connection is noticed."""
    with Stack(tmp_path_factory.mktemp("site"), SMS_COOLDOWN="15") as stack:
        yield stack


@pytest.fixture
def line(site: Stack) -> Iterator[FaultProxy]:
    """Everything between a visitor and the site."""
    with FaultProxy("127.0.0.1", site.ports[0]) as proxy:
        yield proxy


def through(line: FaultProxy, visitor: Visitor) -> Visitor:
    """Have a visitor come to the site by this line."""
    visitor.url = f"http://127.0.0.1:{line.port}"
    visitor.expects_outage()
    return visitor


def test_a_page_at_rest_whose_connections_died_comes_back_by_itself(
    visit: Callable[..., Visitor], site: Stack, line: FaultProxy
) -> None:
    """No FIN, no RST, as after sleep or behind a router that has forgotten: noticed, said, mended."""
    visitor = through(line, visit(site))
    tab = visitor.open("/login/")
    before = line.connections
    line.swallow()
    wait_until(lambda: "offline" in tab.shown["connection"], NOTICED, "it still says that it is live")
    tab.is_live()
    assert line.connections > before
    # And it is live, not only called so. The other tab takes another way: a browser keeps dead connections for a while.
    visitor.url = site.url
    visitor.open("/login/").ask(number())
    tab.shows("sent")


def test_a_page_at_rest_hears_the_server_and_stays_live(visit: Callable[..., Visitor], site: Stack) -> None:
    """Peace that lasts longer than a silence may is none."""
    tab = visit(site).open("/login/")
    time.sleep(NOTICED)
    assert tab.shown["connection"] == ["connecting", "live"]


def test_a_countdown_ends_by_itself_when_the_server_is_out_of_reach(
    visit: Callable[..., Visitor], site: Stack, line: FaultProxy
) -> None:
    """Nothing gets through, in either direction and for new connections as well; the button comes back all the same."""
    tab = through(line, visit(site)).open("/login/")
    tab.ask(number())
    tab.shows("sent")
    tab.button_waits()
    line.hang()
    tab.button_is_free()
    assert tab.seconds == 0
    # The first is that of the page before anything was asked for.
    _before, *counted = tab.shown["seconds"]
    assert counted == sorted(counted, reverse=True), "it went back"
    assert len(counted) > 10, "it stood still and jumped"
    tab.connection("offline")
    line.heal()
    tab.is_live()
