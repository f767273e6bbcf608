"""A browser with more tabs than it may have sockets: none is left behind, and after a logout none keeps anything."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from tests.support.stack import Stack

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.browser.window import Tab, Visitor

pytestmark = pytest.mark.browser

PASSWORD = "correct horse battery"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A site where a session has two sockets, and somebody with a password."""
    with Stack(tmp_path_factory.mktemp("logout"), workers=0, SOCKETS_PER_SESSION="2") as stack:
        stack.user("alice", password=PASSWORD)
        yield stack


def sign_in(tab: Tab) -> None:
    """Sign in with the password and come to the home page."""
    tab.login("alice", PASSWORD)
    tab.page.wait_for_url(f"{tab.url}/")
    tab.user("alice")


def test_a_tab_too_many_asks_now_and_then_until_there_is_room(visit: Callable[..., Visitor], site: Stack) -> None:
    """T-55, T-63: it shows the truth by polls, and its tries for a socket grow rare."""
    visitor = visit(site)
    first, second = visitor.open(), visitor.open("/")
    visitor.expects_outage()
    visitor.expects("status of 403")
    third = visitor.open("/", live=False)
    third.connection("offline")
    sign_in(first)
    for tab in (second, third):
        tab.user("alice")
    pauses = third.page.evaluate("[...Array(20).keys()].map((tries) => htmx.config.wsReconnectDelay(tries))")
    assert pauses[0] < 1000
    assert all(4000 <= pause <= 8000 for pause in pauses[5:])
    for tab in (first, second):
        tab.page.close()
    third.is_live()
    third.user("alice")


def test_after_a_logout_no_tab_keeps_anything(visit: Callable[..., Visitor], site: Stack) -> None:
    """T-39: one that slept meanwhile among them; and a browser's stores never had anything of a page."""
    visitor = visit(site)
    # A handshake may come with the cookie from before the sign-out, and is refused then.
    visitor.expects("WebSocket connection to .* failed", r"\[object Event\] .*page\.")
    first = visitor.open()
    sign_in(first)
    sleeper = visitor.open("/")
    sleeper.user("alice")
    asleep = visitor.context.new_cdp_session(sleeper.page)
    asleep.send("Page.setWebLifecycleState", {"state": "frozen"})
    first.logout()
    first.user("")
    asleep.send("Page.setWebLifecycleState", {"state": "active"})
    sleeper.user("")
    first.page.go_back()
    first.user("")
    for tab in (first, sleeper):
        assert "alice" not in tab("body").inner_text()
        kept = tab.page.evaluate(
            "Promise.all([caches.keys(), indexedDB.databases()])"
            ".then((more) => [Object.entries(localStorage), Object.entries(sessionStorage), ...more])"
        )
        # The address of the page is htmx' own note, and all there is.
        assert kept in (
            [[], [], [], []],
            [[], [["htmx-current-path-for-history", urlsplit(tab.page.url).path]], [], []],
        )
    assert "username" not in visitor.cookies
    assert "alice" not in str(visitor.cookies)
