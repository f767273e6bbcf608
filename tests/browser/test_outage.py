"""Parts of the site die under open pages. The pages say so, keep up as well as they can, and heal by themselves."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.browser.window import Visitor
from tests.support.numbers import number
from tests.support.stack import PATIENCE, wait_until
from tests.tools.scan import proxy
from tests.tools.scan.site import Site

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, Page, Route, WebSocketRoute

    from tests.support.stack import Stack

pytestmark = pytest.mark.browser

PASSWORD = "correct horse battery"


@pytest.fixture(autouse=True)
def _whole_again(stack: Stack) -> Iterator[None]:
    """Every test leaves a site that works."""
    yield
    wait_until(lambda: stack.get("/readyz").status_code == 200, PATIENCE, "the site is not ready again")


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
    mobile = number()
    with tab.page.expect_response("**/state/"):
        other.ask(mobile)
    other.shows("sent")
    tab.shows("sent", 1)
    assert tab.seconds > 0
    visitor.shot(tab, "offline-sent")

    # Its own forms work too.
    tab.enter(stack.phone.code_for(mobile))
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
    # With its answer: a push to the other tab may come before that, and the kill too.
    asker.shows("sent")
    tab.shows("sent")

    [web] = stack.webs
    web.kill()
    tab.connection("offline")
    other.connection("offline")
    visitor.shot(tab, "server-killed")
    # What happens meanwhile: the SMS is used up by nobody, and a form says that the server is away.
    asker.login("carol", PASSWORD)
    asker.says("#trouble", re.compile("couldn't reach the server"))
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
    tab.go("/login/?again=1")
    tab.ask(number())
    tab.shows("sent", 1)
    other.shows("sent", 1)
    other.is_live()


# --- A token that had grown old ---


def test_a_form_whose_token_is_gone_goes_again_by_itself_with_what_was_typed(
    visit: Callable[..., Visitor], stack: Stack
) -> None:
    """T-46: cookies were cleared while the page was open. The refusal brings a new token, and nobody notices."""
    stack.user("frank", password=PASSWORD)
    visitor = visit(stack)
    visitor.expects("status of 403")
    tab = visitor.open()
    tab.by("password")
    tab("#username").fill("frank")
    visitor.context.clear_cookies(name="csrftoken")
    answers: list[int] = []
    tab.page.on("response", lambda answer: answers.append(answer.status) if answer.request.method == "POST" else None)
    tab.login("frank", PASSWORD)
    tab.page.wait_for_url(f"{stack.url}/")
    tab.user("frank")
    assert answers == [403, 200], "or this test means nothing"
    # The page's other form, and a token that is gone again: it goes again each time.
    tab.go("/login/")
    visitor.context.clear_cookies(name="csrftoken")
    tab("#in-out").click()
    tab.user("")


def test_a_form_that_no_token_helps_is_sent_twice_and_no_more(visit: Callable[..., Visitor], stack: Stack) -> None:
    """Something on the way takes each token out: the page says that it did not work, and does not go round for ever."""
    visitor = visit(stack)
    visitor.expects("status of 403")
    tab = visitor.open()
    sent: list[str] = []

    def without_token(route: Route) -> None:
        sent.append(route.request.url)
        headers = {name: value for name, value in route.request.headers.items() if name != "x-csrftoken"}
        route.continue_(headers=headers, post_data="username=frank")

    tab.page.route("**/login/", without_token)
    tab.login("frank", PASSWORD)
    tab.says("#trouble", re.compile("That didn't work"))
    assert len(sent) == 2
    assert tab("#username").input_value() == "frank"
    # Pressed again it tries again, in the same way.
    tab.login("frank", PASSWORD)
    expect(tab("#trouble")).not_to_be_empty()


def test_without_a_script_a_token_that_is_gone_costs_one_more_press(
    visit: Callable[..., Visitor], stack: Stack
) -> None:
    stack.user("grace", password=PASSWORD)
    visitor = visit(stack, java_script_enabled=False)
    visitor.expects("status of 403")
    tab = visitor.open(live=False)
    visitor.context.clear_cookies(name="csrftoken")
    tab.login("grace", PASSWORD)
    tab.says("#password-message", re.compile("Nothing was sent"))
    assert tab("#username").input_value() == "grace"
    visitor.shot(tab, "token-gone")
    tab.login("grace", PASSWORD)
    tab.page.wait_for_url(f"{stack.url}/")
    tab.user("grace")


def test_a_strangers_form_gets_nothing_back(visit: Callable[..., Visitor], stack: Stack) -> None:
    """T-45: what it holds does not come back in a form of ours, where one more press would send it."""
    visitor = visit(stack)
    visitor.expects("status of 403")
    tab = visitor.open("/nowhere/", live=False)
    visitor.expects("status of 404")
    stranger = f"{stack.url.replace('127.0.0.1', 'stranger.example.test')}/"
    form = (
        f'<form method="post" action="{stack.url}/login/"><input name="username" value="mallory">'
        '<input name="password" value="her password"><button>Win</button></form>'
    )
    tab.page.route(stranger, lambda route: route.fulfill(content_type="text/html", body=form))
    tab.page.goto(stranger)
    tab("button").click()
    expect(tab(".status")).to_have_text("403")
    assert "mallory" not in tab.page.content()
    visitor.shot(tab, "stranger")


# --- The whole server is away ---


@pytest.mark.skipif(not proxy.program(), reason="no nginx here; Debian: apt-get install nginx-light")
def test_a_visitor_who_comes_while_the_server_restarts_is_let_in_when_it_is_back(
    chromium: Browser, shots: Callable[[Page, str], None], tmp_path: Path
) -> None:
    """The page is nginx's to show and ours to write. It comes back by itself."""
    with Site(tmp_path) as site:
        [web] = site.stack.webs
        for locale, words in (("en-US", "restarting"), ("zh-CN", "重启")):
            visitor = Visitor(chromium.new_context(locale=locale, ignore_https_errors=True), site.url, shots)
            visitor.expects("status of 503")
            web.kill()
            tab = visitor.open(live=False)
            expect(tab("main")).to_contain_text(words)
            # Its own style, under its own policy.
            expect(tab(".main.button")).to_have_css("background-color", "rgb(20, 22, 27)")
            visitor.shot(tab, f"restarting-{locale}")
            web.start()
            site.stack.wait_for_web()
            expect(tab("#mobile")).to_be_visible(timeout=30_000)
            tab.is_live()
            assert visitor.troubles == []
            visitor.close()
