"""The style page shows every component in every state, and each of them is fit for everybody."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from accounts.dev import style_guide
from accounts.live.state import GUESSED, SENT
from tasks.gateways import Reason
from tasks.models import State

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.browser.window import Tab, Visitor
    from tests.support.stack import Stack

pytestmark = pytest.mark.browser

RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
NARROW = {"width": 320, "height": 640}
WIDE = {"width": 1280, "height": 800}
LOOKS: dict[str, dict[str, Any]] = {
    "light-en": {"color_scheme": "light", "locale": "en-US", "viewport": WIDE},
    "dark-zh": {"color_scheme": "dark", "locale": "zh-CN", "viewport": WIDE},
    "narrow-dark-en": {"color_scheme": "dark", "locale": "en-US", "viewport": NARROW},
    "narrow-light-zh": {"color_scheme": "light", "locale": "zh-CN", "viewport": NARROW},
}
# One of each, at least. What is one of a kind has its own test below.
COMPONENTS = (
    ".swatch", ".scale dd", ".main.button", ".quiet.button", ".plain", ".button[aria-disabled]",
    ".htmx-request .button", ".countdown", ".field input", ".field input[aria-invalid]", ".field input:disabled",
    ".number-field .prefix", ".inside", ".digits", ".tick input:checked", ".tick input:not(:checked)", ".message",
    ".message.calm", ".note", ".trouble", ".hint", ".not-live", ".account .who", ".account a", ".delivery .rail",
    ".connection", ".strip .rail", ".sorry",
)  # fmt: skip


def open_style(visit: Callable[..., Visitor], stack: Stack, **look: Any) -> Tab:
    """Open the page, at rest."""
    return visit(stack, reduced_motion="reduce", **look).open("/dev/style/")


def seen(tab: Tab, selector: str, pseudo: str, *properties: str) -> list[str]:
    """Return what is painted: computed values of a pseudo-element."""
    found: list[str] = tab(selector).first.evaluate(
        "(element, [pseudo, names]) => names.map((name) => getComputedStyle(element, pseudo).getPropertyValue(name))",
        [pseudo, list(properties)],
    )
    return found


@pytest.mark.parametrize("look", LOOKS)
def test_everything_is_there_and_fit_for_everybody(look: str, visit: Callable[..., Visitor], stack: Stack) -> None:
    tab = open_style(visit, stack, **LOOKS[look])
    for selector in COMPONENTS:
        expect(tab(f".style {selector}").first).to_be_visible()
    options = {"runOnly": {"type": "tag", "values": RULES}, "resultTypes": ["violations"]}
    faults = Axe().run(tab.page, options=options).response["violations"]
    assert [(fault["id"], [node["target"] for node in fault["nodes"]]) for fault in faults] == []
    assert tab.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") == 0
    ids: list[str] = tab.page.evaluate("[...document.querySelectorAll('[id]')].map((each) => each.id)")
    assert len(ids) == len(set(ids)), sorted(each for each in set(ids) if ids.count(each) > 1)
    small = tab.page.evaluate("""[...document.querySelectorAll(".style :is(a, button, input)")].filter((each) => {
        const { width, height } = (each.closest("label") ?? each).getBoundingClientRect();
        const inLine = each.matches("p a, .strip a, figure > a");
        return each.checkVisibility() && !inLine && Math.min(width, height) < 24;
    }).map((each) => each.outerHTML)""")
    assert small == [], "smaller than a finger needs"


def test_no_state_and_no_reason_is_missing(visit: Callable[..., Visitor], stack: Stack) -> None:
    tab = open_style(visit, stack)
    states = tab(".travel .delivery").evaluate_all("(all) => all.map((each) => each.dataset.state)")
    assert set(states) == {"", *State.values}
    assert {each.state.reason for each in style_guide.deliveries()} == {
        *(reason.value for reason in Reason),
        *(SENT, GUESSED),
    }
    assert {each.state.pace for each in style_guide.deliveries()} == {"", "usual", "slow"}
    # No two look and read the same.
    told = tab(".travel .delivery").evaluate_all("(all) => all.map((each) => each.innerText)")
    assert len(told) == len(set(told))
    for kind, words in (("connection", {"connecting", "live", "offline"}), ("countdown", {"60", "9", "0"})):
        key = "state" if kind == "connection" else "seconds"
        shown = tab(f".style figure > .{kind}, .style button .{kind}").evaluate_all(
            "(all, key) => all.map((each) => each.dataset[key])", key
        )
        assert set(shown) == words


@pytest.mark.parametrize("locale", ["en-US", "zh-CN"])
def test_the_countdown_moves_nothing(locale: str, visit: Callable[..., Visitor], stack: Stack) -> None:
    tab = open_style(visit, stack, locale=locale)
    buttons = tab("section:has(#countdown-title) .button")
    widths = buttons.evaluate_all("(all) => all.map((each) => each.getBoundingClientRect().width)")
    assert len(widths) == 3
    assert max(widths) - min(widths) < 0.5, widths
    # Its words stand in place of the label, and from 60 to 9 those that do not change stay where they are.
    label = tab("section:has(#countdown-title) .button[aria-disabled] > span:first-child").first.bounding_box()
    assert label
    assert label["width"] <= 1
    places = tab("section:has(#countdown-title) .button[aria-disabled] > .countdown").evaluate_all(
        """(all) => all.map((each) => {
            const text = document.createRange();
            text.selectNodeContents(each);
            const { left, right } = text.getBoundingClientRect();
            return each.matches(":lang(zh)") ? right - each.parentElement.getBoundingClientRect().right
                : left - each.parentElement.getBoundingClientRect().left;
        })"""
    )
    assert len(places) == 2
    assert abs(places[0] - places[1]) < 0.5, places


@pytest.mark.parametrize("locale", ["en-US", "zh-CN"])
@pytest.mark.parametrize("width", [390, 1280])
def test_the_code_s_field_stays_where_it_is_while_the_words_above_change(
    width: int, locale: str, visit: Callable[..., Visitor], stack: Stack
) -> None:
    tab = open_style(visit, stack, locale=locale, viewport={"width": width, "height": 800})
    # Where the code can be typed.
    open_still = ("queued", "sending", "retrying", "sent", "delivered", "unknown", "superseded")
    heights = tab(",".join(f'.travel .delivery[data-state="{state}"]' for state in open_still)).evaluate_all(
        "(all) => all.map((each) => [each.innerText, each.getBoundingClientRect().height])"
    )
    assert len(heights) > len(open_still)
    assert len({round(height) for _words, height in heights}) == 1, heights


def test_what_waits_moves_and_not_for_those_who_want_no_motion(visit: Callable[..., Visitor], stack: Stack) -> None:
    for wish, moves in (("no-preference", True), ("reduce", False)):
        tab = visit(stack, reduced_motion=wish).open("/dev/style/")
        assert (tab.page.evaluate("document.getAnimations().length") > 0) is moves, wish


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_in_forced_colours_a_step_that_is_done_differs_from_one_that_is_not(
    scheme: str, visit: Callable[..., Visitor], stack: Stack
) -> None:
    tab = open_style(visit, stack, forced_colors="active", color_scheme=scheme)
    for selector in COMPONENTS:
        expect(tab(f".style {selector}").first).to_be_visible()
    steps = {
        name: seen(tab, f'.travel .delivery[data-state="{state}"] li:nth-child({n})', "::before", "background-color")
        for name, state, n in (("done", "sent", 1), ("now", "sending", 2), ("next", "queued", 4), ("stop", "failed", 4))
    }
    assert steps["done"] != steps["next"]
    assert steps["stop"] != steps["next"]
    marks = [
        seen(
            tab, f'.travel .delivery[data-state="{state}"] li:nth-child({n})', "::after", "content", "background-color"
        )
        for state, n in (("sending", 2), ("unknown", 3), ("failed", 4))
    ]
    assert len({repr(mark) for mark in marks}) == 3, marks
    assert seen(tab, ".style .connection", "::before", "background-color") != ["rgba(0, 0, 0, 0)"]


def test_it_is_printed_with_its_states(visit: Callable[..., Visitor], stack: Stack) -> None:
    tab = open_style(visit, stack)
    tab.page.emulate_media(media="print")
    expect(tab(".travel .delivery").first).to_be_visible()
    expect(tab(".style .strip")).to_be_hidden()
    expect(tab(".style .button").first).to_be_hidden()
    assert seen(tab, ".travel .rail .done", "::before", "print-color-adjust") == ["exact"]


def test_it_is_live_like_every_page(visit: Callable[..., Visitor], stack: Stack) -> None:
    """The specimens have ids of their own, so a push fills the page's leaves and none of them."""
    visitor = visit(stack)
    tab, other = visitor.open("/dev/style/"), visitor.open()
    before = tab(".style").inner_html()
    other.ask("13800138000")
    tab.shows("sent")
    assert tab(".style").inner_html() == before


def test_a_site_in_production_has_no_such_page(tmp_path: Path) -> None:
    from tests.support.stack import Stack

    with Stack(tmp_path / "site") as stack:
        assert stack.get("/dev/style/").status_code == 200
        said = stack.manage(
            "shell", "-v0", "-c",
            "from django.conf import settings; settings.DEBUG = False; settings.ALLOWED_HOSTS = ['*']\n"
            "from django.test import Client; print(Client().get('/dev/style/').status_code)",
        )  # fmt: skip
    assert re.search(r"^404$", said, re.MULTILINE), said
