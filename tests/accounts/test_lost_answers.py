"""A sign-in whose answer never arrives: the session is new, the browser's cookie is the old one, the code is used."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING

import httpx
import pytest
from websockets.exceptions import InvalidStatus

from accounts.sessions import SETTLE, VISITOR, hashed
from accounts.sessions.store import ENDED
from tests.support.faultproxy import FaultProxy
from tests.support.numbers import number
from tests.support.person import Person, leaves
from tests.support.stack import Stack
from tests.support.together import tabs, together

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PASSWORD = "correct horse battery"


@pytest.fixture(scope="module", autouse=True)
def _ann(stack: Stack) -> None:
    stack.user("ann-lost", password=PASSWORD)


@pytest.fixture(scope="module")
def proxy(stack: Stack) -> Iterator[FaultProxy]:
    with FaultProxy("127.0.0.1", stack.ports[0]) as proxy:
        yield proxy


@pytest.fixture
def person(stack: Stack, proxy: FaultProxy) -> Iterator[Person]:
    """Somebody behind a network that loses answers."""
    person = Person(f"http://127.0.0.1:{proxy.port}")
    yield person
    person.close()


def key_of(person: Person) -> str:
    return str(person.http.cookies["sessionid"])


def lose_sign_in(stack: Stack, proxy: FaultProxy, person: Person) -> tuple[str, str]:
    """Sign in with a code whose answer is lost, and return the number and the code."""
    mobile = number()
    assert person.ask(mobile).status_code == 202
    code, before = stack.phone.code_for(mobile), key_of(person)
    proxy.drop_reply(b"POST /login/code/")
    with pytest.raises(httpx.TransportError):
        person.enter(code)
    assert stack.deliveries()[-1]["used_at"], "the server has signed them in"
    assert key_of(person) == before
    assert person.username == ""
    return mobile, code


def settle() -> None:
    """Wait until the server takes an answer of now for lost."""
    time.sleep(SETTLE.total_seconds() + 0.3)


def sessions_of(stack: Stack) -> int:
    """Return how many sessions with a row there are, of anybody who signed in."""
    return int(stack.rows("SELECT count(*) AS n FROM django_session WHERE session_data <> ?", ENDED)[0]["n"])


def test_the_same_code_signs_in_again_where_the_answer_was_lost(
    stack: Stack, proxy: FaultProxy, person: Person
) -> None:
    """T-19: and the session that nobody has seen is replaced, so the code has made one."""
    before = sessions_of(stack)
    _, code = lose_sign_in(stack, proxy, person)
    settle()
    answer = person.enter(code)
    assert (answer.status_code, answer.json()["code"]) == (200, "OK")
    assert person.username == answer.json()["username"]
    assert sessions_of(stack) == before + 1
    person.open().wait_for("account", user=person.username)
    settle()
    again = person.enter(code)
    assert (again.status_code, again.json()["code"]) == (422, "SMS_CODE_EXPIRED")


def test_a_page_gives_a_browser_without_its_answer_a_socket(stack: Stack, proxy: FaultProxy, person: Person) -> None:
    """And the code can still be repeated: the browser has another id, the code goes along."""
    _, code = lose_sign_in(stack, proxy, person)
    before = key_of(person)
    settle()
    assert person.get("/").status_code == 200
    assert VISITOR.fullmatch(key_of(person))
    assert key_of(person) != before
    person.open().wait_for("connection", state="live")
    assert person.enter(code).status_code == 200
    assert person.username


@pytest.mark.parametrize("accept", ["text/html", "application/json"])
def test_a_poll_gives_a_browser_without_its_answer_a_socket(stack: Stack, proxy: FaultProxy, accept: str) -> None:
    """Also after a password: a page that is not reloaded comes back to life."""
    person = Person(f"http://127.0.0.1:{proxy.port}")
    person.get()
    before = key_of(person)
    proxy.drop_reply(b"POST /login/ ")
    with pytest.raises(httpx.TransportError):
        person.login("ann-lost", PASSWORD)
    with pytest.raises(InvalidStatus):
        person.open()
    settle()
    assert person.http.get("/state/", headers={"Accept": accept}).status_code == 200
    assert key_of(person) != before
    person.open().wait_for("connection", state="live")
    person.close()


def test_a_request_that_crosses_a_sign_in_takes_nobody_s_new_cookie_away(stack: Stack) -> None:
    """T-42: sent with the old cookie, answered after the new one: its answer must set none."""
    person, mobile = stack.person(), number()
    person.ask(mobile)
    code = stack.phone.code_for(mobile)
    [late] = tabs(stack, person, 1)
    assert person.enter(code).status_code == 200
    for path in ("/", "/login/", "/state/"):
        assert "sessionid" not in late.get(path).headers.get("set-cookie", ""), path


def test_the_former_cookie_is_of_no_use_once_the_answer_was_read(stack: Stack) -> None:
    """T-19 and T-37: who planted the cookie and has seen the digits opens nothing, and follows nobody."""
    person, mobile = stack.person(), number()
    person.ask(mobile)
    code = stack.phone.code_for(mobile)
    [thief] = tabs(stack, person, 1)
    planted = key_of(thief)
    assert person.enter(code).status_code == 200
    name = person.username
    assert name
    settle()
    for digits in (code, f"{(int(code) + 1) % 1_000_000:06}"):
        answer = thief.enter(digits)
        assert (answer.status_code, answer.json()["code"]) == (422, "SMS_CODE_EXPIRED"), "not even whether it is right"
    thief.get("/login/")
    assert key_of(thief) not in {planted, key_of(person)}
    page = thief.open()
    page.wait_for("connection", state="live")
    person.ask(number())
    person.logout()
    assert [frame for frame in page.news(1.5) if 'id="beat"' not in frame] == []
    assert thief.username == ""


def test_another_browser_cannot_repeat_a_code(stack: Stack, proxy: FaultProxy, person: Person) -> None:
    """T-16: neither a stranger nor somebody who has requested a code of their own."""
    mobile, code = lose_sign_in(stack, proxy, person)
    settle()
    stranger = stack.person()
    stranger.get()
    for fields in ({}, {"mobile": mobile}):
        assert stranger.enter(code, **fields).json()["code"] == "SMS_CODE_EXPIRED"


def test_a_repetition_counts_as_a_guess(stack: Stack, proxy: FaultProxy, person: Person) -> None:
    """T-15: a code has five guesses in all, before and after its use."""
    _, code = lose_sign_in(stack, proxy, person)
    settle()
    wrong = f"{(int(code) + 1) % 1_000_000:06}"
    said = [person.enter(wrong).json() for _ in range(4)]
    assert [each["tries_left"] for each in said] == [3, 2, 1, 0]
    assert person.enter(code).json()["code"] == "SMS_CODE_EXPIRED"


def test_of_many_repetitions_at_once_one_signs_in(stack: Stack, proxy: FaultProxy, person: Person) -> None:
    """T-18: the row decides, as it does at the first entry."""
    before = sessions_of(stack)
    _, code = lose_sign_in(stack, proxy, person)
    settle()
    said = [answer.json()["code"] for answer in together([partial(tab.enter, code) for tab in tabs(stack, person, 16)])]
    assert said.count("OK") == 1
    assert set(said) == {"OK", "SMS_CODE_EXPIRED"}
    assert sessions_of(stack) == before + 1


def test_a_session_is_unread_until_the_first_request_with_its_key(stack: Stack) -> None:
    """Whichever request it is: a page, a poll or a socket."""
    reads: tuple[Callable[[Person], object], ...] = (
        lambda p: p.get("/"),
        lambda p: p.get("/state/"),
        lambda p: p.open().wait_for("account"),
    )
    for read in reads:
        person, mobile = stack.person(), number()
        person.ask(mobile)
        assert person.enter(stack.phone.code_for(mobile)).status_code == 200
        query = "SELECT session_data AS data FROM django_session WHERE session_key = ?"
        [unread] = stack.rows(query, hashed(key_of(person)))
        read(person)
        [after] = stack.rows(query, hashed(key_of(person)))
        assert unread["data"].endswith(after["data"])
        assert len(unread["data"]) > len(after["data"])
        assert leaves(person.get("/state/").text)["account"]["data-user"]
