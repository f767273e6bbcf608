"""The proof that no robot asks, in a real browser: solved under the site's own policy, and sent with the form."""

from __future__ import annotations

import json
import re
import time
from typing import TYPE_CHECKING, Any

import altcha
import pytest
from playwright.sync_api import expect

from accounts.throttling import proof_of_work
from tests.browser.looks import LOOKS, faults, overflow
from tests.support.numbers import number
from tests.support.stack import Stack

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Page, Route

    from tests.browser.window import Tab, Visitor

pytestmark = pytest.mark.browser

PASSWORD = "correct horse battery"
WIDGET = "altcha.min."
PLAIN = "login.example.test"
# Notes every word of a live region in the leaf, as a screen reader would hear it.
LISTEN = """() => {
  window.heard = [];
  new MutationObserver((changes) => {
    for (const { target } of changes) {
      const region = target.closest?.("[role=status], [role=alert]");
      if (region?.textContent.trim()) window.heard.push(region.textContent.trim());
    }
  }).observe(document.querySelector("#code-proof"), { childList: true, subtree: true });
}"""


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A site that always asks. The sums are those of production."""
    with Stack(tmp_path_factory.mktemp("guarded"), ALTCHA="always", ALLOWED_HOSTS=PLAIN) as stack:
        stack.user("alice", password=PASSWORD)
        yield stack


def posts(page: Page) -> list[str]:
    """Return a list that fills with the forms that the page sends."""
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url) if request.method == "POST" else None)
    return sent


def ready(tab: Tab, place: str = "code") -> None:
    """Wait until the widget is there."""
    expect(tab(f"#{place}-proof altcha-widget .altcha")).to_have_attribute("data-state", "unverified")


def test_when_a_limit_is_near_the_form_waits_a_moment_and_goes_by_itself(
    visit: Callable[..., Visitor], make_stack: Callable[..., Stack]
) -> None:
    """T-6, T-85."""
    stack = make_stack(ALTCHA="adaptive", SMS_PER_IP_HOUR="2", SMS_COOLDOWN="1")
    visitor = visit(stack, locale="zh-CN")
    visitor.expects("status of 428")
    tab = visitor.open()
    loaded: list[str] = []
    tab.page.on("request", lambda request: loaded.append(request.url))
    tab.ask(number())
    tab.shows("sent", 1)
    expect(tab("#code-proof")).to_be_hidden()
    assert not [url for url in loaded if "proof" in url or WIDGET in url], "nobody has asked for a proof yet"

    tab(".withdraw button").click()
    tab.shows("")
    sent = posts(tab.page)
    mobile = number()
    tab("#mobile").fill(mobile)
    tab("#mobile").press("Tab")
    tab.page.keyboard.press("Enter")
    expect(tab("#delivery .number")).to_have_text(f"{mobile[:3]} **** {mobile[-4:]}")
    assert sent == [f"{stack.url}/code/"] * 2
    assert [url for url in loaded if WIDGET in url]
    # In our own words, in the page's language.
    label = tab("#code-proof").get_attribute("data-label")
    assert label == tab.page.evaluate("$altcha.i18n.get('here').label")
    # As if nothing had been: no word, no box, the keyboard where the code goes.
    tab.says("#code-message", "")
    expect(tab("#code-proof")).to_be_hidden()
    expect(tab("#code")).to_be_focused()


def test_where_it_is_always_asked_the_keyboard_is_enough_and_it_is_heard_once(
    visit: Callable[..., Visitor], guarded: Stack
) -> None:
    visitor = visit(guarded)
    tab = visitor.open()
    ready(tab)
    sent = posts(tab.page)
    tab.page.evaluate(LISTEN)
    mobile = number()
    tab("#mobile").focus()
    tab.page.keyboard.type(mobile)
    tab.page.keyboard.press("Tab")
    tab.page.keyboard.press("Enter")
    # Once more, in impatience: it works already.
    tab.page.keyboard.press("Enter")
    tab.shows("sent", 1)
    assert sent == [f"{guarded.url}/code/"]
    assert tab.page.evaluate("window.heard") == ["Checking, please wait"]
    assert [message.to for message in guarded.phone.messages].count(f"+86{mobile}") == 1

    # What was used is not used again: the next form solves its own, and so does the one with the password.
    ready(tab)
    ready(tab, "password")
    tab.by("password")
    tab("#username").fill("alice")
    tab("#password").fill(PASSWORD)
    tab("#password").press("Enter")
    tab.page.wait_for_url(f"{guarded.url}/")
    tab.user("alice")


def test_a_box_that_was_ticked_beforehand_counts(visit: Callable[..., Visitor], guarded: Stack) -> None:
    visitor = visit(guarded)
    tab = visitor.open()
    # Not `check`: it stays as it is until the sum is solved.
    tab("#code-proof").get_by_label("I'm not a robot").click()
    expect(tab("#code-proof").get_by_label("Verified")).to_be_checked()
    asked: list[str] = []
    tab.page.on("request", lambda request: asked.append(request.url))
    tab.ask(number())
    tab.shows("sent", 1)
    assert f"{guarded.url}/proof/" not in asked, "it was solved a second time"


def test_a_proof_that_does_not_count_waits_for_the_visitor(visit: Callable[..., Visitor], guarded: Stack) -> None:
    """A page that solved and sent by itself each time would go round for ever."""
    visitor = visit(guarded)
    visitor.expects("status of 428")
    tab = visitor.open()
    ready(tab)
    sent = posts(tab.page)
    foreign = altcha.create_challenge(
        proof_of_work.ALGORITHM,
        proof_of_work.ITERATIONS,
        counter=3,
        expires_at=int(time.time()) + 60,
        hmac_secret="not the site's",
    )
    forged = json.dumps(foreign.to_dict())
    tab.page.route("**/proof/", lambda route: route.fulfill(body=forged, content_type="application/json"))
    tab.ask(number())
    tab.says("#code-message", re.compile("didn't succeed"))
    box = tab("#code-proof").get_by_label("I'm not a robot")
    expect(box).to_be_visible()
    assert sent == [f"{guarded.url}/code/"]

    tab.page.unroute("**/proof/")
    box.focus()
    tab.page.keyboard.press("Space")
    tab.shows("sent", 1)
    assert sent == [f"{guarded.url}/code/"] * 2
    tab.says("#code-message", "")


# Both schemes and both widths, each once.
@pytest.mark.parametrize("look", ["light", "phone-dark"])
def test_the_proof_is_accessible(look: str, visit: Callable[..., Visitor], guarded: Stack) -> None:
    options: dict[str, Any] = LOOKS[look] | ({"viewport": {"width": 320, "height": 700}} if "phone" in look else {})
    visitor = visit(guarded, **options)
    visitor.expects("net::ERR_FAILED", "proof/ net::ERR_FAILED")
    tab = visitor.open()
    ready(tab)
    found = faults(tab, f"there {look}")
    held: list[Route] = []
    tab.page.route("**/proof/", lambda route: held.append(route))
    tab.ask(number())
    expect(tab("#code-proof").get_by_label("Checking, please wait")).to_be_attached()
    found += faults(tab, f"working {look}")
    visitor.shot(tab, f"proof-working-{look}")
    held[0].abort()
    # Whatever goes wrong on the way, the box is there to be ticked again.
    expect(tab("#code-proof [role=alert]")).to_have_text(re.compile("Tick the box again"))
    found += faults(tab, f"failed {look}")
    assert overflow(tab) == 0
    visitor.shot(tab, f"proof-failed-{look}")
    tab.page.unroute("**/proof/")
    # Not `check`: it stays as it is until the sum is solved.
    tab("#code-proof").get_by_label("I'm not a robot").click()
    expect(tab("#code-proof").get_by_label("Verified")).to_be_checked()
    found += faults(tab, f"done {look}")
    visitor.shot(tab, f"proof-done-{look}")
    assert found == []


def test_a_widget_that_does_not_come_is_told(visit: Callable[..., Visitor], guarded: Stack) -> None:
    visitor = visit(guarded)
    visitor.expects("net::ERR_FAILED")
    visitor.context.route(f"**/{WIDGET}*", lambda route: route.abort())
    tab = visitor.open()
    expect(tab("#code-proof [role=alert]")).to_have_text(re.compile("couldn't load the check"))


def test_a_site_without_tls_tells_why_it_cannot_be_done(visit: Callable[..., Visitor], guarded: Stack) -> None:
    """Browsers lend their arithmetic to https and to the machine itself only."""
    visitor = visit(guarded)
    # Its own pages come by another name, so the socket is refused.
    visitor.expects("WebSocket", "Cross-Origin-Opener-Policy", r"\[object Event\]")
    tab = visitor.open("/")
    tab.page.goto(f"http://{PLAIN}:{guarded.ports[0]}/login/")
    expect(tab("#code-proof [role=alert]")).to_have_text(re.compile("over https"))


def test_without_javascript_the_page_says_what_is_missing(visit: Callable[..., Visitor], guarded: Stack) -> None:
    visitor = visit(guarded, java_script_enabled=False)
    visitor.expects("status of 428")
    tab = visitor.open("/login/", live=False)
    expect(tab("#code-proof .unscripted")).to_be_visible()
    tab.ask(number())
    expect(tab("#code-proof").get_by_text("needs JavaScript")).to_be_visible()
    expect(tab("#code-message")).not_to_be_empty()
