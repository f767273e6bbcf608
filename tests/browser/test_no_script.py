"""Without JavaScript everything works by plain posts and a reload."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.support.numbers import number

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.browser.window import Visitor
    from tests.support.stack import Stack

pytestmark = pytest.mark.browser

PASSWORD = "correct horse battery"


def test_a_code_can_be_asked_for_followed_mistyped_and_used(visit: Callable[..., Visitor], stack: Stack) -> None:
    visitor = visit(stack, java_script_enabled=False)
    visitor.expects("status of 4(22|29)")
    mobile = number()
    tab = visitor.open("/login/", live=False)
    tab.user("")
    expect(tab("#reveal")).to_be_hidden()
    # It does not say that it will be live, because it will not.
    expect(tab("#connection")).to_be_hidden()

    tab.ask("12345")
    tab.says("#code-message", re.compile("We can't send text messages to this number"))
    assert tab("#mobile").input_value() == "12345"

    tab.ask(mobile)
    expect(tab("#delivery")).to_have_attribute("data-state", re.compile("queued|sending|sent"))
    assert tab.seconds > 0
    visitor.shot(tab, "no-script-asked")
    stack.wait_for_state("sent")
    tab(".travel .unscripted button").click()
    tab.shows("sent", 1)
    visitor.shot(tab, "no-script-sent")

    # A second wish, too soon: the state that runs, and how long to wait. The button looks stopped, and stops nobody.
    tab(".ask button").click(force=True)
    tab.says("#code-message", re.compile("You can request another when the timer ends"))
    tab.shows("sent", 1)
    assert tab.seconds > 0

    code = next(m.code for m in stack.phone.messages if m.to == f"+86{mobile}")
    tab.enter(f"{(int(code) + 1) % 1000000:06}")
    tab.says("#verify-message", re.compile("Incorrect code. 4 attempts left"))
    visitor.shot(tab, "no-script-wrong-code")
    tab.enter(code)
    tab.page.wait_for_url(f"{stack.url}/")
    tab.user(re.compile(".+"))

    # On a page without JavaScript a logout is a post as well.
    tab.logout()
    tab.page.wait_for_url(f"{stack.url}/")
    tab.user("")


def test_a_password_is_enough(visit: Callable[..., Visitor], stack: Stack) -> None:
    stack.user("noscript", password=PASSWORD)
    visitor = visit(stack, java_script_enabled=False)
    visitor.expects("status of 422")
    tab = visitor.open("/login/?next=/dev/queue/", live=False)
    tab.login("noscript", "not the password")
    tab.says("#password-message", re.compile("Incorrect username or password"))
    assert tab("#username").input_value() == "noscript"
    assert tab("#password").input_value() == ""
    tab.login("noscript", PASSWORD)
    tab.page.wait_for_url(f"{stack.url}/dev/queue/")
    tab.user("noscript")
    tab.logout()
    tab.user("")


def test_the_phone_and_the_queue_are_usable(visit: Callable[..., Visitor], stack: Stack) -> None:
    visitor = visit(stack, java_script_enabled=False)
    tab = visitor.open("/dev/phone/", live=False)
    tab("[value=slow]").check()
    tab(".controls form .button").click()
    expect(tab("#phone-mode")).to_have_attribute("data-mode", "slow")
    tab("[value=ok]").check()
    tab(".controls form .button").click()
    expect(tab("#phone-mode")).to_have_attribute("data-mode", "ok")
    tab.go("/dev/queue/", live=False)
    tab("main form .main.button").click()
    expect(tab("#selftest")).to_have_attribute("data-state", re.compile("waiting|running"))
