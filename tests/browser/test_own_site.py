"""The base template that docs/own-site.md shows, in a browser: nothing is seen that is not true just now."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.support import own_sites
from tests.support.numbers import number

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.browser.window import Visitor
    from tests.support.stack import Stack

pytestmark = pytest.mark.browser

PASSWORD = "correct horse battery"


@pytest.fixture(scope="module")
def own_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The documented site."""
    with own_sites.made_as_documented(tmp_path_factory.mktemp("clone")) as stack:
        stack.user("alice", password=PASSWORD)
        yield stack


def test_a_page_of_ones_own_says_one_thing_at_a_time(visit: Callable[..., Visitor], own_site: Stack) -> None:
    """Without latchkey.css: the connection's word, and nothing of a code that nobody has requested."""
    visitor = visit(own_site)
    tab = visitor.open("/other/")
    assert tab("#connection").inner_text().strip() == "Connected"
    assert tab("body").inner_text().split() == ["Sign", "in", "Other", "Connected"]
    visitor.shot(tab, "own-site")

    login = visitor.open()
    login.ask(number())
    tab.shows("sent", 1)
    shown = tab("body").inner_text()
    assert "Sent" in shown
    assert "Resend code in" in shown
    for other in ("Accepted", "Delivered", "Connecting", "Connection lost"):
        assert other not in shown, other
    visitor.shot(tab, "own-site-sent")


def test_a_private_page_of_ones_own_leaves_with_its_visitor(visit: Callable[..., Visitor], own_site: Stack) -> None:
    """T-39."""
    visitor = visit(own_site)
    tab = visitor.open("/other/private/")
    tab.login("alice", PASSWORD)
    expect(tab("#diary")).to_have_text("The diary of alice")
    tab.is_live()
    other = visitor.open("/")
    other.logout()
    tab.page.wait_for_url("**/login/?next=/other/private/")
