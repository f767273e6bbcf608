"""For everyone: by keyboard alone, with few colours, without motion, with wide spacing, and by every rule of axe."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.browser import looks
from tests.browser.states import DELIVERIES, PASSWORD, Looker, proving, site, without_script
from tests.browser.tree import LISTENER
from tests.support.numbers import number

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.browser.window import Tab, Visitor
    from tests.support.stack import Stack

pytestmark = pytest.mark.browser

LANGUAGES = ("en-US", "zh-CN")
# Where everything that can have the keyboard is looked at with it.
TABBED = {"home", "login", "error-404", "code-wrong", "password-change", "dev-phone", "dev-queue-done", "dev-style"}

# The element that has the keyboard, and what shows that it has. A switch shows it on its word.
RING = """() => {
  const own = document.activeElement;
  if (own === document.body || own === document.documentElement) return null;
  const shown = own.matches(".switch input") ? own.nextElementSibling : own;
  const style = getComputedStyle(shown);
  const box = shown.getBoundingClientRect();
  return {
    what: own.id || own.name || own.className || own.tagName,
    ring: style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2,
    inside: box.width > 0 && box.bottom > 0 && box.top < innerHeight && box.right > 0 && box.left < innerWidth,
  };
}"""


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A site to look at."""
    # A code is used when every state of it has been looked at, so it lives as long as one may.
    with site(tmp_path_factory.mktemp("site"), SMS_CODE_TTL="600") as stack:
        yield stack


def tabbed(tab: Tab) -> list[str]:
    """Go through a page with the Tab key, and return what was wrong with the ring around it."""
    found, first = [], None
    tab.page.evaluate("scrollTo(0, 0), document.activeElement.blur()")
    for _ in range(150):
        tab.page.keyboard.press("Tab")
        stop = tab.page.evaluate(RING)
        if stop is None or stop["what"] == first:
            break
        first = first or stop["what"]
        if not stop["ring"]:
            found.append(f"{stop['what']} does not show the keyboard")
        if not stop["inside"]:
            found.append(f"{stop['what']} has the keyboard and is out of sight")
    assert first, "or this test means nothing"
    return found


# --- axe ---


# Hundreds of looks, each a few seconds on a busy machine. `make test` has test_style.py: axe on every component.
@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("language", LANGUAGES)
def test_every_page_is_accessible_in_every_state(language: str, visit: Callable[..., Visitor], stack: Stack) -> None:
    """Both colour schemes. The second asks only what colours can break: all else is the same page."""
    visitor = visit(stack, locale=language, viewport=looks.WIDE)
    found: list[str] = []
    seen: list[str] = []
    for name, tab in Looker(stack, visitor).everything():
        seen.append(name)
        for scheme in looks.SCHEMES:
            tab.page.emulate_media(color_scheme=scheme)
            found += looks.faults(tab, f"{name} {scheme}", only_colours=scheme == "dark")
        # What a reader with dyslexia sets (WCAG 1.4.12), in the narrowest window (1.4.10).
        tab.page.set_viewport_size(looks.SMALL)
        looks.spaced(tab, on=True)
        found += [f"{name}, spaced: {what}" for what in looks.misfits(tab)]
        looks.spaced(tab, on=False)
        tab.page.set_viewport_size(looks.WIDE)
        if language == "en-US" and name in TABBED:
            found += [f"{name}: {what}" for what in tabbed(tab)]
    assert {"home", "delivery-unknown", "server-away", "error-503", "dev-queue-done"} < set(seen)
    assert found == [], "\n".join(found)


@pytest.mark.parametrize("language", LANGUAGES)
def test_without_a_script_everything_fits_as_well(language: str, visit: Callable[..., Visitor], stack: Stack) -> None:
    """Measured only: axe is a script itself, and would never come to its end."""
    visitor = visit(stack, locale=language, java_script_enabled=False, viewport=looks.PHONE)
    found: list[str] = []
    for name, tab in without_script(stack, visitor):
        found += [f"{name}: {what}" for what in [*looks.misfits(tab), *looks.small_targets(tab)]]
    assert found == [], "\n".join(found)


def test_the_proof_that_no_robot_asks_is_accessible(
    visit: Callable[..., Visitor], tmp_path_factory: pytest.TempPathFactory
) -> None:
    with site(tmp_path_factory.mktemp("guarded"), ALTCHA="always") as stack:
        found: list[str] = []
        for language in LANGUAGES:
            for name, tab in proving(stack, visit(stack, locale=language, viewport=looks.SMALL)):
                found += [f"{name}: {what}" for what in [*looks.misfits(tab), *looks.small_targets(tab)]]
                for scheme in looks.SCHEMES:
                    tab.page.emulate_media(color_scheme=scheme)
                    found += looks.faults(tab, f"{name} {language} {scheme}")
        assert found == [], "\n".join(found)


# --- The keyboard ---


def test_somebody_signs_in_and_out_without_a_mouse(visit: Callable[..., Visitor], stack: Stack) -> None:
    visitor = visit(stack)
    tab = visitor.open("/")
    keys = tab.page.keyboard

    def tab_to(selector: str) -> None:
        for _ in range(30):
            keys.press("Tab")
            if tab.page.evaluate("selector => document.activeElement.matches(selector)", selector):
                return
        raise AssertionError(f"the keyboard never came to {selector}")

    keys.press("Tab")
    assert tab.page.evaluate("document.activeElement.className") == "skip"
    keys.press("Enter")
    expect(tab("#content")).to_be_focused()
    tab_to("main a[href='/login/']")
    keys.press("Enter")
    tab.page.wait_for_url(f"{stack.url}/login/")
    tab.is_live()
    tab_to("#mobile")
    mobile = number()
    keys.type(mobile)
    keys.press("Enter")
    tab.shows("sent", 1)
    assert tab.focused in {"mobile", "code"}, "the keyboard was lost on the way"
    if tab.focused != "code":
        tab_to("#code")
    keys.type(stack.phone.code_for(mobile))
    keys.press("Enter")
    tab.page.wait_for_url(f"{stack.url}/")
    tab.user(re.compile(".+"))
    tab.is_live()
    tab_to("#in-out")
    keys.press("Enter")
    tab.user("")


def test_the_keyboard_goes_through_the_page_in_the_order_in_which_it_is_read(
    visit: Callable[..., Visitor], stack: Stack
) -> None:
    tab = visit(stack).open()
    for way, fields in (("code", ["mobile"]), ("password", ["username", "password", "remembered"])):
        tab.go(f"/login/?way={way}")
        order = []
        for _ in range(8):
            tab.page.keyboard.press("Tab")
            order.append(tab.page.evaluate("document.activeElement.name || document.activeElement.className || ''"))
        assert order.index("skip") < order.index("way") < order.index(fields[0]), order
        assert [name for name in order if name in {"username", "password", "remembered", "mobile"}] == fields, order


def test_a_push_takes_the_keyboard_from_nobody(visit: Callable[..., Visitor], stack: Stack) -> None:
    """Every leaf that a push replaces, with the keyboard in it or beside it."""
    username = f"eve-{number()[-8:]}"
    stack.user(username, password=PASSWORD)
    visitor = visit(stack)
    tab, other = visitor.open("/"), visitor.open()
    tab("#in-out").focus()
    other.login(username, PASSWORD)
    tab.user(username)
    assert tab.focused == "in-out"
    expect(tab("#in-out")).to_have_text(re.compile("Sign out"))
    other.page.wait_for_url(f"{stack.url}/")
    other.is_live()
    other.logout()
    tab.user("")
    assert tab.focused == "in-out"

    # Half a code is typed while the states come in.
    other.go("/login/")
    other.ask(number())
    other.shows("sent")
    other("#code").fill("12")
    stack.wait_for_state("sent")
    stack.rows("UPDATE tasks_delivery SET state = 'delivered' WHERE id = ?", stack.deliveries()[-1]["id"])
    other.page.evaluate("htmx.trigger('#poll', 'poll')")
    other.shows("delivered")
    assert other.focused == "code"
    assert other("#code").input_value() == "12"


# --- The ear ---


def test_live_regions_speak_once_and_not_each_second(visit: Callable[..., Visitor], stack: Stack) -> None:
    """Through a failed attempt, its wait and the cooldown: each state is heard once, no second is."""
    visitor = visit(stack)
    visitor.context.add_init_script(LISTENER)
    phone = visitor.open("/dev/phone/")
    phone(".modes [value=fail_times]").check()
    phone("#times").fill("1")
    phone(".controls form .button").click()
    expect(phone("#phone-mode")).to_have_attribute("data-mode", "fail_times")
    tab = visitor.open()
    tab.ask(number())
    tab.shows("sent", 2)
    ticked = tab.seconds
    tab.counts(ticked - 2)
    heard = tab.page.evaluate("window.heard")
    assert heard, "or this test means nothing"
    assert any("Sent" in text for text in heard)
    assert all(sooner != later for sooner, later in pairwise(heard)), "\n".join(heard)
    # Of a wait one hears that it begins, and that it is over.
    assert len(heard) <= len(tab.road) + 1, (heard, tab.road)


# --- The eye ---


def test_with_forced_colours_each_state_looks_different(visit: Callable[..., Visitor], stack: Stack) -> None:
    """The dots alone, without their words: a system that paints all backgrounds over leaves nothing else."""
    visitor = visit(stack, forced_colors="active", reduced_motion="reduce")
    looker = Looker(stack, visitor)
    pictures: dict[str, bytes] = {}
    for _ in looker.asking():
        pass
    for name, tab in looker.deliveries():
        state = DELIVERIES.get(name.removeprefix("delivery-"), {})
        if state and not state.get("reason") and state["attempts"] <= 2:
            box = tab("#delivery .rail").bounding_box()
            assert box
            pictures[state["state"]] = tab.page.screenshot(clip={**box, "height": 22})
    different = [pictures[state] for state in ("queued", "sending", "sent", "delivered", "unknown", "expired")]
    assert len(set(different)) == len(different)
    # What was chosen, and what can be pressed or typed into, has an edge.
    tab = looker.tab
    tab.page.set_viewport_size(looks.PHONE)
    tab.go("/login/")
    for selector in (".switch :checked + span", "#mobile", ".ask button"):
        style = tab(selector).evaluate(
            "e => { const s = getComputedStyle(e); return [s.borderTopStyle, s.outlineStyle] }"
        )
        assert style != ["none", "none"], selector


def test_who_wants_no_motion_gets_none(visit: Callable[..., Visitor], stack: Stack) -> None:
    for wish, moves in (("no-preference", True), ("reduce", False)):
        visitor = visit(stack, reduced_motion=wish)
        looker = Looker(stack, visitor)
        for _ in looker.asking():
            pass
        for name, tab in looker.deliveries():
            if name == "delivery-sending":
                assert bool(tab.page.evaluate("document.getAnimations().length")) is moves
                break
        else:
            pytest.fail("this test means nothing")
