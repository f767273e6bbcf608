"""A visitor with a window: a real Chromium, its tabs, and everything in them that should not have happened.

    visitor = browse(stack)                    # a browser of its own: cookies, language, size
    tab = visitor.open("/login/")              # a tab, live when this returns
    tab.ask("13800138000")
    tab.shows("sent")

The policy of the site is never bypassed. A tab collects console errors (Chromium reports each violation of the policy
there), uncaught exceptions and failed requests; the visitor's `troubles` are what no test said it expects.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from playwright.sync_api import Error, expect

from tests.support.stack import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Locator, Page, Request

    from tests.support.stack import Stack

# Milliseconds a page may take on a busy machine. What is waited for comes much sooner, or never.
PATIENCE = 40_000
expect.set_options(timeout=PATIENCE)

# Every state that #delivery shows, in order, and every number of the countdown: `window.shown`.
RECORDER = """
(() => {
  const shown = { delivery: [], seconds: [], connection: [] };
  const note = (list, value) => {
    if (JSON.stringify(list.at(-1)) !== JSON.stringify(value)) list.push(value);
  };
  const look = () => {
    const delivery = document.getElementById("delivery");
    if (delivery?.hasAttribute("data-attempt")) {
      note(shown.delivery, [delivery.dataset.state, Number(delivery.dataset.attempt)]);
    }
    const countdown = document.getElementById("countdown");
    if (countdown) note(shown.seconds, Number(countdown.dataset.seconds));
    const connection = document.getElementById("connection");
    if (connection) note(shown.connection, connection.dataset.state);
  };
  new MutationObserver(look).observe(document, { subtree: true, childList: true, attributes: true });
  Object.defineProperty(window, "shown", { value: shown });
})();
"""


# Everything that a screen reader may hear of a delivery: `window.said`.
LISTEN = """() => {
    window.said = [];
    new MutationObserver((changes) => {
        for (const { target } of changes) {
            const element = target.nodeType === Node.ELEMENT_NODE ? target : target.parentElement;
            if (!element.closest("[aria-hidden=true]")) window.said.push(element.outerHTML);
        }
    }).observe(document.querySelector("[role=status]:has(#delivery)"), {
        childList: true, subtree: true, characterData: true, attributes: true
    });
}"""


class Tab:
    """One page, and what a person does and sees in it."""

    def __init__(self, page: Page, url: str) -> None:
        """Take a page of a visitor's browser."""
        self.page, self.url = page, url

    def __call__(self, selector: str) -> Locator:
        """Find an element."""
        return self.page.locator(selector)

    def go(self, path: str, *, live: bool = True) -> None:
        """Open an address, and wait until the page is live."""
        self.page.goto(self.url + path)
        if live:
            self.is_live()

    # --- What there is to see ---

    def is_live(self) -> None:
        """Wait until the socket has spoken."""
        self.connection("live")

    def connection(self, state: str) -> None:
        """Wait until #connection says so."""
        expect(self("#connection")).to_have_attribute("data-state", state, timeout=PATIENCE)

    def user(self, name: str | re.Pattern[str]) -> None:
        """Wait until the header shows who is signed in; empty for nobody."""
        expect(self("#account")).to_have_attribute("data-user", name, timeout=PATIENCE)

    @property
    def username(self) -> str:
        """Who the header shows now."""
        return self("#account").get_attribute("data-user") or ""

    def shows(self, state: str, attempt: int | None = None) -> None:
        """Wait until #delivery is in a state, and in this attempt of it.

        And until forms have their answers: a push may overtake one, which then empties fields and moves the keyboard.
        """
        expect(self("form.htmx-request")).to_have_count(0, timeout=PATIENCE)
        leaf = f'#delivery[data-state="{state}"]' + ("" if attempt is None else f'[data-attempt="{attempt}"]')
        try:
            expect(self(leaf)).to_be_attached(timeout=PATIENCE)
        except AssertionError as error:
            raise AssertionError(f"never {state} {attempt or ''}; the road so far: {self.shown['delivery']}") from error

    def says(self, selector: str, text: str | re.Pattern[str]) -> None:
        """Wait until an element has a text."""
        expect(self(selector)).to_have_text(text, timeout=PATIENCE)

    def button_waits(self) -> None:
        """Wait until "Send code" is stopped."""
        expect(self(".ask button")).to_have_attribute("aria-disabled", "true", timeout=PATIENCE)

    def button_is_free(self) -> None:
        """Wait until "Send code" can be used."""
        expect(self(".ask button:not([aria-disabled])")).to_be_visible(timeout=PATIENCE)

    def counts(self, seconds: int) -> None:
        """Wait until the countdown has shown a number. It stands there for a second only, so it is looked up later."""
        wait_until(lambda: seconds in self.shown["seconds"], PATIENCE / 1000, f"the countdown never showed {seconds}")

    @property
    def seconds(self) -> int:
        """What the countdown shows."""
        return int(self("#countdown").get_attribute("data-seconds") or 0)

    @property
    def shown(self) -> dict[str, list[Any]]:
        """What this document has shown so far: `delivery`, `seconds`, `connection`."""
        found: dict[str, list[Any]] = self.page.evaluate("window.shown")
        return found

    @property
    def road(self) -> list[tuple[str, int]]:
        """Every (state, attempt) of #delivery, in order, from the first request on."""
        return [(state, attempt) for state, attempt in self.shown["delivery"] if state]

    def listen(self) -> None:
        """Note from now on what changes aloud in the delivery's region."""
        self.page.evaluate(LISTEN)

    @property
    def said(self) -> list[str]:
        """What has changed aloud since `listen`."""
        found: list[str] = self.page.evaluate("window.said")
        return found

    @property
    def focused(self) -> str:
        """The id of the element that has the keyboard, or its tag."""
        found: str = self.page.evaluate("document.activeElement.id || document.activeElement.tagName")
        return found

    # --- What a person does ---

    def by(self, way: str) -> None:
        """Choose `code` or `password`."""
        self(f".switch label:has(#by-{way})").click()

    def ask(self, mobile: str) -> None:
        """Ask for a code with the form; for another one after the number was changed."""
        self.by("code")
        if self("#delivery").get_attribute("data-step") == "code":
            self(".withdraw button").click()
        self("#mobile").fill(mobile)
        self(".ask button").click()

    def enter(self, code: str) -> None:
        """Sign in with a code: it goes by itself, or else with Enter. With both it goes once."""
        self("#code").fill(code)
        self.page.keyboard.press("Enter")

    def login(self, username: str, password: str, *, remembered: bool = False) -> None:
        """Sign in with a password."""
        self.by("password")
        self("#username").fill(username)
        self("#password").fill(password)
        if remembered:
            self(".password-way [name=remembered]").check()
        self(".password-way .main.button").click()

    def logout(self) -> None:
        """Use the header's button, and wait for the page that follows: a push may show nobody in the old one."""
        with self.page.expect_navigation():
            self("#account button").click()


class Visitor:
    """One browser: its cookies and tabs."""

    def __init__(self, context: BrowserContext, url: str, shots: Callable[[Page, str], None]) -> None:
        """Take a fresh context of Chromium and the site's address."""
        self.context, self.url, self._shots = context, url, shots
        self.expected: list[str] = []
        self.seen: list[str] = []
        context.set_default_timeout(PATIENCE)
        context.set_default_navigation_timeout(PATIENCE)
        context.add_init_script(RECORDER)
        context.on("page", self._watch)

    def open(self, path: str = "/login/", *, live: bool = True) -> Tab:
        """Open a tab."""
        tab = Tab(self.context.new_page(), self.url)
        tab.go(path, live=live)
        return tab

    def expects(self, *patterns: str) -> None:
        """Say which errors belong to the test. Chromium writes every answer of 400 and above to the console."""
        self.expected += patterns

    def expects_outage(self) -> None:
        """Say that the server is going to be away."""
        self.expects(r"WebSocket connection to .* failed", r"net::ERR_", r"status of 50[0-9]")
        # What htmx says of the same.
        self.expects(r"\[object Event\] .*page\.", r"htmx:(afterRequest|sendError)")

    def shot(self, tab: Tab, name: str) -> None:
        """Keep a picture, if pictures are wanted."""
        self._shots(tab.page, name)

    @property
    def cookies(self) -> dict[str, Any]:
        """The browser's cookies by name."""
        return {cookie["name"]: cookie for cookie in self.context.cookies()}

    def take_session(self, key: str) -> None:
        """Send this as the session's cookie from now on."""
        self.context.add_cookies([{"name": "sessionid", "value": key, "url": self.url, "httpOnly": True}])

    @property
    def troubles(self) -> list[str]:
        """What should not have happened."""
        for page in self.context.pages:
            try:
                # What Chromium has said before its answer to this has arrived here.
                page.evaluate("0")
            except Error:
                continue
        return [what for what in self.seen if not any(re.search(pattern, what) for pattern in self.expected)]

    def close(self) -> None:
        """Close the browser."""
        self.context.close()

    def _watch(self, page: Page) -> None:
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.seen.append(f"uncaught: {error}"))
        page.on("requestfailed", self._failed)

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            self.seen.append(f"console: {message.text} ({message.location.get('url')})")

    def _failed(self, request: Request) -> None:
        # A page that is left takes its own poll with it.
        if request.failure != "net::ERR_ABORTED":
            self.seen.append(f"request: {request.method} {request.url} {request.failure}")


def browse(chromium: Browser, stack: Stack, shots: Callable[[Page, str], None], **options: Any) -> Visitor:
    """Open a browser of somebody's own. Options are Playwright's: locale, viewport, color_scheme."""
    context = chromium.new_context(**{"locale": "en-US", "reduced_motion": "reduce", **options})
    return Visitor(context, stack.url, shots)
