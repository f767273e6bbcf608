"""Waiting that is honest and quiet: the seconds go on for the eye, and what is read out is said once."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.support.delivery_times import ENOUGH, SECRET, history, moment, report
from tests.support.numbers import number

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.browser.window import Visitor
    from tests.support.provider import Provider
    from tests.support.stack import Stack

pytestmark = pytest.mark.browser

# Everything that a screen reader may hear of in the region: `window.said`.
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


@pytest.mark.parametrize(
    ("locale", "usual", "now"),
    [
        ("en-US", "It's taking longer than the usual 6 seconds.", r"\d+ s so far\."),
        pytest.param("zh-CN", "通常 6 秒", r"\d+ 秒", marks=pytest.mark.long),
    ],
)
def test_the_seconds_pass_in_silence(
    locale: str,
    usual: str,
    now: str,
    visit: Callable[..., Visitor],
    make_stack: Callable[..., Stack],
    provider: Provider,
) -> None:
    stack = make_stack(provider=provider, YUNTONGXUN_RECEIPT_SECRET=SECRET)
    tab = visit(stack, locale=locale).open()
    # Written before any page of this process asks what is usual.
    person = stack.person()
    assert person.ask(number()).status_code == 202
    stack.wait_for_state("sent")
    history(stack, ENOUGH, took=6)
    tab.ask(number())
    tab.shows("sent", 1)
    expect(tab("#delivery")).to_have_attribute("data-pace", "usual")
    row = stack.wait_for_state("sent")["id"]
    stack.rows(f"UPDATE tasks_delivery SET sent_at = {moment(40)} WHERE id = ?", row)
    expect(tab("#delivery")).to_have_attribute("data-pace", "slow")
    expect(tab("#delivery .sense")).to_contain_text(usual)
    tab.page.evaluate(LISTEN)
    seen = set()
    for _ in range(2):
        waited = tab("#waited").inner_text()
        assert re.search(now, waited)
        assert waited not in seen
        seen.add(waited)
        expect(tab("#waited")).not_to_have_text(waited)
    assert tab.page.evaluate("window.said") == []
    report(stack, provider)
    tab.shows("delivered", 1)
    assert tab.page.evaluate("window.said"), "nothing would have been noticed"
