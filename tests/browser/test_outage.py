"""Parts of the site die under open pages. The pages say so, keep up as well as they can, and heal by themselves."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.numbers import number
from tests.stack import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import WebSocketRoute

    from tests.browser.window import Visitor
    from tests.stack import Stack

pytestmark = pytest.mark.browser

PASSWORD = "correct horse battery"


@pytest.fixture(autouse=True)
def _whole_again(stack: Stack) -> Iterator[None]:
    """Every test leaves a site that works."""
    yield
    wait_until(lambda: stack.get("/readyz").status_code == 200, 30, "the site is not ready again")


def test_a_page_without_its_socket_says_so_and_asks_every_few_seconds(
    visit: Callable[..., Visitor], stack: Stack
) -> None:
    """T-60, T-64."""
    visitor = visit(stack)
    visitor.expects_outage()
    tab = visitor.open()
    blocked = True
    sockets: list[WebSocketRoute] = []

    def guard(socket: WebSocketRoute) -> None:
        if blocked:
            # As a proxy does that knows no WebSocket.
            socket.close(code=1011)
        else:
            socket.connect_to_server()
            sockets.append(socket)

    tab.page.route_web_socket("**/ws/", guard)
    tab.go("/login/", live=False)
    tab.connection("offline")
    visitor.shot(tab, "offline")

    # Another tab, whose socket works, asks. This one follows by asking.
    other = visitor.open()
    with tab.page.expect_response("**/state/"):
        other.ask(number())
    other.shows("sent")
    tab.shows("sent", 1)
    assert tab.seconds > 0
    visitor.shot(tab, "offline-sent")

    # Its own forms work too.
    code = stack.phone.messages[-1].code
    tab.enter(code)
    tab.page.wait_for_url(f"{stack.url}/")
    tab.user(re.compile(".+"))
    other.user(tab.username)
    tab.connection("offline")

    # A logout elsewhere is seen by the poll.
    other.logout()
    tab.user("")

    blocked = False
    tab.is_live()
    assert sockets


def test_two_tabs_of_a_killed_server_heal_and_are_right(visit: Callable[..., Visitor], stack: Stack) -> None:
    """T-71."""
    stack.user("carol", password=PASSWORD)
    visitor = visit(stack)
    visitor.expects_outage()
    tab, other = visitor.open(), visitor.open("/")
    tab("#mobile").fill("138 00")
    tab("#mobile").focus()
    mobile = number()
    asker = visitor.open()
    asker.ask(mobile)
    tab.shows("sent")

    [web] = stack.webs
    web.kill()
    tab.connection("offline")
    other.connection("offline")
    visitor.shot(tab, "server-killed")
    # What happens meanwhile: the SMS is used up by nobody, and a form says that the server is away.
    asker.login("carol", PASSWORD)
    asker.says("#trouble", re.compile("did not answer"))
    visitor.shot(asker, "server-killed-trouble")

    web.start()
    stack.wait_for_web()
    for page in (tab, other, asker):
        page.is_live()
        page.shows("sent", 1)
    assert tab("#mobile").input_value() == "138 00"
    assert tab.focused == "mobile"

    # They are right, and not only healed: what happens next comes through.
    asker.login("carol", PASSWORD)
    asker.page.wait_for_url(f"{stack.url}/")
    for page in (tab, other, asker):
        page.user("carol")


def test_a_login_while_the_other_tabs_were_cut_off_is_seen_after_the_restart(
    visit: Callable[..., Visitor], stack: Stack
) -> None:
    """T-71: the news is lost, because nobody was connected. The replay is what puts them right."""
    stack.user("dave1", password=PASSWORD)
    visitor = visit(stack)
    visitor.expects_outage()
    tab = visitor.open("/")
    [web] = stack.webs
    web.kill()
    tab.connection("offline")
    web.start()
    stack.wait_for_web()
    # Before the tab has come back, as likely as not.
    other = visitor.open(live=False)
    other.login("dave1", PASSWORD)
    other.page.wait_for_url(f"{stack.url}/")
    tab.user("dave1")
    tab.is_live()


def test_a_redis_that_dies_and_comes_back_empty_leaves_pages_that_are_right(
    visit: Callable[..., Visitor], stack: Stack
) -> None:
    """T-59, T-66."""
    stack.user("erin1", password=PASSWORD)
    visitor = visit(stack)
    visitor.expects_outage()
    visitor.expects("status of 503")
    tab, other = visitor.open(), visitor.open("/")

    stack.kill_valkey()
    # No code can be promised, and the page says so; a password does not need Redis.
    tab.ask(number())
    tab.says("#code-message", re.compile("nothing was sent"))
    visitor.shot(tab, "redis-killed")
    tab.button_is_free()
    tab.login("erin1", PASSWORD)
    tab.page.wait_for_url(f"{stack.url}/")
    tab.user("erin1")

    stack.start_valkey()
    # The push of that login is lost. The other tab looks for itself, within half a minute.
    expect(other("#account")).to_have_attribute("data-user", "erin1", timeout=45_000)
    tab.go("/login/")
    tab.ask(number())
    tab.shows("sent", 1)
    other.shows("sent", 1)
    other.is_live()
