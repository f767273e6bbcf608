"""Pages that only their visitor may read, while somebody signs out, or in, in another tab of the same browser."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import expect

from tests.browser.chromium import launch
from tests.browser.window import browse
from tests.support.stack import Stack

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Page, Playwright, Route

    from tests.browser.window import Tab, Visitor

pytestmark = pytest.mark.browser

PASSWORD = "correct horse battery"
NEW = "eleven quiet umbrellas"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A site with such pages, and two people who share a browser."""
    settings: dict[str, Any] = {"DJANGO_SETTINGS_MODULE": "tests.browser.private_site.settings"}
    with Stack(tmp_path_factory.mktemp("private"), workers=0, **settings) as stack:
        for name in ("alice", "bobby"):
            stack.user(name, password=PASSWORD)
        yield stack


@pytest.fixture(scope="module")
def as_people_have_it(
    playwright: Playwright, site: Stack, shots: Callable[[Page, str], None]
) -> Iterator[Callable[[], Visitor]]:
    """Open a browser of somebody's own with the back button's cache, which Playwright turns off."""
    chromium = launch(playwright, ignore_default_args=["--disable-back-forward-cache"])
    yield lambda: browse(chromium, site, shots)
    chromium.close()


def sign_in(tab: Tab, username: str = "alice") -> None:
    """Sign in with the password on the sign-in page, and come to the page that it leads to."""
    tab.login(username, PASSWORD)
    tab.page.wait_for_url(lambda url: "/login/" not in url)
    tab.user(username)


def two_tabs(visitor: Visitor, path: str) -> tuple[Tab, Tab]:
    """Sign alice in, and open a page of hers and another tab."""
    other = visitor.open()
    sign_in(other)
    tab = visitor.open(path)
    expect(tab("#diary")).to_have_text("The diary of alice")
    return tab, other


def test_a_private_page_goes_to_the_login_when_its_visitor_signs_out_elsewhere(
    visit: Callable[..., Visitor], site: Stack
) -> None:
    """T-39: and after the next sign-in it is there again."""
    visitor = visit(site)
    tab, other = two_tabs(visitor, "/private/?day=1&hour=2#top")
    other.logout()
    tab.page.wait_for_url("**/login/?next=/private/**")
    assert "alice" not in tab("body").inner_text()
    tab.is_live()
    sign_in(tab)
    assert tab.page.url == f"{site.url}/private/?day=1&hour=2#top"
    expect(tab("#diary")).to_have_text("The diary of alice")


def test_a_private_page_is_out_of_sight_before_it_has_gone(visit: Callable[..., Visitor], site: Stack) -> None:
    """T-39: it does not depend on the next page, which may be slow in coming."""
    visitor = visit(site)
    tab, other = two_tabs(visitor, "/private/")
    # A browser stays where it is on such an answer.
    tab.page.route("**/login/**", lambda route: route.fulfill(status=204))
    other.logout()
    expect(tab("#diary")).to_be_hidden()
    expect(tab("body")).to_be_hidden()
    assert tab.page.url == f"{site.url}/private/", "or this test means nothing"


def test_a_private_page_shows_its_own_to_whoever_signs_in_instead(visit: Callable[..., Visitor], site: Stack) -> None:
    """T-39: without a sign-out in between."""
    visitor = visit(site)
    tab, other = two_tabs(visitor, "/private/")
    other.go("/login/?again=1")
    visitor.context.clear_cookies(name="username")
    other.page.evaluate("fetch('/login/')")
    other.login("bobby", PASSWORD)
    expect(tab("#diary")).to_have_text("The diary of bobby")
    tab.user("bobby")


def test_a_private_page_whose_socket_is_dead_learns_of_it_by_its_poll(
    visit: Callable[..., Visitor], site: Stack
) -> None:
    """T-39, T-63."""
    visitor = visit(site)
    visitor.expects("WebSocket", r"\[object Event\]")
    other = visitor.open()
    sign_in(other)
    visitor.context.route_web_socket("**/ws/", lambda socket: socket.close(code=1011))
    tab = visitor.open("/private/", live=False)
    tab.connection("offline")
    expect(tab("#diary")).to_be_visible()
    other.logout()
    tab.page.wait_for_url("**/login/?next=/private/")


def test_a_private_part_of_a_page_hides_and_comes_back_with_its_visitor(
    visit: Callable[..., Visitor], site: Stack
) -> None:
    """T-39: the page around it stays, and what was typed into it."""
    visitor = visit(site)
    tab, other = two_tabs(visitor, "/partly/")
    tab("#comment").fill("half a sen")
    other.logout()
    expect(tab("#diary")).to_be_hidden()
    expect(tab("#public")).to_be_visible()
    other.go("/login/")
    sign_in(other, "bobby")
    tab.user("bobby")
    expect(tab("#diary")).to_be_hidden()
    other.logout()
    other.go("/login/")
    sign_in(other)
    expect(tab("#diary")).to_be_visible()
    assert tab("#comment").input_value() == "half a sen"


def test_a_page_made_for_nobody_hides_nothing_when_somebody_signs_in(
    visit: Callable[..., Visitor], site: Stack
) -> None:
    visitor = visit(site)
    tab, other = visitor.open("/partly/"), visitor.open()
    sign_in(other)
    tab.user("alice")
    expect(tab("#diary")).to_be_visible()


def test_a_page_may_listen_and_decide_for_itself(visit: Callable[..., Visitor], site: Stack) -> None:
    """It is told each name once, and stays where it is if it says so."""
    visitor = visit(site)
    tab, other = two_tabs(visitor, "/listens/")
    other.logout()
    tab.says("#heard", "[]")
    other.go("/login/")
    sign_in(other, "bobby")
    tab.says("#heard", "[][bobby]")
    expect(tab("#diary")).to_be_visible()
    assert tab.page.url == f"{site.url}/listens/"


def test_a_page_made_for_nobody_is_told_as_well(visit: Callable[..., Visitor], site: Stack) -> None:
    visitor = visit(site)
    tab, other = visitor.open("/open/"), visitor.open()
    sign_in(other)
    tab.says("#heard", "[alice]")


def test_signing_out_on_a_private_page_leads_where_signing_out_leads(
    visit: Callable[..., Visitor], site: Stack
) -> None:
    """The push is faster than the next page, and must not send its visitor to the login."""
    visitor = visit(site)
    tab, other = two_tabs(visitor, "/private/")
    waiting: list[Route] = []
    tab.page.route(f"{site.url}/", lambda route: waiting.append(route))
    tab("#account button").click(no_wait_after=True)
    other.user("")
    # Playwright asks no page that is about to leave: this one has been told by now.
    other.page.wait_for_timeout(2000)
    (route,) = waiting
    route.continue_()
    tab.page.wait_for_url(f"{site.url}/")
    tab.user("")
    assert tab.page.url == f"{site.url}/"


@pytest.mark.parametrize("changed", [False, True])
def test_the_page_of_the_password_leaves_with_its_visitor(
    changed: bool, visit: Callable[..., Visitor], site: Stack
) -> None:
    """T-39: no page says "signed out" and "still signed in" at once."""
    visitor = visit(site)
    name = f"carol-{changed}"
    site.user(name, password=PASSWORD)
    tab, other = visitor.open("/password/"), visitor.open()
    tab.login(name, PASSWORD)
    tab.page.wait_for_url(f"{site.url}/password/")
    tab.is_live()
    if changed:
        tab("#current").fill(PASSWORD)
        tab("#password").fill(NEW)
        tab("#password").press("Enter")
        expect(tab("h1")).to_have_text("Your new password is set")
        tab.is_live()
    other.user(name)
    other.logout()
    tab.page.wait_for_url(f"{site.url}/login/?next=/password/")
    assert "still signed in" not in tab("body").inner_text()


def test_the_back_button_s_cache_shows_no_private_page_of_somebody_who_has_left(
    as_people_have_it: Callable[[], Visitor], site: Stack
) -> None:
    """T-39: kept by the browser, covered when it comes back, and then gone."""
    visitor = as_people_have_it()
    tab, other = two_tabs(visitor, "/kept/")
    # Before any other listener: what there is to see when the page is back.
    tab.page.evaluate(
        "addEventListener('pageshow', ({ persisted }) => {"
        " sessionStorage.kept = persisted + getComputedStyle(document.body).display; }, { capture: true })"
    )
    tab.page.goto(f"{site.url}/static/favicon.svg")
    other.logout()
    tab.page.go_back(wait_until="commit")
    expect(tab.page).to_have_url(f"{site.url}/login/?next=/kept/")
    assert tab.page.evaluate("sessionStorage.kept") == "truenone", "not kept by Chromium, or to be seen"
    # Chromium closes the socket of a page that it keeps, and says so.
    visitor.expects("entered Back-Forward Cache", r"\[object Event\]")
    assert visitor.troubles == []
    visitor.close()


@pytest.mark.parametrize("path", ["/", "/public/"])
def test_a_page_that_shows_nobody_comes_back_as_it_was_and_is_live(
    path: str, as_people_have_it: Callable[[], Visitor], site: Stack
) -> None:
    """From the back button's cache, with what its scripts knew; then it learns who has signed in meanwhile."""
    visitor = as_people_have_it()
    tab, other = visitor.open(path), visitor.open()
    tab.page.evaluate("window.mark = 'the same page'")
    tab.page.goto(f"{site.url}/static/favicon.svg")
    sign_in(other)
    tab.page.go_back(wait_until="commit")
    tab.user("alice")
    tab.is_live()
    assert tab.page.evaluate("window.mark") == "the same page", tab.page.evaluate(
        "JSON.stringify(performance.getEntriesByType('navigation')[0].notRestoredReasons)"
    )
    visitor.expects("entered Back-Forward Cache", r"\[object Event\]")
    assert visitor.troubles == []
    visitor.close()
