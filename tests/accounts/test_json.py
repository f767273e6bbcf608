"""The same addresses, for programs: a stable word, a sentence, the state, and never a redirect."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.support.numbers import number
from tests.support.stack import wait_until

if TYPE_CHECKING:
    import httpx

    from tests.support.person import Person
    from tests.support.stack import Stack

PASSWORD = "a program's password"


@pytest.fixture(scope="module")
def site(stack: Stack) -> Stack:
    """The site, with an account for a program."""
    stack.user("program", password=PASSWORD)
    return stack


def post(person: Person, kind: str, path: str, **fields: Any) -> httpx.Response:
    """Post fields as a form or as JSON, and ask for JSON."""
    body: dict[str, Any] = {"json": fields} if kind == "json" else {"data": fields}
    headers = {"Accept": "application/json", "X-CSRFToken": person.token}
    answer = person.http.post(path, headers=headers, **body)
    assert answer.headers["Content-Type"] == "application/json"
    assert "Location" not in answer.headers
    assert "HX-Redirect" not in answer.headers
    assert set(answer.json()) >= {"code", "errmsg"}
    assert (answer.json()["code"] == "OK") == (answer.status_code in {200, 202})
    assert answer.json()["errmsg"], "a person reads it, after a success as well"
    return answer


@pytest.mark.parametrize("kind", ["form", "json"])
def test_a_program_goes_the_whole_way(site: Stack, kind: str) -> None:
    """Every word of the contract but those of limits and outages, which have files of their own."""
    person, mobile = site.person(), number()

    def said(path: str, **fields: Any) -> tuple[int, str]:
        answer = post(person, kind, path, **fields)
        return answer.status_code, answer.json()["code"]

    assert said("/login/") == (422, "PARAM_MISSING")
    assert said("/login/", username="a b", password=PASSWORD) == (422, "USERNAME_FORMAT")
    assert said("/login/", username="program", password="x" * 4097) == (422, "PASSWORD_FORMAT")
    assert said("/login/", username="program", password="not the password") == (422, "CREDENTIALS")
    assert said("/code/") == (422, "PARAM_MISSING")
    assert said("/code/", mobile="12345") == (422, "MOBILE_FORMAT")
    assert said("/login/code/", code="123456") == (422, "SMS_CODE_EXPIRED")

    accepted = post(person, kind, "/code/", mobile=mobile)
    assert accepted.status_code == 202
    assert set(accepted.json()) >= {"state", "attempt", "resend_at", "expires_at"}
    assert (accepted.json()["state"], accepted.json()["attempt"]) == ("queued", 0)
    assert accepted.json()["resend_at"] < accepted.json()["expires_at"]
    assert said("/code/", mobile=mobile) == (429, "SMS_TOO_FREQUENT")

    code = site.phone.code_for(mobile)
    assert said("/login/code/") == (422, "PARAM_MISSING")
    assert said("/login/code/", code="12345") == (422, "SMS_CODE_WRONG")
    assert said("/login/code/", code=code, mobile="12345") == (422, "MOBILE_FORMAT")
    wrong = post(person, kind, "/login/code/", code=f"{(int(code) + 1) % 1_000_000:06}", mobile=mobile)
    assert (wrong.status_code, wrong.json()["code"], wrong.json()["tries_left"]) == (422, "SMS_CODE_WRONG", 4)

    entered = post(person, kind, "/login/code/", code=code, mobile=mobile, remembered="on", next="/somewhere/")
    assert (entered.status_code, entered.json()["next"]) == (200, "/somewhere/")
    assert person.username == entered.json()["username"]
    assert said("/logout/") == (200, "OK")
    assert person.username == ""
    assert said("/login/", username="program", password=PASSWORD) == (200, "OK")
    assert person.username == "program"


def test_a_yes_may_be_a_json_true(site: Stack) -> None:
    person = site.person()
    answer = post(person, "json", "/login/", username="program", password=PASSWORD, remembered=True)
    assert any("sessionid=" in line and "Max-Age=172800" in line for line in answer.headers.get_list("set-cookie"))
    answer = post(person, "json", "/login/", username="program", password=PASSWORD, remembered=False)
    assert not any("sessionid=" in line and "Max-Age" in line for line in answer.headers.get_list("set-cookie"))


@pytest.mark.parametrize(
    "accept", ["application/json", "application/json, text/plain;q=0.5", "text/html;q=0.5, application/json"]
)
def test_who_would_rather_have_json_gets_it(site: Stack, accept: str) -> None:
    answer = site.person().http.get("/state/", headers={"Accept": accept})
    assert answer.headers["Content-Type"] == "application/json"


@pytest.mark.parametrize(
    "accept",
    [
        "text/html",
        "*/*",
        "",
        "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
        "application/json;q=0.1, text/html",
        "nonsense",
        "application/json;q=0",
    ],
)
def test_everybody_else_gets_html(site: Stack, accept: str) -> None:
    person = site.person()
    assert person.http.get("/state/", headers={"Accept": accept}).headers["Content-Type"].startswith("text/html")
    answer = person.http.post("/login/", headers={"Accept": accept, "X-CSRFToken": person.token})
    assert (answer.status_code, answer.headers["Content-Type"]) == (422, "text/html; charset=utf-8")


def test_the_sentence_is_in_the_programs_language(site: Stack) -> None:
    """The word stays the same; what is for people is in their language once it is translated."""
    answer = site.person(language="zh-CN").post("/login/")
    assert answer.json()["code"] == "PARAM_MISSING"
    assert answer.headers["Content-Language"] == "zh-hans"
    assert answer.headers["Vary"].count("Accept-Language") == 1


def test_the_state_tells_a_program_what_the_page_shows(site: Stack) -> None:
    person, mobile = site.person(), number()
    empty = person.state
    assert empty == {"code": "OK", "errmsg": "", "username": "", "state": None, "attempt": 0, "seconds": 0}
    person.ask(mobile)
    wait_until(lambda: person.state["state"] == "sent")
    told = person.state
    assert set(told) == {"code", "errmsg", "username", "state", "attempt", "seconds", "resend_at", "expires_at"}
    assert told["attempt"] == 1
    assert 1 <= told["seconds"] <= 60


def test_a_program_without_a_token_is_told_so_in_json(site: Stack) -> None:
    """T-45."""
    for path in ("/login/", "/code/", "/login/code/", "/logout/"):
        answer = site.person().http.post(path, json={}, headers={"Accept": "application/json"})
        assert answer.status_code == 403
        assert answer.json()["code"] == "CSRF"
        assert answer.json()["errmsg"]


@pytest.mark.parametrize(
    ("accept", "is_json"),
    [
        ("application/json", True),
        ("application/json; charset=utf-8", True),
        ("application/json;charset=UTF-8;q=0.9, text/html;q=0.8", True),
        ("Application/JSON", True),
        ("application/json, text/plain, */*", True),
        ("application/*", True),
        ("text/html;q=0, */*", True),
        ("text/html;q=0.5, application/json;q=0.7", True),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", False),
        ("text/html, application/json", False),
        ("application/json;q=0, */*", False),
        ("application/json;q=0", False),
        ("application/json;q=0.5, text/html", False),
        ("*/*", False),
        ("", False),
        ("image/png", False),
        ("application/json-patch, ;;;, /", False),
    ],
)
def test_json_is_for_those_who_prefer_it_with_parameters_and_without(
    stack: Stack, accept: str, *, is_json: bool
) -> None:
    """RFC 9110, 12.5.1: `q=0` refuses a type, and a charset is no other type."""
    answer = stack.person().http.get("/state/", headers={"Accept": accept})
    assert (answer.headers["Content-Type"] == "application/json") == is_json
    refused = stack.person().http.get("/logout/", headers={"Accept": accept})
    assert refused.status_code == 405
    assert (refused.text == "") == is_json


def test_the_state_can_be_asked_for_without_its_body(stack: Stack) -> None:
    """HEAD is GET without the body (RFC 9110, 9.3.2)."""
    for accept in ("text/html", "application/json"):
        answer = stack.person().http.head("/state/", headers={"Accept": accept})
        assert (answer.status_code, answer.content) == (200, b"")
    assert stack.person().http.put("/state/").status_code in {403, 405}
