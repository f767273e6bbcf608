"""Waiting that is honest and quiet: the page says when it takes longer than usual, once."""

from __future__ import annotations

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

SILENCE_MS = 10_000


@pytest.mark.parametrize(
    ("locale", "usual"),
    [
        ("en-US", "It's taking longer than the usual 6 seconds."),
        pytest.param("zh-CN", "通常 6 秒", marks=pytest.mark.long),
    ],
)
def test_what_takes_long_is_said_once(
    locale: str,
    usual: str,
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
    expect(tab(".other-way")).to_be_hidden()
    row = stack.wait_for_state("sent")["id"]
    stack.rows(f"UPDATE tasks_delivery SET sent_at = {moment(40)} WHERE id = ?", row)
    expect(tab("#delivery")).to_have_attribute("data-pace", "slow")
    expect(tab("#delivery .sense")).to_contain_text(usual)
    expect(tab(".other-way a")).to_be_visible()
    tab.listen()
    # A recheck of the page, and one to spare.
    tab.page.wait_for_timeout(SILENCE_MS)
    assert tab.said == []
    report(stack, provider)
    tab.shows("delivered", 1)
    assert tab.said, "nothing would have been noticed"
