"""A wrong number is taken back: nothing is sent any more, no code is open, and nobody is flooded by it."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

from tests.support.numbers import number
from tests.support.person import leaves
from tests.support.provider import Provider
from tests.support.stack import Stack, wait_until
from tests.support.together import tabs, together

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import httpx

    from tests.support.person import Person

NOTHING = {"state": None, "attempt": 0, "seconds": 0}


@pytest.fixture(scope="module")
def carrier() -> Iterator[Provider]:
    """The carrier that the file's second site sends through."""
    with Provider() as provider:
        yield provider


@pytest.fixture(scope="module")
def carried(carrier: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A site that sends through the carrier."""
    with Stack(tmp_path_factory.mktemp("carried"), provider=carrier) as stack:
        yield stack


def withdraw(person: Person, **fields: str) -> httpx.Response:
    """Press "Wrong number?", as a program."""
    return person.post("/code/withdraw/", **fields)


def state_of(person: Person) -> dict[str, object]:
    """What the site says of the browser's request."""
    return {name: value for name, value in person.state.items() if name in NOTHING}


def rows_of(stack: Stack, mobile: str) -> list[dict[str, object]]:
    """Every row of a number, oldest first."""
    return [row for row in stack.deliveries() if row["mobile"] == f"+86{mobile}"]


def test_what_has_not_left_is_not_sent(stack: Stack) -> None:
    person, wrong, right = stack.person(), number(), number()
    stack.hang(stack.workers[0])
    try:
        person.ask(wrong)
        answer = withdraw(person)
        assert answer.status_code == 200
        assert answer.json() == {"code": "OK", "errmsg": "", **NOTHING}
        assert state_of(person) == NOTHING
        assert person.ask(right).status_code == 202, "another number needs no waiting"
    finally:
        stack.workers[0].signal(signal.SIGCONT)
    assert stack.phone.code_for(right), "the worker is at work again, or the rest means nothing"
    [row] = rows_of(stack, wrong)
    assert (row["state"], row["attempts"]) == ("superseded", 0)
    assert [m.to for m in stack.phone.messages].count(f"+86{wrong}") == 0


def test_what_waits_for_another_attempt_is_not_tried_again(carried: Stack, carrier: Provider) -> None:
    carrier.clear()
    carrier.script("busy")
    person, mobile = carried.person(), number()
    person.ask(mobile)
    carried.wait_for_state("retrying")
    withdraw(person)
    [row] = rows_of(carried, mobile)
    assert (row["state"], row["attempts"]) == ("superseded", 1)
    # Rung for once more, as by a lost bell that is found, a worker leaves it alone.
    carried.manage("shell", "-v0", "-c", f"from tasks.sms import send_sms_code as s; s.call_local({row['id']!r})")
    assert rows_of(carried, mobile)[0]["attempts"] == 1
    assert carrier.sent == []


def test_what_may_have_left_is_not_said_to_have_stayed(make_stack: Callable[..., Stack], provider: Provider) -> None:
    stack = make_stack(provider=provider, SMS_AMBIGUOUS="resend")
    provider.script("accept_then_hang")
    person, mobile = stack.person(), number()
    person.ask(mobile)
    stack.wait_for_state("retrying")
    reply = person.htmx("/code/withdraw/")
    assert "may still reach" in leaves(reply.text)["code-message"]["text"]
    [row] = rows_of(stack, mobile)
    assert row["state"] == "unknown"


def test_its_code_opens_nothing_any_more(stack: Stack) -> None:
    person, mobile = stack.person(), number()
    person.ask(mobile)
    code = stack.phone.code_for(mobile)
    wait_until(lambda: person.state["state"] == "sent")
    reply = person.htmx("/code/withdraw/")
    shown = leaves(reply.text)
    assert shown["delivery"]["data-state"] == ""
    assert shown["countdown"]["data-seconds"] == "0"
    assert f"{mobile[:3]} **** {mobile[-4:]}" in shown["code-message"]["text"]
    assert mobile not in reply.text
    for guess in (code, f"{(int(code) + 1) % 1_000_000:06}"):
        answer = person.enter(guess)
        assert (answer.status_code, answer.json()["code"]) == (422, "SMS_CODE_EXPIRED")
    assert person.username == ""
    assert rows_of(stack, mobile)[0]["guesses"] == 0, "nobody's tries are used up"


def test_the_number_keeps_its_cooldown_and_every_limit_counts(make_stack: Callable[..., Stack]) -> None:
    """T-5: asking and taking back in turn floods neither one number nor many."""
    stack = make_stack(SMS_PER_IP_HOUR="3")
    person, mobile = stack.person(), number()
    assert person.ask(mobile).status_code == 202
    withdraw(person)
    again = person.ask(mobile)
    assert (again.status_code, again.json()["code"]) == (429, "SMS_TOO_FREQUENT")
    assert again.json()["state"] is None
    assert 0 < again.json()["seconds"] <= 60
    assert stack.person().ask(mobile).status_code == 429, "nor does anybody else get round it"
    for _ in range(2):
        assert person.ask(number()).status_code == 202
        withdraw(person)
    limited = person.ask(number())
    assert (limited.status_code, limited.json()["code"]) == (429, "SMS_LIMIT")
    # And the cooldown is in the row, should Redis forget.
    stack.empty_valkey()
    wait_until(lambda: person.ask(mobile).status_code != 503)
    assert person.ask(mobile).status_code == 429
    assert len(rows_of(stack, mobile)) == 1


def test_pressed_twice_or_for_nothing_it_does_nothing_more(stack: Stack) -> None:
    stranger = stack.person()
    assert withdraw(stranger).json() == {"code": "OK", "errmsg": "", **NOTHING}
    person, mobile = stack.person(), number()
    person.ask(mobile)
    stack.phone.code_for(mobile)
    # Its row says so a moment after the phone has it, and nothing else moves it here.
    wait_until(lambda: rows_of(stack, mobile)[0]["state"] == "sent")
    answers = together([lambda tab=tab: withdraw(tab) for tab in tabs(stack, person, 8)])  # type: ignore[misc]
    assert {answer.status_code for answer in answers} == {200}
    first = rows_of(stack, mobile)
    assert withdraw(person).json() == {"code": "OK", "errmsg": "", **NOTHING}
    assert rows_of(stack, mobile) == first, "the first moment stands"
    assert leaves(person.htmx("/code/withdraw/").text)["code-message"]["text"] == ""


def test_who_has_signed_in_with_it_takes_nothing_back(stack: Stack) -> None:
    person, mobile = stack.person(), number()
    person.ask(mobile)
    assert person.enter(stack.phone.code_for(mobile)).status_code == 200
    assert withdraw(person).status_code == 200
    assert rows_of(stack, mobile)[0]["withdrawn_at"] is None
    assert person.username


def test_who_has_signed_in_is_not_shown_what_they_requested_before(stack: Stack) -> None:
    """A mistyped number: its request would come back with the sign-in, for up to an hour."""
    person, mistyped, mobile = stack.person(), number(), number()
    for each in (mistyped, mobile):
        assert person.ask(each).status_code == 202
        code = stack.phone.code_for(each)
    tab = person.open()
    tab.wait_for("delivery", state="sent")
    assert person.enter(code).status_code == 200
    assert person.state["state"] is None
    for page in (person.get("/login/"), person.get("/")):
        shown = leaves(page.text).get("delivery", {})
        assert shown.get("data-state", "") == ""
        assert mistyped[-4:] not in page.text
    fresh = person.open()
    fresh.wait_for("account", user=person.username)
    assert fresh.leaves["delivery"]["data-state"] == ""
    assert [state for page in (tab, fresh) for state, _ in page.history if state] == ["sent"]


def test_a_request_under_way_is_shown_after_a_sign_in_by_password(stack: Stack) -> None:
    """Only what is older than a used code stays behind."""
    stack.user("ann-moves", password="correct horse battery")
    person = stack.person()
    person.ask(number())
    assert person.login("ann-moves", "correct horse battery").status_code == 200
    assert person.state["state"] in {"queued", "sending", "sent"}


def test_a_page_that_is_behind_takes_nothing_newer_back(stack: Stack) -> None:
    person, old, new = stack.person(), number(), number()
    person.ask(old)
    person.ask(new)
    wait_until(lambda: rows_of(stack, new)[0]["state"] == "sent")
    masked = f"{old[:3]} **** {old[-4:]}"
    assert masked != f"{new[:3]} **** {new[-4:]}", "or this test means nothing"
    for behind in (masked, old, f"+86{old}", "\x00", "x" * 5000):
        answer = withdraw(person, number=behind)
        assert (answer.status_code, answer.json()["state"]) == (200, person.state["state"])
    assert rows_of(stack, new)[0]["withdrawn_at"] is None
    assert withdraw(person, number=f"86-{new}").json()["state"] is None
    assert rows_of(stack, new)[0]["withdrawn_at"]


def test_nobody_takes_back_what_another_browser_asked_for(stack: Stack) -> None:
    person, other, mobile = stack.person(), stack.person(), number()
    person.ask(mobile)
    code = stack.phone.code_for(mobile)
    assert withdraw(other, number=mobile).status_code == 200
    assert person.enter(code).status_code == 200


def test_every_tab_goes_back_and_a_new_page_is_fresh(stack: Stack) -> None:
    person, mobile = stack.person(), number()
    page, other = person.open(), person.open()
    person.ask(mobile)
    for tab in (page, other):
        tab.wait_for("delivery", state="sent")
    withdraw(person)
    for tab in (page, other):
        tab.wait_for("delivery", state="")
        tab.wait_for("countdown", seconds="0")
        assert [frame for frame in tab.drain(1.5) if 'id="countdown"' in frame] == [], "it counts no further"
    fresh = leaves(person.get().text)
    assert (fresh["delivery"]["data-state"], fresh["countdown"]["data-seconds"]) == ("", "0")
    late = person.open()
    assert late.wait_for("delivery")["data-state"] == ""


def test_a_wait_that_no_row_tells_of_outlives_a_reload_until_it_is_taken_back(stack: Stack) -> None:
    mobile, fine = number(), number()
    stack.person().ask(mobile)
    person = stack.person()
    page = person.open()
    page.wait_for("countdown", seconds="0")
    refused = person.htmx("/code/", mobile=mobile)
    assert refused.status_code == 429
    assert "wait" in person.http.cookies
    assert mobile not in person.http.cookies["wait"]
    wait_until(lambda: (page.receive(2), int(page.leaves["countdown"]["data-seconds"]) > 0)[1])
    fresh = leaves(person.get().text)["countdown"]
    assert 0 < int(fresh["data-seconds"]) <= 60
    assert 0 < person.state["seconds"] <= 60
    late = person.open()
    assert 0 < int(late.wait_for("countdown")["data-seconds"]) <= 60

    withdraw(person)
    assert "wait" not in person.http.cookies
    for tab in (page, late):
        tab.wait_for("countdown", seconds="0")
    assert leaves(person.get().text)["countdown"]["data-seconds"] == "0"

    # Whoever gets another code meanwhile waits for that one only.
    assert person.ask(mobile).status_code == 429
    assert "wait" in person.http.cookies
    assert person.ask(fine).status_code == 202
    assert "wait" not in person.http.cookies


def test_a_wait_that_was_told_is_no_window_onto_the_number(make_stack: Callable[..., Stack]) -> None:
    """T-100: the cookie ends with the wait, and is for the browser that was told: kept or copied it shows nothing."""
    stack = make_stack(SMS_COOLDOWN="3")
    mobile, owner, curious = number(), stack.person(), stack.person()
    assert owner.ask(mobile).status_code == 202
    assert curious.ask(mobile).status_code == 429
    kept = curious.http.cookies["wait"]
    assert curious.state["seconds"] > 0, "or this test means nothing"
    other = stack.person()
    other.get()
    other.http.cookies.set("wait", kept)
    assert other.state["seconds"] == 0, "another browser"
    wait_until(lambda: owner.ask(mobile).status_code == 202, 10)
    curious.http.cookies.set("wait", kept)
    # The owner waits for three seconds more.
    wait_until(lambda: curious.state["seconds"] == 0, 1, "somebody has asked again, and this wait is over")


@pytest.mark.parametrize(
    "cookie",
    [
        "",
        "x",
        "latchkey:cooldown:",
        f"latchkey:cooldown:{'0' * 32}",
        f"latchkey:cooldown:{'0' * 33}",
        "latchkey:counted:warm",
        "\u00e9",
    ],
)
def test_a_strange_cookie_counts_nothing_down(stack: Stack, cookie: str) -> None:
    person = stack.person()
    person.get()
    headers = {"Cookie": f"wait={cookie}; sessionid={person.http.cookies['sessionid']}".encode()}
    answer = person.http.get("/login/", headers={b"Accept": b"text/html", b"Cookie": headers["Cookie"]})
    assert (answer.status_code, leaves(answer.text)["countdown"]["data-seconds"]) == (200, "0")


def test_without_redis_a_request_is_taken_back_and_no_page_breaks(make_stack: Callable[..., Stack]) -> None:
    stack = make_stack()
    person, mobile, other = stack.person(), number(), number()
    stack.person().ask(other)
    assert person.ask(other).status_code == 429
    person.ask(mobile)
    code = stack.phone.code_for(mobile)
    person.http.cookies.set("wait", f"latchkey:cooldown:{'0' * 32}")
    stack.kill_valkey()
    assert person.get().status_code == 200
    assert withdraw(person).json()["state"] is None
    stack.start_valkey()
    assert person.enter(code).json()["code"] in {"SMS_CODE_EXPIRED", "UNAVAILABLE"}
    assert person.username == ""


def test_it_is_a_form_like_the_others(stack: Stack) -> None:
    """T-45: no token, no change; and a page without a script gets a page, in its language."""
    person, mobile = stack.person(language="zh-CN"), number()
    person.page("/code/", mobile=mobile)
    stack.phone.code_for(mobile)
    assert person.http.get("/code/withdraw/", headers={"Accept": "text/html"}).status_code == 405
    assert person.http.post("/code/withdraw/", headers={"Accept": "application/json"}).status_code == 403
    assert person.state["state"] is not None
    page = person.page("/code/withdraw/", mobile=mobile, next="/dev/queue/")
    assert page.status_code == 200
    shown = leaves(page.text)
    assert shown["delivery"]["data-state"] == ""
    assert "已失效" in shown["code-message"]["text"]
    assert shown["mobile"]["value"] == mobile, "to be mended"
    assert 'name="next" value="/dev/queue/"' in page.text
