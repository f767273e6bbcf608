"""The developer's pages: a phone beside the sign-in page, and the queue's self-test."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.browser.window import PATIENCE
from tests.support.numbers import number
from tests.support.stack import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.browser.window import Tab, Visitor
    from tests.support.stack import Stack

pytestmark = pytest.mark.browser


def switch(phone: Tab, mode: str, times: int = 0) -> None:
    """Set what happens to the next messages, and wait until the phone says so."""
    phone(f".modes [value={mode}]").check()
    if times:
        phone("#times").fill(str(times))
    phone(".controls form .button").click()
    expect(phone("#phone-mode")).to_have_attribute("data-mode", mode)


def test_a_message_arrives_live_and_a_click_fills_the_code_in(visit: Callable[..., Visitor], stack: Stack) -> None:
    visitor = visit(stack)
    tab, phone = visitor.open(), visitor.open("/dev/phone/")
    visitor.shot(phone, "phone-empty")
    mobile = number()
    tab.ask(mobile)
    message = phone(f"#phone-messages li:has-text('+86{mobile}')")
    expect(message).to_be_visible()
    expect(message.locator(".bubble")).to_contain_text(re.compile(r"\b\d{6}\b"))
    visitor.shot(phone, "phone-message")
    tab.shows("sent", 1)
    message.locator("button").click()
    code = message.locator("button").get_attribute("data-code")
    assert code
    expect(tab("#code")).to_have_value(code)
    expect(tab("#filled")).not_to_be_empty()
    visitor.shot(tab, "filled-in")
    tab(".verify button").click()
    tab.page.wait_for_url(f"{stack.url}/")
    tab.user(re.compile(".+"))
    phone.user(tab.username)


def test_another_browser_s_phone_page_does_not_fill_in_here(visit: Callable[..., Visitor], stack: Stack) -> None:
    visitor, other = visit(stack), visit(stack)
    tab, phone, own = visitor.open(), other.open("/dev/phone/"), visitor.open("/dev/phone/")
    mobile = number()
    tab.ask(mobile)
    tab.shows("sent", 1)
    phone(f"#phone-messages li:has-text('+86{mobile}') button").click()
    expect(phone("#copied")).not_to_be_empty()
    assert tab("#code").input_value() == ""
    own(f"#phone-messages li:has-text('+86{mobile}') button").click()
    expect(tab("#code")).not_to_have_value("")


def test_the_switches_make_it_fail_once_be_slow_and_be_silent(visit: Callable[..., Visitor], stack: Stack) -> None:
    visitor = visit(stack)
    phone = visitor.open("/dev/phone/")
    switch(phone, "fail_times", 1)
    visitor.shot(phone, "phone-switched")
    tab = visitor.open()
    tab.ask(number())
    tab.shows("retrying", 2)
    # It counts down, and the phone says that it is well again.
    expect(phone("#phone-mode")).to_have_attribute("data-mode", "ok")
    tab.shows("sent", 2)
    assert ("retrying", 2) in tab.road

    switch(phone, "slow")
    slow = visit(stack).open()
    slow.ask(number())
    # For three seconds, so it may be over when this looks.
    wait_until(lambda: ("sending", 1) in slow.road, PATIENCE / 1000, "nothing was sending")
    visitor.shot(slow, "sending")
    slow.shows("sent", 1)

    switch(phone, "hang")
    silent = visit(stack).open()
    silent.ask(number())
    silent.shows("unknown", 1)
    visitor.shot(silent, "unknown")
    switch(phone, "ok")


def test_reports_end_a_delivery_on_the_open_page(visit: Callable[..., Visitor], stack: Stack) -> None:
    """Whoever tries Latchkey out sees every state, the last ones too."""
    phone = visit(stack).open("/dev/phone/")
    expect(phone("#after")).not_to_be_visible()
    for report, words in {"delivered": "delivered 2 seconds later", "failed": "not delivered 2 seconds later"}.items():
        phone(f"[name=report][value={report}]").check()
        phone("#after").fill("2")
        switch(phone, "ok")
        expect(phone("#phone-mode")).to_have_attribute("data-report", report)
        expect(phone("#phone-mode")).to_contain_text(f"Messages are reported as {words}.")
        tab = visit(stack).open()
        tab.ask(number())
        tab.shows(report, 1)
        assert tab.road[-2:] == [("sent", 1), (report, 1)]
    phone("[name=report][value=none]").check()
    switch(phone, "ok")
    expect(phone("#phone-mode")).to_have_attribute("data-report", "none")


def test_a_message_shows_when_it_arrived(visit: Callable[..., Visitor], stack: Stack) -> None:
    phone, tab = visit(stack).open("/dev/phone/"), visit(stack).open()
    tab.ask(number())
    expect(phone("#phone-messages li time").last).to_have_text(re.compile(r"^\d\d:\d\d:\d\d$"))


@pytest.mark.parametrize("scripts", [True, False])
def test_all_limits_are_reset_and_pages_that_wait_go_on(
    visit: Callable[..., Visitor], make_stack: Callable[..., Stack], scripts: bool
) -> None:
    site = make_stack(SMS_PER_HOUR="1", SMS_COOLDOWN="300")
    visitor, mobile = visit(site), number()
    tab = visitor.open()
    tab.ask(mobile)
    tab.shows("sent", 1)
    assert tab.seconds > 200, "or this test means nothing"
    phone = visit(site, java_script_enabled=scripts).open("/dev/phone/", live=scripts)
    phone(".limits .button").click()
    expect(phone("#limits-reset")).to_contain_text("All limits are reset. 1 request no longer counts,")
    assert phone.page.url.startswith(f"{site.url}/dev/phone/")
    tab.counts(0)
    tab.ask(mobile)
    wait_until(lambda: len(site.deliveries()) == 2, PATIENCE / 1000, "the number is still refused")


def test_the_phone_follows_its_switches_in_another_tab(visit: Callable[..., Visitor], stack: Stack) -> None:
    visitor = visit(stack)
    here, there = visitor.open("/dev/phone/"), visit(stack).open("/dev/phone/")
    switch(here, "fail")
    expect(there("#phone-mode")).to_have_attribute("data-mode", "fail")
    switch(there, "ok")
    expect(here("#phone-mode")).to_have_attribute("data-mode", "ok")


def test_the_bar_of_the_queue_s_self_test_runs_to_its_end(visit: Callable[..., Visitor], stack: Stack) -> None:
    visitor = visit(stack)
    tab, other = visitor.open("/dev/queue/"), visit(stack).open("/dev/queue/")
    expect(tab("#selftest")).to_have_attribute("data-state", "idle")
    visitor.shot(tab, "queue-idle")
    tab("main form .main.button").click()
    expect(tab("#selftest")).to_have_attribute("data-done", re.compile("^[1-4]$"))
    # Now, while there are seconds left of it.
    expect(other("#selftest")).to_have_attribute("data-state", "running")
    expect(tab("#selftest")).to_have_attribute("data-done", re.compile("^[5-9]$"))
    visitor.shot(tab, "queue-running")
    for page in (tab, other):
        expect(page("#selftest")).to_have_attribute("data-state", "done")
        expect(page("#selftest")).to_have_attribute("data-done", "10")
    assert tab("progress").evaluate("bar => bar.position") == 1
    visitor.shot(tab, "queue-done")
    # Every part has been seen at work.
    expect(tab(".parts > .good")).to_have_count(3)
    expect(tab(".parts .when-live")).to_be_visible()
