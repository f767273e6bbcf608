"""One question at a time: what is asked, where the keyboard is, and which words hold, in each step of a sign-in."""

from __future__ import annotations

import re
import signal
import time
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.support.numbers import number
from tests.support.stack import Stack, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.browser.window import Tab, Visitor

pytestmark = pytest.mark.browser

PASSWORD = "correct horse battery"
# Seconds that a code lives in the tests that see it die.
LIFE = 8


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A site with an account that has a password."""
    with Stack(tmp_path_factory.mktemp("site"), SMS_COOLDOWN="60") as stack:
        stack.user("alice", password=PASSWORD)
        yield stack


@pytest.fixture
def failing(stack: Stack) -> Iterator[Stack]:
    """The same site, with a dev phone that refuses every message."""
    phone(stack, "fail")
    yield stack
    phone(stack, "ok")


def phone(stack: Stack, mode: str) -> None:
    """Set the dev phone's switch."""
    assert stack.person().page("/dev/phone/", mode=mode).status_code == 302


def asked(visit: Callable[..., Visitor], stack: Stack, **options: object) -> tuple[Visitor, Tab, str]:
    """Return a visitor who has asked for a code, the tab, and the number."""
    visitor = visit(stack, **options)
    visitor.expects("status of 422")
    tab = visitor.open()
    mobile = number()
    tab.ask(mobile)
    tab.shows("sent", 1)
    return visitor, tab, mobile


def is_primary(tab: Tab, selector: str) -> None:
    """Wait until this is the one button of the card that is filled with ink."""
    expect(tab(selector)).to_be_visible()
    filled = """() => {
        const ink = getComputedStyle(document.body).color;
        return [...document.querySelectorAll(".ways .button")].filter((button) => button.getClientRects().length
            && getComputedStyle(button).backgroundColor === ink).map((button) => button.closest("form").className);
    }"""
    place = tab(selector).evaluate("button => button.closest('form').className")
    wait_until(lambda: tab.page.evaluate(filled) == [place], 5, f"{place} is not the one primary button")


# --- Where the keyboard is ---


def test_enter_in_the_number_s_field_leads_to_the_code_s(visit: Callable[..., Visitor], stack: Stack) -> None:
    tab = visit(stack).open()
    mobile = number()
    tab("#mobile").focus()
    tab.page.keyboard.type(mobile)
    tab.page.keyboard.press("Enter")
    expect(tab("#code")).to_be_focused()
    is_primary(tab, ".verify button")
    tab.page.keyboard.type(wait_until(lambda: stack.phone.code_for(mobile)))
    tab.page.wait_for_url(f"{stack.url}/")
    tab.user(re.compile(".+"))


def test_a_script_that_does_not_come_stops_nobody_and_is_asked_for_again(
    visit: Callable[..., Visitor], stack: Stack
) -> None:
    """What the code's step needs is loaded when that step is near. The form works without it, as without any script."""
    visitor = visit(stack)
    visitor.expects("net::ERR_FAILED")
    visitor.context.route("**/static/code.*", lambda route: route.abort())
    tab = visitor.open()
    mobile = number()
    tab.ask(mobile)
    tab.shows("sent", 1)
    assert tab.focused != "code", "or this test means nothing"
    visitor.context.unroute("**/static/code.*")
    with tab.page.expect_response(lambda answer: "/static/code." in answer.url and answer.ok):
        pass
    tab("#code").focus()
    tab.page.keyboard.type(stack.phone.code_for(mobile))
    tab.page.wait_for_url(f"{stack.url}/")
    tab.user(re.compile(".+"))


def test_after_a_failure_the_keyboard_is_on_what_asks_again(visit: Callable[..., Visitor], failing: Stack) -> None:
    tab = visit(failing).open()
    tab("#mobile").focus()
    tab.page.keyboard.type(number())
    tab.page.keyboard.press("Enter")
    tab.shows("retrying")
    # What stands still is no number of seconds.
    assert not re.search(r"\d", tab("#delivery .fact").inner_text() + tab("#delivery .sense").inner_text())
    tab.shows("failed")
    is_primary(tab, ".ask button")
    expect(tab(".ask button")).to_be_focused()
    expect(tab(".verify")).to_be_hidden()
    expect(tab(".other-way a")).to_be_visible()
    phone(failing, "ok")
    tab.page.keyboard.press("Enter")
    tab.shows("sent", 1)
    expect(tab("#code")).to_be_focused()


def test_nobody_who_types_loses_the_keyboard_to_a_failure(visit: Callable[..., Visitor], failing: Stack) -> None:
    visitor = visit(failing)
    tab, other = visitor.open(), visitor.open()
    tab.ask(number())
    expect(tab("#code")).to_be_focused()
    tab.page.keyboard.type("12")
    other.by("password")
    other("#username").focus()
    tab.shows("failed")
    other.shows("failed")
    assert (tab.focused, tab("#code").input_value()) == ("code", "12")
    assert other.focused == "username"


# --- The code's life ---


def test_a_code_that_is_over_says_so_without_a_reload_and_after_one(
    make_stack: Callable[..., Stack], visit: Callable[..., Visitor]
) -> None:
    site = make_stack(SMS_CODE_TTL=str(LIFE), SMS_COOLDOWN="5")
    tab = visit(site).open()
    tab.ask(number())
    tab.shows("sent", 1)
    tab.says("#life", "It expires in less than a minute.")
    tab.shows("expired")
    tab.says("#delivery .fact", "This code has expired")
    tab.says("#life", "")
    expect(tab(".verify")).to_be_hidden()
    is_primary(tab, ".ask button")
    expect(tab(".ask button")).to_be_focused()
    tab.page.reload()
    tab.is_live()
    tab.shows("expired")
    # Its number is still there: one press asks again.
    tab(".ask button").click()
    tab.shows("sent", 1)


def test_the_life_of_a_code_is_counted_in_minutes_and_in_silence(visit: Callable[..., Visitor], stack: Stack) -> None:
    _, tab, _ = asked(visit, stack)
    tab.says("#life", "It expires in 5 minutes.")
    assert "life" in (tab("#code").get_attribute("aria-describedby") or "").split()
    tab.listen()
    # A quarter of a minute is left of the first, and passes in its own time.
    row = stack.deliveries()[-1]["id"]
    stack.rows(
        "UPDATE tasks_delivery SET created_at = strftime('%Y-%m-%d %H:%M:%f', 'now', '-45 seconds') WHERE id = ?", row
    )
    tab.says("#life", "It expires in 4 minutes.")
    assert tab.said == []


def test_after_the_last_wrong_guess_the_way_on_is_a_new_code(visit: Callable[..., Visitor], stack: Stack) -> None:
    visitor, tab, mobile = asked(visit, stack)
    other = visitor.open()
    code = int(stack.phone.code_for(mobile))
    for by in range(1, 6):
        tab.enter(f"{(code + by) % 1_000_000:06}")
        if by < 5:
            tab.says("#verify-message", re.compile(rf"{5 - by} attempts? left"))
    tab.says("#code-message", "Incorrect code, and no attempts left. You can request a new code when the timer ends.")
    for each in (tab, other):
        each.shows("expired")
        each.says("#delivery .fact", "This code no longer works")
        expect(each(".verify")).to_be_hidden()
    # The button says how long, and counts.
    tab.says("#countdown", re.compile(r"Resend code in \d+ s"))
    tab.counts(tab.seconds - 2)


# --- What takes long ---


def test_a_stuck_queue_is_said_to_take_long_and_the_other_way_is_offered(
    visit: Callable[..., Visitor], stack: Stack
) -> None:
    visitor = visit(stack)
    tab = visitor.open()
    mobile = number()
    expect(tab(".other-way")).to_be_hidden()
    stack.hang(stack.workers[0])
    try:
        tab.ask(mobile)
        tab.shows("queued", 0)
        assert "longer" not in tab("#delivery .sense").inner_text()
        expect(tab(".other-way")).to_be_hidden()
        began = time.monotonic()
        expect(tab("#delivery")).to_have_attribute("data-pace", "slow")
        assert time.monotonic() - began < 8
        tab.says("#delivery .sense", re.compile("taking longer than usual. We'll send your code as soon as we can"))
        tab(".other-way a").click()
        # In place: the page stays, and a number is a name as well.
        assert tab("#username").input_value() == mobile
        assert tab.focused == "password"
        expect(tab("#delivery")).to_be_visible()
        expect(tab(".verify")).to_be_hidden()
        visitor.shot(tab, "stuck-by-password")
    finally:
        stack.workers[0].signal(signal.SIGCONT)
    tab.shows("sent", 1)
    tab.by("code")
    expect(tab("#code")).to_be_visible()


# --- Somebody who is signed in ---


def test_somebody_who_is_signed_in_is_asked_whether_to_go_on(visit: Callable[..., Visitor], stack: Stack) -> None:
    visitor = visit(stack)
    tab, late = visitor.open(), visitor.open("/login/?next=/dev/queue/")
    tab.login("alice", PASSWORD)
    tab.page.wait_for_url(f"{stack.url}/")
    # In the tab that was open already as well, where the password was about to be typed.
    for each in (late, visitor.open("/login/")):
        each.user("alice")
        expect(each(".ways")).to_be_hidden()
        expect(each("h1 .when-in")).to_be_visible()
        expect(each("h1 .at-start")).to_be_hidden()
        expect(each(".signed-in")).to_contain_text("You're signed in as alice")
    late(".signed-in a").click()
    late.page.wait_for_url(f"{stack.url}/dev/queue/")
    # With somewhere to go there is nothing to ask.
    tab.go("/login/?next=/dev/queue/")
    tab.page.wait_for_url(f"{stack.url}/dev/queue/")
    tab.go("/login/")
    tab(".signed-in button").click()
    tab.page.wait_for_url(f"{stack.url}/login/?next=")
    tab.user("")
    expect(tab(".ways")).to_be_visible()


def test_whoever_has_no_password_is_led_to_a_code_to_set_one(visit: Callable[..., Visitor], stack: Stack) -> None:
    _, tab, mobile = asked(visit, stack)
    tab.enter(stack.phone.code_for(mobile))
    tab.page.wait_for_url(f"{stack.url}/")
    stack.rows("UPDATE tasks_delivery SET resend_at = created_at")
    stack.redis.flushdb()
    tab.go("/login/?again=1&next=/password/")
    tab.says("h1 .at-start", "Confirm that it's you")
    expect(tab("h1 .at-start")).to_be_visible()
    expect(tab("#by-code")).to_be_checked()
    # The account's own number is meant unless another is typed.
    expect(tab("#mobile")).to_have_attribute("placeholder", f"{mobile[:3]} **** {mobile[-4:]}")
    tab(".ask button").click()
    tab.shows("sent", 1)
    tab.enter(stack.phone.code_for(mobile, 2))
    tab.page.wait_for_url(f"{stack.url}/password/")


# --- What stays ---


def test_what_was_typed_and_chosen_outlives_a_reload_and_a_change_of_language(
    visit: Callable[..., Visitor], stack: Stack
) -> None:
    visitor = visit(stack)
    tab = visitor.open()
    mobile = number()
    tab("#mobile").fill(mobile)
    tab.by("password")
    tab("#username").fill("alice")
    tab("#password").fill(PASSWORD)
    tab("form.languages button[value=zh-hans]").click()
    expect(tab("html")).to_have_attribute("lang", "zh-hans")
    expect(tab("#by-password")).to_be_checked()
    assert tab("#username").input_value() == "alice"
    assert tab("#password").input_value() == ""
    tab.by("code")
    assert tab("#mobile").input_value() == mobile
    tab.page.reload()
    tab.is_live()
    expect(tab("#by-code")).to_be_checked()
    assert tab("#mobile").input_value() == mobile
    # A way that has led in is the one that the next visit begins with.
    tab.login("alice", PASSWORD)
    tab.page.wait_for_url(f"{stack.url}/")
    tab.logout()
    tab.user("")
    tab.go("/login/")
    expect(tab("#by-password")).to_be_checked()
    assert tab("#username").input_value() == "", "who has signed in has left nothing behind"


def test_the_number_is_there_after_a_reload_in_every_state(visit: Callable[..., Visitor], failing: Stack) -> None:
    visitor = visit(failing)
    tab, home = visitor.open(), visitor.open("/")
    mobile = number()
    tab.ask(mobile)
    for state in ("retrying", "failed"):
        # On other pages the strip offers what there is to do.
        home.shows(state)
        expect(home(".strip .enter")).to_be_visible(visible=state == "retrying")
        expect(home(".strip .anew")).to_be_visible(visible=state == "failed")
        tab.shows(state)
        tab.page.reload()
        tab.is_live()
        tab.shows(state)
        assert tab("#mobile").input_value() == mobile
    # A tab where nobody has typed it shows no more than the owner needs, and asks for the same number all the same.
    other = visitor.open()
    other.shows("failed")
    assert other("#mobile").input_value() == ""
    masked = f"{mobile[:3]} **** {mobile[-4:]}"
    expect(other("#mobile")).to_have_attribute("placeholder", masked)
    phone(failing, "ok")
    other(".ask button").click()
    other.shows("sent", 1)
    assert [m.to for m in failing.phone.messages].count(f"+86{mobile}") == 1


def test_without_a_script_checking_again_keeps_the_number(visit: Callable[..., Visitor], stack: Stack) -> None:
    tab = visit(stack, java_script_enabled=False).open("/login/?next=/dev/queue/", live=False)
    mobile = number()
    tab.ask(mobile)
    expect(tab("#code")).to_be_focused()
    stack.wait_for_state("sent")
    tab(".travel .unscripted button").click()
    tab.shows("sent", 1)
    assert tab("#mobile").input_value() == mobile
    assert tab(".verify [name=next]").input_value() == "/dev/queue/"


# --- Words ---


def test_each_empty_field_is_named(visit: Callable[..., Visitor], stack: Stack) -> None:
    visitor = visit(stack)
    visitor.expects("status of 422")
    tab = visitor.open()
    tab(".ask button").click()
    tab.says("#code-message", "Enter your mobile number.")
    assert tab.focused == "mobile"
    tab("#mobile").fill("12345")
    tab("#mobile").press("Enter")
    tab.says("#code-message", re.compile(r"Enter a mobile number from China \(\+86\), for example 138 0013 8000\.$"))
    tab.by("password")
    tab(".password-way .main.button").click()
    tab.says("#password-message", "Enter your username or mobile number.")
    tab("#username").fill("alice")
    tab("#username").press("Enter")
    tab.says("#password-message", "Enter your password.")
    assert tab.focused == "password"


def test_that_the_server_did_not_answer_is_said_while_it_is_true(visit: Callable[..., Visitor], stack: Stack) -> None:
    visitor = visit(stack)
    visitor.expects_outage()
    tab = visitor.open()
    tab.page.route("**/code/", lambda route: route.abort())
    tab("#mobile").fill(number())
    tab("#mobile").press("Enter")
    tab.says("#trouble", re.compile("couldn't reach the server"))
    tab.page.unroute("**/code/")
    # The server's next sign of life, once there was time to read it.
    tab.says("#trouble", "")


def test_a_tab_in_the_background_says_in_its_title_what_has_happened(
    visit: Callable[..., Visitor], stack: Stack
) -> None:
    visitor = visit(stack)
    tab, home = visitor.open(), visitor.open("/")
    before = home.page.title()
    assert "Sent" not in before + tab.page.title()
    mobile = number()
    tab.ask(mobile)
    tab.shows("sent", 1)
    expect(tab.page).to_have_title(re.compile("^Sent · Sign in"))
    expect(home.page).to_have_title(f"Sent · {before}")
    tab.enter(stack.phone.code_for(mobile))
    tab.page.wait_for_url(f"{stack.url}/")
    expect(home.page).to_have_title(f"Signed in · {before}")


# --- The number's country ---


def test_the_country_s_code_stands_before_the_number_unless_it_is_typed(
    visit: Callable[..., Visitor], stack: Stack
) -> None:
    tab = visit(stack, viewport={"width": 390, "height": 844}).open()
    tab.says("#country", "+86")
    field, card = tab("#mobile").bounding_box(), tab(".ways").bounding_box()
    assert field
    assert card
    assert field["width"] > 0.6 * card["width"], "a number needs room"
    tab("#mobile").fill("+86 138 0013 8000")
    expect(tab("#country")).to_be_hidden()
    tab("#mobile").fill("138 0013 8000")
    expect(tab("#country")).to_be_visible()


def test_a_number_with_its_code_chooses_the_country(
    make_stack: Callable[..., Stack], visit: Callable[..., Visitor]
) -> None:
    site = make_stack(SMS_REGIONS="CN,GB,US,CA")
    visitor = visit(site, permissions=["clipboard-read", "clipboard-write"])
    visitor.expects("status of 422")
    tab = visitor.open()
    options = tab("#region option").all_inner_texts()
    assert options[1:] == ["China +86", "United Kingdom +44", "United States +1", "Canada +1"]
    tab.page.evaluate("navigator.clipboard.writeText('+44 7400 123456')")
    tab("#mobile").focus()
    tab.page.keyboard.press("ControlOrMeta+V")
    expect(tab("#region")).to_have_value("GB")
    # One of two countries with the same code, chosen by hand, stays.
    tab("#region").select_option("CA")
    tab("#mobile").fill("+1 613 555 0123")
    expect(tab("#region")).to_have_value("CA")
    tab("#mobile").fill("12345")
    tab("#mobile").press("Enter")
    tab.says("#code-message", re.compile(r"China \(\+86\), United Kingdom \(\+44\), United States \(\+1\) or Canada"))
    tab("#region").select_option("GB")
    tab("#mobile").fill("07400 123456")
    tab("#mobile").press("Enter")
    tab.shows("sent", 1)
    expect(tab("#delivery .number")).to_have_text(re.compile(r"^\+44 740"))


# --- Fingers ---


@pytest.mark.parametrize("path", ["/login/", "/"])
def test_what_is_tapped_is_large_enough_for_a_finger(visit: Callable[..., Visitor], stack: Stack, path: str) -> None:
    """WCAG 2.2, 2.5.5: 44 px. Links within a sentence are excepted."""
    tab = visit(stack, viewport={"width": 390, "height": 844}).open(path)
    small = """() => [...document.querySelectorAll("button, select, a, label.tick, .switch label, input")]
        .filter((each) => each.getClientRects().length && !each.matches("p > a:not(:only-child), .skip, label > input"))
        .map((each) => [each.outerHTML.slice(0, 80), each.getBoundingClientRect().height])
        .filter(([, height]) => height < 44 && height > 2)"""
    assert tab.page.evaluate(small) == []
    if path == "/login/":
        tab.by("password")
        assert tab.page.evaluate(small) == []
        tab.login("alice", PASSWORD)
        tab.page.wait_for_url(f"{stack.url}/")
        tab.go("/password/")
        assert tab.page.evaluate(small) == []
        tab.go("/login/?again=1")
        tab.ask(number())
        tab.shows("sent", 1)
        assert tab.page.evaluate(small) == []
