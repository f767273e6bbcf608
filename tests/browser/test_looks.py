"""What every page must be: readable for everybody, at home on a small screen, closed to smuggled scripts, and awake."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from tests.browser.window import browse
from tests.numbers import number

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Browser, Page

    from tests.browser.window import Tab, Visitor
    from tests.stack import Stack

pytestmark = pytest.mark.browser

PASSWORD = "correct horse battery"
# Seconds: longer than any time-out between a page and its server that is one.
IDLE = 60
WIDE = {"width": 1280, "height": 800}
PHONE = {"width": 390, "height": 844}
# What WCAG 2.2 asks for, at the level that the law asks for, and what its authors call good practice.
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
PAGES = ("/", "/login/", "/dev/phone/", "/dev/queue/")
LOOKS: dict[str, dict[str, Any]] = {
    "light": {"viewport": WIDE, "color_scheme": "light"},
    "dark": {"viewport": WIDE, "color_scheme": "dark"},
    "phone": {"viewport": PHONE, "color_scheme": "light", "has_touch": True, "is_mobile": True},
    "phone-dark": {"viewport": PHONE, "color_scheme": "dark", "has_touch": True, "is_mobile": True},
}


@pytest.fixture(scope="module", autouse=True)
def idler(chromium: Browser, stack: Stack, shots: Callable[[Page, str], None]) -> Iterator[tuple[Visitor, Tab, float]]:
    """A page that nothing happens to while the other tests run."""
    visitor = browse(chromium, stack, shots)
    tab = visitor.open()
    yield visitor, tab, time.monotonic()
    visitor.close()


def faults(tab: Tab, where: str) -> list[str]:
    """Return what axe finds on a page as it is now."""
    # A page that is still fading in has colours of no rule.
    tab.page.evaluate("""Promise.all(
        document.getAnimations().filter((each) => each.effect.getTiming().iterations === 1)
        .map((each) => each.finished.catch(() => {}))
    )""")
    options = {"runOnly": {"type": "tag", "values": RULES}, "resultTypes": ["violations"]}
    found: list[dict[str, Any]] = Axe().run(tab.page, options=options).response["violations"]
    return [f"{where}: {rule['id']}: {rule['help']}: {[node['target'] for node in rule['nodes']]}" for rule in found]


def overflow(tab: Tab) -> int:
    """Return how many pixels stand out at the side."""
    wide: int = tab.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    return wide


@pytest.mark.parametrize("look", LOOKS)
def test_every_page_is_accessible(look: str, visit: Callable[..., Visitor], stack: Stack) -> None:
    visitor = visit(stack, **LOOKS[look])
    visitor.expects("status of 403")
    tab = visitor.open("/")
    found: list[str] = []
    for path in PAGES:
        tab.go(path)
        name = path.strip("/").replace("/", "-") or "home"
        found += faults(tab, f"{name} {look}")
        assert overflow(tab) == 0, path
        visitor.shot(tab, f"{name}-{look}")
    # And the one error page that is shown under DEBUG as well: a form whose token has been lost.
    visitor.context.clear_cookies()
    tab("form.languages button[value=en]").click()
    expect(tab(".status")).to_have_text("403")
    found += faults(tab, f"error {look}")
    assert overflow(tab) == 0
    visitor.shot(tab, f"error-{look}")
    assert found == []


# Both schemes and both widths, each once.
@pytest.mark.parametrize("look", ["light", "phone-dark"])
def test_every_state_of_a_delivery_is_accessible(look: str, visit: Callable[..., Visitor], stack: Stack) -> None:
    """The states are written into the row, as a worker would, and the page reads them."""
    visitor = visit(stack, **LOOKS[look])
    visitor.expects("status of 4(22|29)")
    tab = visitor.open()
    if "phone" in look:
        tab("#by-code").check()
    mobile = number()
    tab.ask(mobile)
    tab.shows("sent", 1)
    stack.wait_for_state("sent")
    row = stack.deliveries()[-1]["id"]
    found: list[str] = []
    for state in ("queued", "sending", "retrying", "sent", "delivered", "failed", "unknown", "expired", "superseded"):
        # Neither due nor too late for a minute, so no worker and no sweeper touches it.
        stack.rows(
            "UPDATE tasks_delivery SET state = ?, attempts = 2, due_at = datetime('now', '+60 seconds'),"
            " lease_until = datetime('now', '+60 seconds') WHERE id = ?",
            state, row,
        )  # fmt: skip
        tab.go("/login/")
        tab.shows(state)
        found += faults(tab, f"{state} {look}")
        assert overflow(tab) == 0, state
        visitor.shot(tab, f"{state}-{look}")
    # And with a message beside it.
    stack.rows("UPDATE tasks_delivery SET state = 'sent' WHERE id = ?", row)
    tab.go("/login/")
    tab.enter("000000" if stack.phone.messages[-1].code != "000000" else "000001")
    tab.says("#verify-message", "This is not the code. Tries left: 4.")
    found += faults(tab, f"wrong code {look}")
    visitor.shot(tab, f"wrong-code-{look}")
    tab.go("/")
    found += faults(tab, f"strip {look}")
    assert overflow(tab) == 0
    visitor.shot(tab, f"strip-{look}")
    assert found == []


def test_nothing_stands_out_at_the_side_of_the_smallest_screen(visit: Callable[..., Visitor], stack: Stack) -> None:
    visitor = visit(stack, viewport={"width": 320, "height": 568})
    tab = visitor.open("/")
    for path in PAGES:
        tab.go(path)
        assert overflow(tab) == 0, path
    tab.go("/login/")
    tab("#by-code").check()
    tab.ask(number())
    tab.shows("sent", 1)
    assert overflow(tab) == 0
    visitor.shot(tab, "sent-320")
    tab.go("/")
    assert overflow(tab) == 0
    visitor.shot(tab, "strip-320")


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
    tab.page.wait_for_timeout(500)
    assert tab.page.evaluate("window.smuggled") is None
    assert tab("h1").first.is_visible()
    violations = set(tab.page.evaluate("window.violations"))
    assert {"script-src-elem", "script-src-attr", "style-src-elem", "frame-src"} <= violations, violations
    # These are the errors that every other test would fail on, so this one also proves that it is noticed.
    assert any("Content Security Policy" in trouble for trouble in visitor.troubles)
    visitor.expects("Content Security Policy", "net::ERR_BLOCKED_BY_CSP|csp")


def test_the_keyboard_goes_through_the_page_in_the_order_in_which_it_is_read(
    visit: Callable[..., Visitor], stack: Stack
) -> None:
    visitor = visit(stack)
    tab = visitor.open()
    order = []
    for _ in range(9):
        tab.page.keyboard.press("Tab")
        order.append(tab.page.evaluate("document.activeElement.name || document.activeElement.className || ''"))
    assert order[0] == "skip"
    assert [name for name in order if name in {"username", "password", "remembered", "mobile"}] == [
        "username",
        "password",
        "remembered",
        "mobile",
    ], order
    tab.go("/")
    tab.page.keyboard.press("Tab")
    tab.page.keyboard.press("Enter")
    assert tab.focused == "content"


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
