"""The sign-in page under a person's hands: its countdown, its messages, its keyboard, its languages."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.support.numbers import number
from tests.support.stack import Stack

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.browser.window import Visitor

pytestmark = pytest.mark.browser

PASSWORD = "correct horse battery"
COOLDOWN = 8


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A site where another code may be asked for soon."""
    with Stack(tmp_path_factory.mktemp("site"), SMS_COOLDOWN=str(COOLDOWN)) as stack:
        stack.user("alice", password=PASSWORD)
        yield stack


def test_the_countdown_counts_each_second_and_ends_in_a_button_that_works(
    visit: Callable[..., Visitor], stack: Stack
) -> None:
    visitor = visit(stack)
    tab = visitor.open()
    tab.ask(number())
    tab.button_waits()
    tab.shows("sent", 1)
    tab.button_is_free()
    seconds = tab.shown["seconds"]
    # The first is the page's own, then every number once: nothing jumps back, nothing is left out but the odd first.
    counted = seconds[seconds.index(max(seconds)) :]
    assert counted == list(range(counted[0], -1, -1)), seconds
    assert counted[0] in {COOLDOWN, COOLDOWN - 1}
    tab(".ask button").click()
    tab.button_waits()
    tab.shows("sent", 1)


def test_the_countdown_is_the_server_s_and_outlives_a_reload(visit: Callable[..., Visitor], stack: Stack) -> None:
    visitor = visit(stack)
    tab = visitor.open()
    tab.ask(number())
    asked = time.monotonic()
    tab.button_waits()
    tab.counts(COOLDOWN - 3)
    # Served with the page, so it stands there before the socket has said a word.
    with tab.page.expect_response("**/login/") as answer:
        tab.page.reload()
    found = re.search(r'id="countdown"[^>]* data-seconds="(\d+)"', answer.value.text())
    assert found
    assert 0 < int(found[1]) <= COOLDOWN - 3
    tab.button_waits()
    tab.is_live()
    tab.button_is_free()
    assert COOLDOWN - 1 < time.monotonic() - asked < COOLDOWN + 3


def test_the_button_keeps_the_keyboard_and_sends_nothing_while_it_waits(
    visit: Callable[..., Visitor], stack: Stack
) -> None:
    visitor = visit(stack)
    tab = visitor.open()
    mobile = number()
    tab("#mobile").fill(mobile)
    tab.page.keyboard.press("Tab")
    focused = "document.activeElement === document.querySelector('.ask button')"
    assert tab.page.evaluate(focused)
    tab.page.keyboard.press("Enter")
    tab.button_waits()
    asked: list[str] = []
    tab.page.on("request", lambda request: asked.append(request.url) if request.method == "POST" else None)
    # At once: on a slow machine the seconds pass as fast.
    tab(".ask button").focus()
    tab.page.keyboard.press("Enter")
    tab(".ask button").click(force=True)
    tab.page.keyboard.press("Enter")
    tab.shows("sent", 1)
    tab.button_is_free()
    assert tab.page.evaluate(focused), "a push took the keyboard away"
    assert asked == [], "a waiting button sent its form"
    assert [message.to for message in stack.phone.messages].count(f"+86{mobile}") == 1
    tab.page.keyboard.press("Enter")
    tab.button_waits()
    tab.shows("sent", 1)
    expect(tab("#code")).to_be_focused()


def test_a_number_that_somebody_else_has_asked_for_counts_down_here_too(
    visit: Callable[..., Visitor], stack: Stack
) -> None:
    mobile = number()
    first, second = visit(stack), visit(stack)
    second.expects("status of 429")
    tab, late = first.open(), second.open()
    other = second.open()
    tab.ask(mobile)
    tab.shows("sent", 1)
    late.ask(f"+86 {mobile[:3]} {mobile[3:]}")
    late.says("#code-message", re.compile("You can request another when the timer ends"))
    late.button_waits()
    second.shot(late, "429")
    assert 0 < late.seconds <= COOLDOWN
    # It was not this browser's SMS.
    late.shows("")
    late.button_is_free()
    seconds = late.shown["seconds"]
    counted = seconds[seconds.index(max(seconds)) :]
    assert counted == list(range(counted[0], -1, -1)), seconds
    assert max(other.shown["seconds"]) > 0, "the browser's other tab was not told"
    late(".ask button").click()
    late.shows("sent", 1)


def test_a_wrong_code_says_how_many_tries_are_left_and_keeps_the_field(
    visit: Callable[..., Visitor], stack: Stack
) -> None:
    visitor = visit(stack)
    visitor.expects("status of 422")
    tab = visitor.open()
    mobile = number()
    expect(tab(".verify")).to_be_hidden()
    tab.ask(mobile)
    tab.shows("sent", 1)
    code = next(m.code for m in stack.phone.messages if m.to == f"+86{mobile}")
    wrong = f"{(int(code) + 1) % 1000000:06}"
    tab.enter(wrong)
    tab.says("#verify-message", re.compile("Incorrect code. 4 attempts left"))
    assert tab("#code").input_value() == wrong
    assert tab.focused == "code"
    assert tab("#code").get_attribute("aria-invalid") == "true"
    tab.page.keyboard.press("End")
    tab.page.keyboard.press("Backspace")
    assert tab("#code").get_attribute("aria-invalid") is None, "it is being mended"
    for left in (3, 2, 1):
        tab.enter(f"{(int(code) + 1 + left) % 1000000:06}")
        tab.says("#verify-message", re.compile(rf"Incorrect code\. {left} attempts? left"))
    tab.enter(f"{(int(code) + 5) % 1000000:06}")
    tab.says("#code-message", re.compile("no attempts left"))
    visitor.shot(tab, "last-try")
    expect(tab(".verify")).to_be_hidden()
    tab.user("")


def test_a_wrong_password_gives_one_message_and_keeps_what_was_typed(
    visit: Callable[..., Visitor], stack: Stack
) -> None:
    visitor = visit(stack)
    visitor.expects("status of 422")
    tab = visitor.open("/login/?next=/dev/queue/")
    tab.by("password")
    tab("#username").fill("alice")
    tab("#password").fill("not the password")
    tab(".password-way [name=remembered]").check()
    tab("#password").press("Enter")
    tab.says("#password-message", "Incorrect username or password.")
    visitor.shot(tab, "wrong-password")
    assert tab("#username").input_value() == "alice"
    assert tab("#password").input_value() == "not the password"
    assert tab(".password-way [name=remembered]").is_checked()
    expect(tab(".message:not(:empty)")).to_have_count(1)
    # The credentials as a whole are wrong, no field by itself: the keyboard stays where it was.
    assert tab.focused == "password"

    # A fault of one field leads there.
    tab("#password").fill("x" * 5000)
    tab("#password").press("Enter")
    tab.says("#password-message", re.compile("password is too long"))
    assert tab.focused == "password"
    assert tab("#password").get_attribute("aria-invalid") == "true"
    tab("#username").fill("al ice!")
    tab("#password").fill(PASSWORD)
    tab("#password").press("Enter")
    tab.says("#password-message", re.compile("Enter your username"))
    assert tab.focused == "username"
    assert tab("#password").get_attribute("aria-invalid") is None

    tab("#username").fill("alice")
    tab("#username").press("Enter")
    tab.page.wait_for_url(f"{stack.url}/dev/queue/")
    tab.user("alice")


def test_the_eye_shows_the_password_and_hides_it_before_it_is_sent(visit: Callable[..., Visitor], stack: Stack) -> None:
    visitor = visit(stack)
    visitor.expects("status of 422")
    tab = visitor.open()
    tab.by("password")
    tab("#password").fill("not the password")
    tab("#reveal").click()
    expect(tab("#password")).to_have_attribute("type", "text")
    expect(tab("#reveal")).to_have_attribute("aria-pressed", "true")
    tab("#username").fill("alice")
    tab("#username").press("Enter")
    tab.says("#password-message", re.compile("Incorrect username or password"))
    expect(tab("#password")).to_have_attribute("type", "password")


def test_a_remembered_login_outlives_the_browser_and_another_ends_with_it(
    visit: Callable[..., Visitor], stack: Stack
) -> None:
    for remembered in (False, True):
        visitor = visit(stack)
        tab = visitor.open()
        tab.login("alice", PASSWORD, remembered=remembered)
        tab.page.wait_for_url(f"{stack.url}/")
        tab.user("alice")
        for name in ("sessionid", "username"):
            cookie = visitor.cookies[name]
            if remembered:
                assert 2 * 86400 - 60 < cookie["expires"] - time.time() <= 2 * 86400, cookie
            else:
                assert cookie["expires"] == -1, cookie
        assert visitor.cookies["sessionid"]["httpOnly"]
        tab.logout()
        tab.user("")
        assert "username" not in visitor.cookies


def test_a_stranger_s_next_does_not_lead_away(visit: Callable[..., Visitor], stack: Stack) -> None:
    visitor = visit(stack)
    tab = visitor.open("/login/?next=https://evil.example/")
    tab.login("alice", PASSWORD)
    tab.page.wait_for_url(f"{stack.url}/")
    tab.user("alice")


def test_a_chinese_browser_is_spoken_to_in_chinese_and_the_switch_changes_page_and_pushes(
    visit: Callable[..., Visitor], stack: Stack
) -> None:
    visitor = visit(stack, locale="zh-CN")
    tab = visitor.open()
    html = tab("html")
    expect(html).to_have_attribute("lang", "zh-hans")
    visitor.shot(tab, "chinese")
    tab("form.languages button[value=en]").click()
    expect(html).to_have_attribute("lang", "en")
    tab.is_live()
    tab.ask(number())
    # Pushed, and so by the socket's own idea of the language.
    tab.shows("sent", 1)
    tab.says("#delivery .fact", re.compile("^Sent"))
    assert tab.page.url == f"{stack.url}/login/"
    tab("form.languages button[value=zh-hans]").click()
    expect(html).to_have_attribute("lang", "zh-hans")
    tab.is_live()
    tab.shows("sent", 1)
    visitor.shot(tab, "chinese-sent")
    tab.button_is_free()
    mobile = number()
    tab.ask(mobile)
    expect(tab("#delivery .number")).to_have_text(f"{mobile[:3]} **** {mobile[-4:]}")
    tab.shows("sent", 1)
    tab.says("#delivery .fact", re.compile("^已发送"))
