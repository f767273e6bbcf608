"""Many tabs of one browser, and one browser beside another: each shows its own truth, and nothing of others."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.browser.chromium import launch
from tests.browser.window import browse
from tests.support.numbers import number
from tests.support.stack import PATIENCE, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Page, Playwright

    from tests.browser.window import Tab, Visitor
    from tests.support.stack import Stack

pytestmark = pytest.mark.browser

PASSWORD = "correct horse battery"


@pytest.fixture(scope="module", autouse=True)
def _alice(stack: Stack) -> None:
    """Somebody with a password."""
    stack.user("alice", password=PASSWORD)


def sign_in(tab: Tab, stack: Stack) -> None:
    """Sign in with the password and come to the home page."""
    tab.login("alice", PASSWORD)
    tab.page.wait_for_url(f"{stack.url}/")
    tab.is_live()


def test_a_login_and_a_logout_reach_every_tab_of_this_browser_and_none_of_another(
    visit: Callable[..., Visitor], stack: Stack
) -> None:
    """T-39."""
    alice, bob = visit(stack), visit(stack)
    first, second = alice.open(), alice.open("/")
    stranger = bob.open("/")
    stranger.user("")

    sign_in(first, stack)
    first.user("alice")
    second.user("alice")
    second.is_live()
    expect(second("#account button")).to_be_visible()

    # Its premise: the stranger's page is live, and would have been told by now. A push of its own comes through.
    assert stranger.username == "", "the other browser was shown who signed in"
    own = bob.open()
    own.ask(number())
    stranger.shows("sent")
    assert stranger.username == "", "the other browser was shown who signed in"
    assert second("#delivery").get_attribute("data-state") == "", "the other browser's SMS was shown"

    second.logout()
    second.user("")
    first.user("")
    first.is_live()
    assert "sessionid" in alice.cookies
    assert "username" not in alice.cookies
    stranger.shows("sent")


def test_a_half_typed_text_and_the_cursor_outlive_pushes_and_a_login_elsewhere(
    visit: Callable[..., Visitor], stack: Stack
) -> None:
    visitor = visit(stack)
    tab, other = visitor.open(), visitor.open()
    tab("#mobile").click()
    tab.page.keyboard.type("138 00")

    # A delivery with its countdown comes in from the other tab.
    other.ask(number())
    tab.shows("sent")
    tab.button_waits()
    assert tab.focused == "mobile"
    assert tab("#mobile").input_value() == "138 00"
    tab.page.keyboard.type("13")

    # Then a login, for which the page takes a new socket and the browser a new token.
    token = visitor.cookies["csrftoken"]["value"]
    sign_in(other, stack)
    assert visitor.cookies["csrftoken"]["value"] != token, "or this test means nothing"
    tab.user("alice")
    tab.is_live()
    assert tab.focused == "mobile"
    assert tab("#mobile").input_value() == "138 0013"
    tab.page.keyboard.type("8000")
    assert tab("#mobile").input_value() == "138 00138000"

    # The forms were loaded with the old token, and they work: by htmx,
    other.logout()
    tab.user("")
    tab.is_live()
    visitor.expects("status of 422")
    tab.login("alice", "not the password")
    tab.says("#password-message", re.compile("Incorrect username or password"))
    # and as a plain post of a form that htmx does not know.
    tab("form.languages button[value=en]").click()
    expect(tab("h1 .at-start")).to_have_text("Sign in")
    tab.is_live()


def test_a_form_that_was_loaded_before_a_login_elsewhere_still_logs_in(
    visit: Callable[..., Visitor], stack: Stack
) -> None:
    """T-46."""
    visitor = visit(stack)
    old, other = visitor.open(), visitor.open()
    sign_in(other, stack)
    old.user("alice")
    other.logout()
    other.page.wait_for_url(f"{stack.url}/")
    old.user("")
    sign_in(old, stack)
    other.user("alice")


def test_a_tab_that_was_frozen_wakes_up_to_the_truth(visit: Callable[..., Visitor], stack: Stack) -> None:
    """T-39."""
    visitor = visit(stack)
    first = visitor.open()
    sign_in(first, stack)
    sleeper = visitor.open("/")
    sleeper.user("alice")
    cdp = visitor.context.new_cdp_session(sleeper.page)
    cdp.send("Page.setWebLifecycleState", {"state": "frozen"})
    first.logout()
    first.user("")
    cdp.send("Page.setWebLifecycleState", {"state": "active"})
    sleeper.user("")
    sleeper.is_live()
    visitor.shot(sleeper, "woken")


def test_the_back_button_after_a_logout_shows_nothing_private(visit: Callable[..., Visitor], stack: Stack) -> None:
    """T-39."""
    visitor = visit(stack)
    tab = visitor.open()
    sign_in(tab, stack)
    tab.go("/login/")
    tab.go("/")
    tab.logout()
    tab.page.wait_for_url(f"{stack.url}/")
    tab.user("")
    for _ in range(3):
        tab.page.go_back()
        tab.user("")
        tab.is_live()
        assert "alice" not in tab("body").inner_text()


def test_a_page_from_the_back_button_s_cache_does_not_show_who_has_left(
    playwright: Playwright, stack: Stack, shots: Callable[[Page, str], None]
) -> None:
    """T-39. Playwright turns this cache off, so this needs a Chromium as people have it."""
    chromium = launch(playwright, ignore_default_args=["--disable-back-forward-cache"])
    visitor = browse(chromium, stack, shots)
    try:
        tab = visitor.open()
        sign_in(tab, stack)
        tab.page.evaluate("addEventListener('pageshow', ({ persisted }) => { sessionStorage.kept = persisted })")
        tab.page.goto(f"{stack.url}/dev/phone/")
        other = visitor.open("/")
        other.logout()
        other.user("")
        tab.page.go_back(wait_until="commit")
        tab.user("")
        tab.is_live()
        assert "alice" not in tab("body").inner_text()
        assert tab.page.evaluate("sessionStorage.kept") is None, "Chromium kept a page that says no-store"
        assert visitor.troubles == []
    finally:
        visitor.close()
        chromium.close()


def test_another_tab_sees_a_request_that_no_worker_has_taken_yet(visit: Callable[..., Visitor], stack: Stack) -> None:
    visitor = visit(stack)
    tab, other = visitor.open(), visitor.open("/")
    [worker] = stack.workers
    worker.kill()
    try:
        tab.ask(number())
        tab.shows("queued", 0)
        visitor.shot(tab, "queued")
        other.shows("queued", 0)
        wait_until(lambda: other.seconds > 0, PATIENCE, "the other tab has no countdown")
        visitor.shot(other, "queued-strip")
    finally:
        worker.start()
    # A worker takes its time to begin.
    stack.wait_for_state("sent", PATIENCE)
    tab.shows("sent", 1)
    other.shows("sent", 1)


@pytest.fixture(autouse=True)
def _worker_runs(stack: Stack) -> Iterator[None]:
    """Every test begins with a site that works."""
    yield
    wait_until(lambda: stack.get("/readyz").status_code == 200, PATIENCE, "the site is not ready again")
