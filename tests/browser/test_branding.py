"""A site under its own name, in a browser: its colours are as legible as ours, and a long name fits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.browser import looks
from tests.browser.states import site

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.browser.window import Visitor
    from tests.support.stack import Stack

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A site with the longest name that there may be, a colour in the middle of what may start, and every link."""
    with site(
        tmp_path_factory.mktemp("site"),
        SITE_NAME="Northern Mountain Railway & Ferries Ltd.",
        SITE_COLOUR="#1677ff",
        TERMS_URL="https://www.example.org/terms/",
        PRIVACY_URL="/privacy/",
        SUPPORT_URL="mailto:help@example.org",
        ICP_NUMBER="京ICP备12345678号-1",
    ) as stack:
        yield stack


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("language", ["en-US", "zh-CN"])
def test_a_site_of_its_own_can_be_seen_read_and_pressed_by_everyone(
    visit: Callable[..., Visitor], stack: Stack, language: str, scheme: str
) -> None:
    visitor = visit(stack, locale=language, color_scheme=scheme, viewport={"width": 320, "height": 700})
    found: list[str] = []
    for path in ("/login/", "/"):
        tab = visitor.open(path)
        found += looks.faults(tab, path)
        for width in (320, 1280):
            tab.page.set_viewport_size({"width": width, "height": 700})
            found += [f"{path} at {width}: {what}" for what in looks.misfits(tab)]
        tab.page.set_viewport_size({"width": 320, "height": 700})
        found += [f"{path}: {what}" for what in looks.small_targets(tab)]
    assert found == [], "\n".join(found)


def test_the_mark_is_shown_and_the_colour_fills_the_button(visit: Callable[..., Visitor], stack: Stack) -> None:
    tab = visit(stack).open("/login/")
    assert tab.page.evaluate("document.querySelector('img.mark').naturalWidth") > 0
    expect(tab.page.locator(".password-way .main.button")).to_have_css("background-color", "rgb(21, 112, 240)")
    expect(tab.page.locator(".consent a").first).to_have_css("color", "rgb(19, 104, 222)")


def test_who_has_signed_in_is_not_asked_to_agree(visit: Callable[..., Visitor], stack: Stack) -> None:
    stack.user("marta", password="correct horse battery")
    tab = visit(stack).open("/login/")
    expect(tab.page.locator(".consent")).to_be_visible()
    tab.login("marta", "correct horse battery")
    tab.page.wait_for_url(f"{stack.url}/")
    tab.page.goto(f"{stack.url}/login/")
    expect(tab.page.locator(".consent")).to_be_hidden()
