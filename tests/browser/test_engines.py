"""The main road in the other engines: WebKitGTK and Firefox, each by its own driver, under the site's own policy."""

from __future__ import annotations

import signal
from itertools import dropwhile, groupby
from typing import TYPE_CHECKING

import httpx
import pytest

from tests.browser import driver
from tests.support.carrier import Carrier
from tests.support.numbers import number
from tests.support.stack import Stack, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.browser, pytest.mark.long]

SECRET = "a-secret-of-thirty-two-letters-00"

# Every state that #delivery shows from here on, and every violation of the policy.
RECORDER = """
  window.road = [];
  window.violations = [];
  const look = () => {
    const state = document.getElementById("delivery").dataset.state;
    if (window.road.at(-1) !== state) window.road.push(state);
  };
  new MutationObserver(look).observe(document, { subtree: true, childList: true, attributes: true });
  document.addEventListener("securitypolicyviolation", (event) => window.violations.push(event.violatedDirective));
"""


@pytest.fixture(scope="module")
def carrier() -> Iterator[Carrier]:
    """A carrier that reports what has arrived."""
    with Carrier() as provider:
        yield provider


@pytest.fixture(scope="module")
def stack(carrier: Carrier, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A site that sends through it."""
    with Stack(tmp_path_factory.mktemp("site"), provider=carrier, YUNTONGXUN_RECEIPT_SECRET=SECRET) as stack:
        yield stack


@pytest.mark.parametrize("engine", ["webkit", "firefox"])
def test_a_code_is_followed_to_the_handset_and_signs_every_tab_in(
    engine: str, stack: Stack, carrier: Carrier, tmp_path: Path
) -> None:
    mobile = number()
    with getattr(driver, engine)(tmp_path) as window, carrier.watched():
        window.go(f"{stack.url}/login/")
        login = window.tab
        other = window.open_tab()
        window.go(f"{stack.url}/")
        window.wait_for("#connection[data-state=live]")
        window.to(login)
        window.wait_for("#connection[data-state=live]")
        window.evaluate(RECORDER)

        stack.hang(stack.workers[0])
        try:
            window.type("#mobile", mobile)
            window.click(".ask button")
            window.wait_for("#delivery[data-state=queued]")
            window.wait_for(".ask button[aria-disabled=true]")
        finally:
            stack.workers[0].signal(signal.SIGCONT)
        window.wait_for("#delivery[data-state=sending]")
        carrier.nods.release()
        window.wait_for("#delivery[data-state=sent]")
        [sms] = wait_until(lambda: [sms for sms in carrier.sent if sms.to == mobile], what="no SMS")
        for post in carrier.reports(sms):
            answer = httpx.post(f"{stack.url}/receipts/yuntongxun/{SECRET}/", content=post.body, headers=post.headers)
            assert answer.status_code == 200
        window.wait_for("#delivery[data-state=delivered]")
        road = window.evaluate("return window.road")
        shown = [state for state, _ in groupby(dropwhile(lambda state: not state, road))]
        assert shown == ["queued", "sending", "sent", "delivered"], road
        assert window.evaluate("return window.violations") == []

        # A wrong one first; what is typed then takes its place.
        window.type("#code", f"{(int(sms.code) + 1) % 1000000:06}\ue007")
        window.wait_for("#verify-message:not(:empty)")
        assert window.evaluate("return document.activeElement.id") == "code"
        window.evaluate("document.getElementById('code').select()")
        window.type("#code", f"{sms.code}\ue007")
        window.wait_for_url(f"{stack.url}/")
        window.wait_for("#account:not([data-user=''])")
        name = window.evaluate("return document.getElementById('account').dataset.user")

        # The other tab was told, and not loaded anew.
        window.to(other)
        window.wait_for(f"#account[data-user='{name}']")
        window.wait_for("#connection[data-state=live]")
        window.click("#in-out")
        window.wait_for("#account[data-user='']")
        window.to(login)
        window.wait_for("#account[data-user='']")
