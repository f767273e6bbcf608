"""The code's one field under a person's hands: pasted, typed, mended, sent once; and the way back."""

from __future__ import annotations

import re
import signal
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.support.numbers import number
from tests.support.stack import Stack, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Route

    from tests.browser.window import Tab, Visitor

pytestmark = pytest.mark.browser

# Longer than any test takes: none waits for its end.
COOLDOWN = 60

# The browser's side of WebOTP, which no desktop has: what is asked of it is written down, and the test answers.
WEB_OTP = """
if (navigator.credentials) window.OTPCredential = class {};
window.asked = [];
if (navigator.credentials) navigator.credentials.get = ({ otp, signal }) => new Promise((resolve, reject) => {
  const call = { transport: otp.transport, over: "", resolve, reject };
  window.asked.push(call);
  signal.addEventListener("abort", () => {
    call.over = "aborted";
    reject(new DOMException("aborted", "AbortError"));
  });
});
"""


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A site where another code may be asked for after a while."""
    with Stack(tmp_path_factory.mktemp("site"), SMS_COOLDOWN=str(COOLDOWN)) as stack:
        yield stack


class Posts:
    """What a tab has posted to the code's address, and what goes with the next."""

    def __init__(self, tab: Tab, path: str = "/login/code/") -> None:
        """Listen."""
        self.bodies: list[str] = []
        tab.page.on(
            "request",
            lambda r: self.bodies.append(r.post_data or "") if r.method == "POST" and r.url.endswith(path) else None,
        )

    @property
    def codes(self) -> list[str]:
        """The codes, as they were sent."""
        return [match[1] for body in self.bodies if (match := re.search(r"(?:^|&)code=([^&]*)", body))]


def asked(visit: Callable[..., Visitor], stack: Stack, **options: object) -> tuple[Visitor, Tab, str]:
    """Return a visitor who has asked for a code, the tab, and the code."""
    visitor = visit(stack, **options)
    visitor.expects("status of 422")
    tab = visitor.open()
    mobile = number()
    tab.ask(mobile)
    tab.shows("sent", 1)
    return visitor, tab, stack.phone.code_for(mobile)


def wrong(code: str, by: int = 1) -> str:
    """Return another code."""
    return f"{(int(code) + by) % 1_000_000:06}"


def wide(digits: str) -> str:
    """Return digits in full width, as a Chinese keyboard writes them."""
    return digits.translate({ord(str(n)): chr(0xFF10 + n) for n in range(10)})


def paste(tab: Tab, text: str) -> None:
    """Paste a text into the code's field as a person does."""
    tab.page.evaluate("text => navigator.clipboard.writeText(text)", text)
    tab("#code").focus()
    tab.page.keyboard.press("ControlOrMeta+V")


def is_in(tab: Tab, stack: Stack) -> None:
    """Wait until the code has signed the visitor in."""
    tab.page.wait_for_url(f"{stack.url}/")
    tab.user(re.compile(".+"))


def settled(tab: Tab) -> None:
    """Let pass what the page would do of itself by now."""
    tab.page.evaluate("() => new Promise((done) => setTimeout(done, 250))")


# --- Pasted ---


@pytest.mark.parametrize(
    "written",
    [
        *("{a} {b}", "{a}-{b}", "wide", " {a}{b}\n", "sms", "{a}\u00a0{b}", "\u200b{a}\u2013{b}"),
        *("{a}{b}{a}{b}", "\u202d{a}\u2212{b}\u202c", "arabic"),
    ],
)
def test_a_code_as_people_copy_it_signs_in_by_itself(visit: Callable[..., Visitor], stack: Stack, written: str) -> None:
    visitor, tab, code = asked(visit, stack, permissions=["clipboard-read", "clipboard-write"])
    posts = Posts(tab)
    sms = next(m.text for m in stack.phone.messages if m.code == code)
    arabic = code.translate(str.maketrans("0123456789", "٠١٢٣٤٥٦٧٨٩"))
    text = {"wide": wide(code), "sms": sms, "arabic": arabic}.get(written) or written.format(a=code[:3], b=code[3:])
    seen: list[str] = []

    def look(route: Route) -> None:
        seen.append(tab("#code").input_value())
        route.continue_()

    tab.page.route("**/login/code/", look)
    paste(tab, text)
    is_in(tab, stack)
    assert seen == posts.codes == [code], "what is seen is what goes"
    assert visitor.cookies["sessionid"]["expires"] == -1


def test_a_text_with_two_codes_or_none_is_left_to_the_visitor(visit: Callable[..., Visitor], stack: Stack) -> None:
    _, tab, code = asked(visit, stack, permissions=["clipboard-read", "clipboard-write"])
    posts = Posts(tab)
    for text in (f"{code} {wrong(code)}", "138 0013 8000", "12345", "1234567", "no code"):
        tab("#code").fill("")
        paste(tab, text)
        expect(tab("#code")).not_to_have_value("")
        settled(tab)
    assert posts.codes == []
    tab("#code").fill("")
    paste(tab, f"On 2026-11-22 at 138 0013 8000: {code}.")
    is_in(tab, stack)
    assert posts.codes == [code]


# --- Typed ---


def test_the_last_digit_signs_in_and_what_was_ticked_before_counts(visit: Callable[..., Visitor], stack: Stack) -> None:
    visitor, tab, code = asked(visit, stack)
    posts = Posts(tab)
    expect(tab("#by-itself")).to_be_visible()
    assert "by-itself" in (tab("#code").get_attribute("aria-describedby") or "")
    tab(".verify [name=remembered]").check()
    tab("#code").focus()
    tab.page.keyboard.type(f"{code[:3]} {code[3:5]}")
    expect(tab("#code")).to_have_value(code[:5])
    settled(tab)
    assert posts.codes == []
    # As a Chinese keyboard writes it.
    tab.page.keyboard.insert_text(wide(code[5]))
    is_in(tab, stack)
    assert len(posts.bodies) == 1
    assert "remembered=on" in posts.bodies[0]
    assert visitor.cookies["sessionid"]["expires"] > 0


def test_enter_at_the_same_moment_sends_nothing_more(visit: Callable[..., Visitor], stack: Stack) -> None:
    _, tab, code = asked(visit, stack)
    posts = Posts(tab)

    def hold(route: Route) -> None:
        answer = route.fetch()
        tab.page.wait_for_timeout(500)
        route.fulfill(response=answer)

    # A slow answer, while somebody presses on.
    tab.page.route("**/login/code/", hold)
    tab("#code").focus()
    tab.page.keyboard.type(wrong(code))
    for _ in range(3):
        tab.page.keyboard.press("Enter")
    tab(".verify .main.button").click()
    tab.says("#verify-message", re.compile("Incorrect code. 4 attempts left"))
    tab.page.keyboard.press("Enter")
    tab("#code").press("Enter")
    tab(".verify .main.button").click()
    settled(tab)
    assert posts.codes == [wrong(code)], "a wrong code is no less wrong the second time, and costs no second try"
    tab.says("#verify-message", re.compile("Incorrect code. 4 attempts left"))


def test_a_wrong_code_is_selected_and_the_next_whole_one_goes_by_itself(
    visit: Callable[..., Visitor], stack: Stack
) -> None:
    _, tab, code = asked(visit, stack)
    posts = Posts(tab)
    tab("#code").focus()
    tab.page.keyboard.type(wrong(code))
    tab.says("#verify-message", re.compile("Incorrect code. 4 attempts left"))
    assert tab.focused == "code"
    # Typed over: it was selected. The same digits again are not sent again.
    tab.page.keyboard.type(wrong(code))
    expect(tab("#code")).to_have_value(wrong(code))
    settled(tab)
    assert posts.codes == [wrong(code)]
    tab.page.keyboard.press("ControlOrMeta+A")
    tab.page.keyboard.type(code)
    is_in(tab, stack)
    assert posts.codes == [wrong(code), code]


def test_who_mends_a_digit_in_the_middle_sends_it_when_ready(visit: Callable[..., Visitor], stack: Stack) -> None:
    _, tab, code = asked(visit, stack)
    posts = Posts(tab)
    tab("#code").focus()
    tab.page.keyboard.type(code[:2] + code[3:])
    for _ in range(3):
        tab.page.keyboard.press("ArrowLeft")
    tab.page.keyboard.type(code[2])
    expect(tab("#code")).to_have_value(code)
    # One digit too many, and away again.
    tab.page.keyboard.press("End")
    tab.page.keyboard.type("7")
    tab.page.keyboard.press("Backspace")
    expect(tab("#code")).to_have_value(code)
    settled(tab)
    assert posts.codes == []
    assert tab.page.evaluate("document.querySelector('#code').selectionStart") == 6
    tab.page.keyboard.press("Enter")
    is_in(tab, stack)
    assert posts.codes == [code]


def test_what_was_not_looked_at_may_be_sent_again(visit: Callable[..., Visitor], stack: Stack) -> None:
    visitor, tab, code = asked(visit, stack)
    visitor.expects_outage()
    posts = Posts(tab)
    tab.page.route("**/login/code/", lambda route: route.abort())
    tab("#code").focus()
    tab.page.keyboard.type(code)
    expect(tab("#trouble")).not_to_be_empty()
    tab.page.unroute("**/login/code/")
    tab.page.keyboard.press("Enter")
    is_in(tab, stack)
    assert posts.codes == [code, code]


# --- Where the keyboard is ---


def test_the_keyboard_goes_to_the_code_unless_somebody_uses_it(visit: Callable[..., Visitor], stack: Stack) -> None:
    visitor = visit(stack)
    tab, other = visitor.open(), visitor.open()
    tab("#mobile").fill(number())
    tab(".ask .button").click()
    expect(tab("#code")).to_be_focused()
    tab.shows("sent", 1)
    tab("#code").press_sequentially("12")
    settled(tab)
    assert (tab.focused, tab("#code").input_value()) == ("code", "12"), "no push takes it away"

    # The other tab, where nobody asked, is left alone.
    settled(other)
    assert other.focused == "BODY"


# --- Straight from the SMS ---


def test_a_browser_that_reads_the_sms_fills_it_in_and_signs_in(visit: Callable[..., Visitor], stack: Stack) -> None:
    visitor = visit(stack)
    visitor.context.add_init_script(WEB_OTP)
    tab = visitor.open()
    settled(tab)
    assert tab.page.evaluate("asked.length") == 0, "nothing was asked for, so nothing is listened for"
    mobile = number()
    tab.ask(mobile)
    tab.shows("sent", 1)
    assert tab.page.evaluate("asked.map(({ transport, over }) => [transport, over])") == [[["sms"], ""]]
    posts = Posts(tab)
    code = stack.phone.code_for(mobile)
    tab.page.evaluate("code => asked[0].resolve({ code })", code)
    is_in(tab, stack)
    assert posts.codes == [code]


def test_who_refuses_it_is_not_asked_again_and_types(visit: Callable[..., Visitor], stack: Stack) -> None:
    visitor = visit(stack)
    visitor.context.add_init_script(WEB_OTP)
    tab = visitor.open()
    mobile = number()
    tab.ask(mobile)
    tab.shows("sent", 1)
    tab.page.evaluate("asked[0].reject(new DOMException('no', 'NotAllowedError'))")
    settled(tab)
    assert tab.page.evaluate("asked.length") == 1
    # A page that is loaded anew may offer it again.
    tab.page.reload()
    tab.is_live()
    assert tab.page.evaluate("asked.length") == 1
    # And it is over as soon as it is of no use: the number was wrong, or the code has been used.
    tab(".withdraw button").click()
    tab.shows("")
    assert tab.page.evaluate("asked.map(({ over }) => over)") == ["aborted"]
    mobile = number()
    tab.ask(mobile)
    tab.shows("sent", 1)
    assert tab.page.evaluate("asked.map(({ over }) => over)") == ["aborted", ""]
    other = visitor.open()
    other.enter(stack.phone.code_for(mobile))
    tab.user(re.compile(".+"))
    assert tab.page.evaluate("asked.at(-1).over") == "aborted"


# --- A wrong number ---


def test_a_wrong_number_is_taken_back_and_the_right_one_asked_for_at_once(
    visit: Callable[..., Visitor], stack: Stack
) -> None:
    visitor = visit(stack)
    tab, other = visitor.open(), visitor.open()
    wrong_one, right = number(), number()
    expect(tab(".withdraw")).to_be_hidden()
    # A worker that is busy elsewhere: it is not too late.
    stack.hang(stack.workers[0])
    try:
        tab.ask(wrong_one)
        tab.shows("queued", 0)
        other.button_waits()
        tab("#code").fill("12")
        visitor.shot(tab, "wrong-number-before")
        tab(".withdraw button").click()
        for each in (tab, other):
            each.shows("")
            each.button_is_free()
            assert each.seconds == 0
            expect(each(".verify")).to_be_hidden()
            expect(each(".withdraw")).to_be_hidden()
    finally:
        stack.workers[0].signal(signal.SIGCONT)
    tab.says(
        "#code-message",
        f"Nothing will be sent to {wrong_one[:3]} **** {wrong_one[-4:]}. Enter the correct number.",
    )
    assert tab.focused == "mobile"
    assert tab("#mobile").input_value() == wrong_one
    assert tab.page.evaluate("getSelection().toString()") == wrong_one, "to be typed over"
    expect(tab("#mobile")).not_to_have_attribute("aria-invalid", "true")
    visitor.shot(tab, "wrong-number-after")
    tab.page.keyboard.type(right)
    tab.page.keyboard.press("Enter")
    tab.shows("sent", 1)
    other.shows("sent", 1)
    assert tab("#code").input_value() == ""
    tab.enter(stack.phone.code_for(right))
    is_in(tab, stack)
    assert [m.to for m in stack.phone.messages].count(f"+86{wrong_one}") == 0


def test_a_page_that_is_loaded_anew_after_it_is_fresh(visit: Callable[..., Visitor], stack: Stack) -> None:
    visitor, tab, code = asked(visit, stack)
    visitor.expects("status of 429")
    mobile = tab("#mobile").input_value()
    tab(".withdraw button").click()
    tab.says("#code-message", re.compile("may still reach .* won't work"))
    tab.page.reload()
    tab.is_live()
    tab.shows("")
    # To be corrected.
    assert (tab.seconds, tab("#mobile").input_value()) == (0, mobile)
    expect(tab(".verify")).to_be_hidden()
    # The number is not to be flooded: it has its cooldown still, and the page counts.
    tab(".ask .button").click()
    tab.says("#code-message", "We've just sent a code. You can request another when the timer ends.")
    tab.button_waits()
    visitor.shot(tab, "wrong-number-429")
    with tab.page.expect_response("**/login/") as answer:
        tab.page.reload()
    found = re.search(r'id="countdown"[^>]* data-seconds="(\d+)"', answer.value.text())
    assert found
    assert 0 < int(found[1]) <= COOLDOWN
    tab.is_live()
    tab.button_waits()
    tab.counts(tab.seconds - 1)
    # Nobody has to sit it out for another number.
    tab(".withdraw button").click()
    tab.button_is_free()
    right = number()
    tab.ask(right)
    tab.shows("sent", 1)
    assert stack.phone.code_for(mobile) == code, "one SMS"


def test_a_tab_that_has_not_heard_takes_nothing_newer_back(visit: Callable[..., Visitor], stack: Stack) -> None:
    visitor, tab, _ = asked(visit, stack)
    tab.page.route_web_socket("**/ws/", lambda ws: ws.close())
    behind = visitor.open(live=False)
    behind.page.route("**/state/", lambda route: route.abort())
    visitor.expects_outage()
    behind.page.route_web_socket("**/ws/", lambda ws: ws.close())
    behind.page.reload()
    behind.shows("sent", 1)
    tab(".withdraw button").click()
    tab.shows("")
    mobile = number()
    tab.ask(mobile)
    tab.shows("sent", 1)
    behind(".withdraw button").click()
    shown = f"{mobile[:3]} **** {mobile[-4:]}"
    expect(behind("#delivery .number")).to_have_text(shown)
    tab.enter(stack.phone.code_for(mobile))
    is_in(tab, stack)


def test_without_a_script_it_is_a_button_and_a_page(visit: Callable[..., Visitor], stack: Stack) -> None:
    visitor = visit(stack, java_script_enabled=False, viewport={"width": 390, "height": 844})
    tab = visitor.open("/login/?next=/dev/queue/", live=False)
    mobile, right = number(), number()
    tab("label:has(#by-code)").click()
    tab.ask(mobile)
    expect(tab("#by-itself")).to_be_hidden()
    visitor.shot(tab, "no-script-wrong-number-before")
    tab(".withdraw button").click()
    tab.says("#code-message", re.compile("Enter the correct number"))
    tab.shows("")
    assert tab.seconds == 0
    assert tab("#mobile").input_value() == mobile
    # The browser's own autofocus, some time after the words.
    expect(tab("#mobile")).to_be_focused()
    visitor.shot(tab, "no-script-wrong-number-after")
    tab.ask(right)
    stack.wait_for_state("sent")
    tab(".travel .unscripted button").click()
    tab("#code").fill(f"{(code := stack.phone.code_for(right))[:3]}-{code[3:]}")
    tab(".verify .main.button").click()
    tab.page.wait_for_url(f"{stack.url}/dev/queue/")


# --- A page that is loaded anew, and words that stay true ---


def test_the_page_of_a_code_is_the_same_when_it_is_loaded_anew(visit: Callable[..., Visitor], stack: Stack) -> None:
    _, tab, code = asked(visit, stack)
    shown = tab("#delivery .number").text_content()
    for _ in range(2):
        tab.page.reload()
        tab.is_live()
        tab.shows("sent", 1)
        expect(tab(".verify")).to_be_visible()
        expect(tab(".withdraw")).to_be_visible()
        assert tab("#delivery .number").text_content() == shown
        assert 0 < tab.seconds <= COOLDOWN
    tab.enter(code)
    is_in(tab, stack)


def test_a_wait_for_somebody_else_s_number_outlives_a_reload(visit: Callable[..., Visitor], stack: Stack) -> None:
    mobile = number()
    visit(stack).open().ask(mobile)
    visitor = visit(stack)
    visitor.expects("status of 429")
    tab = visitor.open()
    wait_until(lambda: stack.phone.code_for(mobile))
    tab.ask(mobile)
    tab.button_waits()
    for _ in range(2):
        tab.page.reload()
        tab.is_live()
        tab.button_waits()
        assert 0 < tab.seconds <= COOLDOWN
        tab.shows("")


def test_a_sentence_about_a_wait_says_when_it_is_over(
    make_stack: Callable[..., Stack], visit: Callable[..., Visitor]
) -> None:
    site = make_stack(SMS_COOLDOWN="6")
    mobile = number()
    visitor = visit(site)
    visitor.expects("status of 429")
    tab, person = visitor.open(), site.person()
    # Nothing slow between the two: the page was opened before, and so was the person's, for its token.
    assert person.token
    person.ask(mobile)
    tab.ask(mobile)
    tab.says("#code-message", re.compile("when the timer ends"))
    assert not re.search(r"\d", tab("#code-message").text_content() or "")
    tab.says("#code-message", "You can try again now.")
    tab.button_is_free()
    tab(".ask .button").click()
    tab.shows("sent", 1)
    tab.says("#code-message", "")


def test_too_many_wrong_passwords_name_no_seconds(
    make_stack: Callable[..., Stack], visit: Callable[..., Visitor]
) -> None:
    site = make_stack(PASSWORD_TRIES="3")
    visitor = visit(site)
    visitor.expects("status of 4(22|29)")
    tab = visitor.open()
    tab.login("nobody", "not the password")
    tab.says("#password-message", re.compile("2 attempts left before sign-in is paused"))
    for words in ("1 attempt left before sign-in is paused", "Try again in less than a minute"):
        tab("#password").press("Enter")
        tab.says("#password-message", re.compile(words))
    tab("#password").press("Enter")
    tab.says("#password-message", re.compile("Too many incorrect passwords. Try again in less than a minute"))
    assert float(tab("#password-message").get_attribute("data-seconds") or 0) <= 30


# --- How it looks ---


@pytest.mark.parametrize("locale", ["en-US", "zh-CN"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_pictures(visit: Callable[..., Visitor], stack: Stack, locale: str, scheme: str, width: int) -> None:
    visitor = visit(stack, locale=locale, color_scheme=scheme, viewport={"width": width, "height": 844})
    visitor.expects("status of 4(22|29)")
    name = f"{locale[:2]}-{scheme}-{width}"
    tab = visitor.open()
    if width < 768:
        tab("label:has(#by-code)").click()
    mobile = number()
    tab.ask(mobile)
    tab.shows("sent", 1)
    visitor.shot(tab, f"code-asked-{name}")
    tab("#code").fill(wrong(stack.phone.code_for(mobile)))
    expect(tab("#verify-message")).not_to_be_empty()
    visitor.shot(tab, f"code-wrong-{name}")
    tab(".withdraw button").click()
    tab.shows("")
    expect(tab("#code-message")).to_contain_text(f"{mobile[:3]} **** {mobile[-4:]}")
    visitor.shot(tab, f"code-withdrawn-{name}")
    tab(".ask .button").click()
    tab.button_waits()
    expect(tab(".withdraw")).to_be_visible()
    visitor.shot(tab, f"code-429-{name}")
    assert tab.page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "no sideways scroll"
