"""From the click on "Send code" to "Sent" on the page, in Chromium: by push, and by asking once a second.

The provider is one that answers at once. The page that asks is the same page without its socket, made to ask every
second where by itself it would every four: nothing is different but the way in which it learns.
"""

from __future__ import annotations

import random
import statistics
from typing import TYPE_CHECKING

from playwright.sync_api import expect, sync_playwright

from bench import sites as all_sites
from bench.figures import Figure
from tests.browser.chromium import launch
from tests.support.provider import Provider
from tests.support.stack import Stack

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from playwright.sync_api import Browser, BrowserContext, Page, WebSocketRoute

    from bench.figures import Pace
    from bench.sites import Sites

# Clicks in a second of the pace: of pushed pages, and of pages that ask, which take ten times as long.
PUSHED, ASKING = 10, 4
MOST_ROUNDS = 3
# Milliseconds.
PATIENCE = 20_000
PUSH, POLL = "push", "poll"
# The time runs from the input, by the browser's own clock, to the change of the page.
WATCH = """
window.took = new Promise((resolve) => {
  let clicked = 0;
  addEventListener("click", (event) => { clicked = event.timeStamp; }, { capture: true });
  new MutationObserver(() => {
    if (clicked && document.getElementById("delivery")?.dataset.state === "sent") resolve(performance.now() - clicked);
  }).observe(document, { subtree: true, childList: true, attributes: true });
});
"""
# Nothing of the driver's runs in the page meanwhile: each look of `expect` at what is not there yet takes 17 ms there.
TOOK = f"Promise.race([window.took, new Promise((_, no) => setTimeout(() => no('not sent'), {PATIENCE}))])"
# What the page does by itself every four seconds while it has no socket.
ASK = 'setInterval(() => window.htmx?.trigger("#poll", "poll"), 1000);'


class Clicks:
    """What a visitor waits for."""

    def __init__(self, sites: Sites, pace: Pace) -> None:
        """Take what runs, though this has a site of its own: its provider is another one."""
        self.sites, self.pace = sites, pace
        self.next = 0

    def measures(self) -> Sequence[Callable[[], list[Figure]]]:
        """Return the one that there is."""
        return (self.sent,)

    def sent(self) -> list[Figure]:
        """From the click to "Sent" in Chromium, the provider answering at once, and a page that asks once a second."""
        found: dict[str, list[list[float]]] = {PUSH: [], POLL: []}
        settings = {"DJANGO_SETTINGS_MODULE": "bench.latchkey", **all_sites.LIMITS, **all_sites.AS_IN_THE_WORLD}
        with (
            Provider() as provider,
            Stack(self.sites.folder("clicks"), provider=provider, **settings) as stack,
            sync_playwright() as playwright,
        ):
            browser = launch(playwright)
            for n in range(-1, min(self.pace.rounds, MOST_ROUNDS)):
                for way in (PUSH, POLL) if n % 2 else (POLL, PUSH):
                    number = (PUSHED if way == PUSH else ASKING) * self.pace.seconds if n >= 0 else 2
                    times = self._clicks(browser, stack, way, number)
                    if n >= 0:
                        found[way].append(times)
            browser.close()
        pushed = [_cuts(times) for times in found[PUSH]]
        asked = [_cuts(times) for times in found[POLL]]
        ratios = [one[0] / other[0] for one, other in zip(pushed, asked, strict=True)]
        name = "click to Sent in Chromium"
        return [
            Figure(f"{name}, p50", 60, "at most", [p50 for p50, _ in pushed], " ms", {"ms": found}),
            Figure(f"{name}, p99", 150, "at most", [p99 for _, p99 in pushed], " ms"),
            Figure(f"{name}, p50, against a page that asks once a second", 0.125, "at most", ratios),
        ]

    def _clicks(self, browser: Browser, stack: Stack, way: str, number: int) -> list[float]:
        """Click so many times, each a visitor of its own, and return the milliseconds."""
        context = browser.new_context(locale="en-US")
        context.set_default_timeout(PATIENCE)
        context.add_init_script(WATCH)
        if way == POLL:
            context.route_web_socket("**/ws/", _hang_up)
            context.add_init_script(ASK)
        page = context.new_page()
        times = [self._click(context, page, stack.url, way) for _ in range(number)]
        context.close()
        return times

    def _click(self, context: BrowserContext, page: Page, url: str, way: str) -> float:
        context.clear_cookies()
        page.goto(f"{url}/login/")
        live = "live" if way == PUSH else "offline"
        expect(page.locator("#connection")).to_have_attribute("data-state", live, timeout=PATIENCE)
        self.next += 1
        page.locator("#mobile").fill(f"137{self.next:08}")
        if way == POLL:
            # In any moment of the second between two questions.
            page.wait_for_timeout(random.uniform(0, 1000))
        page.locator(".ask button").click()
        took: float = page.evaluate(TOOK)
        return took


def _hang_up(socket: WebSocketRoute) -> None:
    socket.close(code=1011)


def _cuts(times: list[float]) -> tuple[float, float]:
    """Return the median and the p99, which for few is the slowest."""
    return statistics.median(times), statistics.quantiles(times, n=100, method="inclusive")[98]
