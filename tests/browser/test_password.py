"""Changing a password by hand: what the page says, where the keyboard is, and what the other tabs and browsers show."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.browser.looks import LOOKS, faults, overflow
from tests.support.numbers import number

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.browser.window import Visitor
    from tests.support.stack import Stack

pytestmark = pytest.mark.browser

OLD = "correct horse battery"
NEW = "eleven quiet umbrellas"


def test_a_changed_password_leaves_this_browser_in_and_the_other_out(
    visit: Callable[..., Visitor], stack: Stack
) -> None:
    """T-35."""
    stack.user("alice", password=OLD)
    visitor, other = visit(stack), visit(stack)
    visitor.expects("status of 422")
    # Its session has ended, so its socket is refused until the page is loaded again.
    other.expects("WebSocket connection to .* failed", r"\[object Event\]")
    far = other.open()
    far.login("alice", OLD)
    far.page.wait_for_url(f"{stack.url}/")
    far.user("alice")
    far.is_live()

    tab = visitor.open("/password/")
    tab.login("alice", OLD)
    tab.page.wait_for_url(f"{stack.url}/password/")
    tab.is_live()
    second = visitor.open("/")
    second.user("alice")
    expect(second("main a[href='/password/']")).to_be_visible()

    tab("main .main.button").click()
    tab.says("#change-message", "Enter your current password.")
    assert tab.focused == "current"
    tab("#current").fill("not her password")
    tab("#password").fill(NEW)
    tab("#password").press("Enter")
    tab.says("#change-message", "Incorrect current password.")
    assert tab.focused == "current"
    assert tab("#current").get_attribute("aria-invalid") == "true"
    assert tab("#password").input_value() == NEW, "what was typed is kept"
    tab("#current").fill(OLD)
    tab("#password").fill("passwordpassword")
    tab("#reveal").click()
    expect(tab("#password")).to_have_attribute("type", "text")
    tab("#password").press("Enter")
    tab.says("#change-message", re.compile("too easy to guess"))
    assert tab.focused == "password"
    expect(tab("#password")).to_have_attribute("type", "password")

    # As from a password manager: pasted whole, never cut short in silence.
    tab("#password").fill("x" * 200)
    assert tab("#password").input_value() == "x" * 200
    tab("#password").fill(NEW)
    tab("#password").press("Enter")
    expect(tab("h1")).to_have_text("Your new password is set")
    visitor.shot(tab, "password-changed")
    tab.is_live()
    tab.user("alice")
    second.user("alice")
    second.is_live()
    assert "offline" not in second.shown["connection"], "the tab beside it was thrown out"

    far.user("")
    far.page.reload()
    far.user("")
    far.go("/login/")
    far.login("alice", NEW)
    far.page.wait_for_url(f"{stack.url}/")
    far.user("alice")


def test_a_first_password_without_javascript(visit: Callable[..., Visitor], stack: Stack) -> None:
    """An account that began with a code: nothing to ask for but the new one."""
    mobile = number()
    visitor = visit(stack, java_script_enabled=False)
    visitor.expects("status of 422")
    tab = visitor.open(live=False)
    tab.ask(mobile)
    tab.enter(stack.phone.code_for(mobile))
    tab.page.wait_for_url(f"{stack.url}/")
    tab.page.goto(f"{stack.url}/password/")
    expect(tab("h1")).to_have_text("Set a password")
    expect(tab("#current")).to_have_count(0)
    tab("#password").fill("too short")
    tab("main .main.button").click()
    tab.says("#change-message", re.compile("15 to 128"))
    assert tab("#password").input_value() == ""
    tab("#password").fill(NEW)
    tab("main .main.button").click()
    expect(tab("h1")).to_have_text("Your new password is set")


@pytest.mark.parametrize("look", ["light", "phone-dark"])
def test_the_page_is_accessible(look: str, visit: Callable[..., Visitor], stack: Stack) -> None:
    username = f"looker-{look}"
    stack.user(username, password=OLD)
    visitor = visit(stack, **LOOKS[look])
    visitor.expects("status of 422")
    tab = visitor.open("/password/")
    tab.login(username, OLD)
    tab.page.wait_for_url(f"{stack.url}/password/")
    tab.is_live()
    found = faults(tab, f"password {look}")
    tab("main .main.button").click()
    tab.says("#change-message", "Enter your current password.")
    found += faults(tab, f"password refused {look}")
    assert overflow(tab) == 0
    visitor.shot(tab, f"password-{look}")
    assert found == []
