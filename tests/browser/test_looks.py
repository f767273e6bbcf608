"""What every page must be besides beautiful: closed to smuggled scripts, and awake."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from tests.browser.window import PATIENCE, browse
from tests.support.numbers import number
from tests.support.stack import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Browser, Page

    from tests.browser.window import Tab, Visitor
    from tests.support.stack import Stack

pytestmark = pytest.mark.browser

# Seconds: longer than any time-out between a page and its server that is one.
IDLE = 60


@pytest.fixture(scope="module", autouse=True)
def idler(chromium: Browser, stack: Stack, shots: Callable[[Page, str], None]) -> Iterator[tuple[Visitor, Tab, float]]:
    """A page that nothing happens to while the other tests run."""
    visitor = browse(chromium, stack, shots)
    tab = visitor.open()
    yield visitor, tab, time.monotonic()
    visitor.close()


def test_a_script_and_a_style_that_were_smuggled_in_do_not_run(visit: Callable[..., Visitor], stack: Stack) -> None:
    visitor = visit(stack)
    tab = visitor.open()
    tab.page.evaluate("""() => {
        window.violations = [];
        document.addEventListener("securitypolicyviolation", ({ effectiveDirective }) => {
            window.violations.push(effectiveDirective);
        });
        const script = document.createElement("script");
        script.textContent = "window.smuggled = 1";
        const far = document.createElement("script");
        far.src = "https://evil.example/x.js";
        const handler = document.createElement("button");
        handler.setAttribute("onclick", "window.smuggled = 2");
        document.body.append(script, far, handler);
        handler.click();
        const style = document.createElement("style");
        style.textContent = "body { display: none }";
        document.body.append(style);
        const frame = document.createElement("iframe");
        frame.src = "https://evil.example/";
        document.body.append(frame);
    }""")
    refused = {"script-src-elem", "script-src-attr", "style-src-elem", "frame-src"}
    wait_until(lambda: refused <= set(tab.page.evaluate("window.violations")), PATIENCE / 1000, "it was not refused")
    # What ran all the same would have by now.
    tab.page.wait_for_timeout(500)
    assert tab.page.evaluate("window.smuggled") is None
    assert tab("h1").first.is_visible()
    # These are the errors that every other test would fail on, so this one also proves that it is noticed.
    assert any("Content Security Policy" in trouble for trouble in visitor.troubles)
    visitor.expects("Content Security Policy", "net::ERR_BLOCKED_BY_CSP|csp")


@pytest.mark.long
def test_a_page_that_was_idle_for_a_minute_still_hears(stack: Stack, idler: tuple[Visitor, Tab, float]) -> None:
    visitor, tab, since = idler
    tab.page.wait_for_timeout(max(0.0, IDLE - (time.monotonic() - since)) * 1000)
    assert tab("#connection").get_attribute("data-state") == "live"
    assert "offline" not in tab.shown["connection"], "its socket was lost meanwhile"
    assert "connecting" not in tab.shown["connection"][1:], "its socket was lost meanwhile"
    # The asking goes by another page of the browser, so what comes here comes by the old socket.
    other = visitor.open()
    other.ask(number())
    tab.shows("sent", 1)
    assert "offline" not in tab.shown["connection"]
    assert visitor.troubles == []
