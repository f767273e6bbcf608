"""A code's whole life, asked for and used over HTTP, against a site of real parts."""

from __future__ import annotations

import base64
import hashlib
import itertools
import random
import re
import signal
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import httpx
import phonenumbers
import pytest
from phonenumbers import PhoneNumberFormat, PhoneNumberType

from accounts.phone_numbers import masked
from tasks import otp
from tests.support.contents import everything_in_redis, everything_in_the_database
from tests.support.numbers import number
from tests.support.person import leaves
from tests.support.stack import Stack, wait_until
from tests.support.together import tabs, together

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.support.person import Person

HOUR = 3600


def wrong(code: str) -> str:
    """Return six digits that are not the code."""
    return f"{(int(code) + 1) % 1_000_000:06}"


def rows_of(stack: Stack, mobile: str) -> list[dict[str, Any]]:
    """Return the deliveries of a number, oldest first."""
    return [row for row in stack.deliveries() if row["mobile"] == f"+86{mobile}"]


def all_settled(stack: Stack) -> bool:
    """Tell whether no delivery is under way."""
    return not stack.rows("SELECT 1 FROM tasks_delivery WHERE state IN ('queued', 'sending', 'retrying')")


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A site with two servers."""
    with Stack(tmp_path_factory.mktemp("servers"), webs=2) as stack:
        yield stack


@pytest.fixture(scope="module")
def brisk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A site which knows no cooldown."""
    with Stack(tmp_path_factory.mktemp("brisk"), SMS_COOLDOWN="0") as stack:
        yield stack


@pytest.fixture(scope="module")
def strict_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A site behind one proxy, with low limits, no cooldown and no sign-up."""
    settings: dict[str, Any] = {
        "TRUSTED_PROXIES": "1",
        "PUBLIC_ORIGIN": "http://login.example.org",
        "ALLOWED_HOSTS": "login.example.org,127.0.0.1",
        "SIGN_UP": "no",
        "SMS_COOLDOWN": "0",
        "SMS_PER_HOUR": "3",
        "SMS_PER_DAY": "4",
        "SMS_PER_IP_HOUR": "2",
        "SMS_BUDGET_HOUR": "7",
    }
    with Stack(tmp_path_factory.mktemp("strict"), **settings) as stack:
        yield stack


@pytest.fixture
def strict(strict_site: Stack) -> Stack:
    """The strict site, as if nobody had asked for anything yet."""
    wait_until(lambda: all_settled(strict_site), 20)
    strict_site.rows("DELETE FROM tasks_attempt")
    strict_site.rows("DELETE FROM tasks_delivery")
    strict_site.redis.flushdb()
    return strict_site


addresses = (f"198.51.100.{n}" for n in itertools.count(1))


def behind_proxy(stack: Stack, address: str) -> Person:
    """Return a newcomer whose address the site's proxy has seen."""
    headers: dict[str, Any] = {"X-Forwarded-For": address}
    return stack.person(**headers)


def ask_from(stack: Stack, address: str, mobile: str) -> httpx.Response:
    """Ask as a newcomer whose address the site's proxy has seen."""
    return behind_proxy(stack, address).ask(mobile)


# --- One code, one use ---


def test_a_newcomer_gets_a_code_and_an_account(stack: Stack) -> None:
    person, mobile = stack.person(), number()
    answer = person.ask(mobile)
    assert answer.status_code == 202
    assert answer.json()["state"] == "queued"
    answer = person.enter(stack.phone.code_for(mobile))
    assert answer.status_code == 200, answer.text
    assert person.username == answer.json()["username"]


def test_a_second_login_by_code_is_the_same_account(brisk: Stack) -> None:
    person, mobile = brisk.person(), number()
    person.ask(mobile)
    first = person.enter(brisk.phone.code_for(mobile)).json()["username"]
    other = brisk.person()
    other.ask(mobile)
    assert other.enter(brisk.phone.code_for(mobile, 2)).json()["username"] == first


def test_sixty_four_at_once_are_one_sms_and_its_code_works(servers: Stack) -> None:
    """T-1 and T-2: the loser of the race must not write over the winner's code. Twenty rounds, two servers."""
    people = [servers.person(port=servers.ports[n % 2]) for n in range(64)]
    for person in people:
        assert person.token
    for _ in range(20):
        mobile = number()
        answers = together([partial(person.ask, mobile) for person in people])
        statuses = [answer.status_code for answer in answers]
        assert sorted(statuses) == [202] + [429] * 63
        assert len(rows_of(servers, mobile)) == 1
        winner = people[statuses.index(202)]
        servers.wait_for_state("sent")
        arrived = [message for message in servers.phone.messages if message.to == f"+86{mobile}"]
        assert len(arrived) == 1
        assert winner.enter(arrived[0].code).status_code == 200
        winner.logout()


def test_sixty_four_right_guesses_at_once_are_one_login(servers: Stack) -> None:
    """T-18: the same code from many tabs at once, over two servers, five rounds."""
    for _ in range(5):
        person, mobile = servers.person(), number()
        person.ask(mobile)
        code = servers.phone.code_for(mobile)
        browser = tabs(servers, person, 64)
        answers = together([partial(tab.enter, code) for tab in browser])
        said = [(answer.status_code, answer.json()["code"]) for answer in answers]
        assert said.count((200, "OK")) == 1
        assert said.count((422, "SMS_CODE_EXPIRED")) == 63
        assert len(servers.rows("SELECT 1 FROM accounts_user WHERE mobile = ?", f"+86{mobile}")) == 1


def test_a_used_code_is_refused(stack: Stack) -> None:
    """T-19: in the same session, after logout, and from another browser."""
    person, mobile = stack.person(), number()
    person.ask(mobile)
    code = stack.phone.code_for(mobile)
    assert person.enter(code).status_code == 200
    again = person.enter(code)
    assert (again.status_code, again.json()["code"]) == (422, "SMS_CODE_EXPIRED")
    person.logout()
    for replayer in (person, stack.person()):
        replay = replayer.enter(code, mobile=mobile)
        assert (replay.status_code, replay.json()["code"]) == (422, "SMS_CODE_EXPIRED")
        assert replayer.username == ""


def test_five_wrong_guesses_burn_the_code(stack: Stack) -> None:
    """T-15: each answer says how many tries are left, and after the last the right code comes too late."""
    person, mobile = stack.person(), number()
    person.ask(mobile)
    code = stack.phone.code_for(mobile)
    for left in (4, 3, 2, 1, 0):
        answer = person.enter(wrong(code))
        assert (answer.status_code, answer.json()["code"]) == (422, "SMS_CODE_WRONG")
        assert answer.json()["tries_left"] == left
    late = person.enter(code)
    assert (late.status_code, late.json()["code"]) == (422, "SMS_CODE_EXPIRED")
    assert late.json()["tries_left"] == 0
    assert person.username == ""


def test_of_sixty_four_guesses_at_once_five_are_looked_at(servers: Stack) -> None:
    """T-15: a guess is counted before it is compared, so asking in parallel buys nothing."""
    person, mobile = servers.person(), number()
    person.ask(mobile)
    code = servers.phone.code_for(mobile)
    guesses = [f"{(int(code) + n) % 1_000_000:06}" for n in range(1, 65)]
    people = tabs(servers, person, 64)
    pairs = zip(people, guesses, strict=True)
    answers = [answer.json() for answer in together([partial(tab.enter, guess) for tab, guess in pairs])]
    looked_at = [answer["tries_left"] for answer in answers if answer["code"] == "SMS_CODE_WRONG"]
    assert sorted(looked_at) == [0, 1, 2, 3, 4]
    assert [answer["code"] for answer in answers].count("SMS_CODE_EXPIRED") == 59
    assert person.enter(code).json()["code"] == "SMS_CODE_EXPIRED"


def test_the_last_of_five_tries_may_still_be_right(stack: Stack) -> None:
    """T-15."""
    person, mobile = stack.person(), number()
    person.ask(mobile)
    code = stack.phone.code_for(mobile)
    for _ in range(4):
        person.enter(wrong(code))
    assert person.enter(code).status_code == 200


def test_a_login_forgives_the_guesses_before_it(brisk: Stack) -> None:
    """T-16: they are consecutive failures, and a right code ends the row."""
    mobile = number()
    for n in range(6):
        person = brisk.person()
        person.ask(mobile)
        code = brisk.phone.code_for(mobile, n + 1)
        for _ in range(4):
            person.enter(wrong(code))
        assert person.enter(code).status_code == 200, "the failures before this login still count"


def test_a_code_lives_as_long_as_redis_says(make_stack: Callable[..., Stack]) -> None:
    """T-23: the challenge dies with its key, whose life is SMS_CODE_TTL."""
    brief = make_stack(SMS_CODE_TTL="8")
    person, mobile = brief.person(), number()
    person.ask(mobile)
    delivery = rows_of(brief, mobile)[0]["id"]
    (challenge,) = [key for key in brief.redis.scan_iter("*:challenge:*") if brief.redis.get(key) == delivery]
    assert 0 < brief.redis.pttl(challenge) <= 8000
    code = brief.phone.code_for(mobile)
    wait_until(lambda: not brief.redis.exists(challenge), 15)
    answer = person.enter(code)
    assert (answer.status_code, answer.json()["code"]) == (422, "SMS_CODE_EXPIRED")


# --- Bound to number, purpose and browser ---


def test_a_code_is_for_its_own_number(stack: Stack) -> None:
    """T-21: neither another's number with my code nor another's code with mine."""
    alice, bob = stack.person(), stack.person()
    hers, his = number(), number()
    alice.ask(hers)
    bob.ask(his)
    her_code, his_code = stack.phone.code_for(hers), stack.phone.code_for(his)
    assert her_code != his_code, "or this test means nothing"
    for fields in ({"code": her_code, "mobile": his}, {"code": his_code, "mobile": hers}, {"code": his_code}):
        answer = alice.enter(**fields)
        assert (answer.status_code, answer.json()["code"]) == (422, "SMS_CODE_WRONG")
    assert alice.enter(her_code, mobile=f"0086 {hers}").status_code == 200, "her own number, spelled otherwise"


def test_a_code_is_for_the_browser_that_asked(stack: Stack) -> None:
    """T-22: who reads the SMS over a shoulder has no use for it, and cannot burn it either (T-27)."""
    alice, thief, mobile = stack.person(), stack.person(), number()
    alice.ask(mobile)
    code = stack.phone.code_for(mobile)
    for fields in ({}, {"mobile": mobile}):
        for guess in (code, *[wrong(code)] * 5):
            answer = thief.enter(guess, **fields)
            assert (answer.status_code, answer.json()["code"]) == (422, "SMS_CODE_EXPIRED")
    assert alice.enter(wrong(code)).json()["tries_left"] == 4
    assert alice.enter(code).status_code == 200


def test_a_code_is_for_one_purpose(stack: Stack) -> None:
    """T-20: the purpose is in the digits, in the key, and only known ones are taken."""
    person, mobile = stack.person(), number()
    answer = person.ask(mobile, purpose="reset")
    assert answer.status_code == 422
    assert rows_of(stack, mobile) == []
    assert person.ask(mobile, purpose="login").status_code == 202
    assert rows_of(stack, mobile)[0]["purpose"] == "login"
    one = {otp.digits("00" * 16, purpose, "+8613800138000") for purpose in ("login", "reset", "bind", "register")}
    assert len(one) == 4


def test_the_newest_code_of_a_browser_is_the_one_that_works(brisk: Stack) -> None:
    """T-3: in the browser that asked twice."""
    person, mobile = brisk.person(), number()
    person.ask(mobile)
    old = brisk.phone.code_for(mobile)
    person.ask(mobile)
    new = brisk.phone.code_for(mobile, 2)
    assert old != new
    assert person.enter(old).json() | {"errmsg": ""} == {"code": "SMS_CODE_WRONG", "errmsg": "", "tries_left": 4}
    assert person.enter(new).status_code == 200


def test_a_newer_request_supersedes_what_has_not_left(strict: Stack) -> None:
    """T-3: two browsers, one number, a carrier that was away: one SMS in the end, and the first page says why."""
    mobile = number()
    strict.user("superseder", mobile=f"+86{mobile}")
    operator, first, second = strict.person(), strict.person(), strict.person()
    operator.page("/dev/phone/", mode="fail")
    try:
        assert first.ask(mobile).status_code == 202
        strict.wait_for_state("retrying")
        # Asleep, the worker makes no second attempt before the newer request is there.
        with resting(strict):
            assert first.state["state"] == "retrying"
            operator.page("/dev/phone/", mode="ok")
            assert second.ask(mobile).status_code == 202
            assert first.state["state"] == "superseded"
    finally:
        operator.page("/dev/phone/", mode="ok")
    code = strict.phone.code_for(mobile)
    wait_until(lambda: all_settled(strict), 15)
    assert [row["state"] for row in rows_of(strict, mobile)] == ["superseded", "sent"]
    assert first.enter(code).json()["code"] == "SMS_CODE_WRONG"
    assert second.enter(code).status_code == 200


# --- One number a cooldown ---


def test_a_second_request_is_told_to_wait_and_shown_what_runs(stack: Stack) -> None:
    """A second click is no mistake: it gets the running state, never a bare error."""
    person, mobile = stack.person(), number()
    accepted = person.ask(mobile).json()
    stack.phone.code_for(mobile)
    wait_until(lambda: person.state["state"] == "sent")

    again = person.ask(mobile)
    assert again.status_code == 429
    assert 1 <= int(again.headers["Retry-After"]) <= 60
    body = again.json()
    assert body["code"] == "SMS_TOO_FREQUENT"
    assert body["errmsg"]
    assert (body["state"], body["attempt"]) == ("sent", 1)
    assert (body["resend_at"], body["expires_at"]) == (accepted["resend_at"], accepted["expires_at"])
    assert 1 <= body["seconds"] <= 60

    shown = leaves(person.htmx("/code/", mobile=mobile).text)
    assert shown["delivery"]["data-state"] == "sent"
    assert 1 <= int(shown["countdown"]["data-seconds"]) <= 60
    assert "code-message" in shown

    page = person.page("/code/", mobile=mobile)
    assert (page.status_code, leaves(page.text)["delivery"]["data-state"]) == (429, "sent")
    assert int(leaves(page.text)["countdown"]["data-seconds"]) >= 1


def test_another_browser_waits_as_well_and_learns_nothing(stack: Stack) -> None:
    """T-5: the cooldown is the number's; how far its SMS is concerns only who asked."""
    mobile = number()
    assert stack.person().ask(mobile).status_code == 202
    answer = stack.person().ask(mobile)
    assert (answer.status_code, answer.json()["code"]) == (429, "SMS_TOO_FREQUENT")
    assert answer.json()["state"] is None
    assert answer.json()["seconds"] >= 1
    assert "resend_at" not in answer.json()


def test_every_spelling_of_a_number_is_one_number(stack: Stack) -> None:
    """T-4: one SMS, one gate, one number in the table, whatever way it is written."""
    mobile = number()
    area, middle, rest = mobile[:3], mobile[3:7], mobile[7:]
    full_width = mobile.translate({ord(str(n)): chr(0xFF10 + n) for n in range(10)})
    spellings = [
        mobile,
        f"+86{mobile}",
        f"0086{mobile}",
        f"+86 {area} {middle} {rest}",
        f"+86-{area}-{middle}-{rest}",
        f"{area} {middle}.{rest}",
        f"  {mobile}  ",
        f"\n{mobile}\n",
        f"\t{mobile}\r\n",
        full_width,
        f"＋８６{full_width}",
        f"{area}\u3000{middle}\u3000{rest}",
    ]
    before = set(stack.redis.scan_iter("*:cooldown:*"))
    assert stack.person().ask(spellings[0]).status_code == 202
    for spelling in spellings:
        answer = stack.person().ask(spelling)
        assert (answer.status_code, answer.json()["code"]) == (429, "SMS_TOO_FREQUENT"), spelling
    assert len(set(stack.redis.scan_iter("*:cooldown:*")) - before) == 1
    assert len(rows_of(stack, mobile)) == 1
    assert {row["mobile"] for row in stack.deliveries() if mobile in re.sub(r"\D", "", row["mobile"])} == {
        f"+86{mobile}"
    }


def test_fresh_cookies_and_forged_headers_buy_no_sms(stack: Stack) -> None:
    """T-5: twenty newcomers with headers of their own making, one number."""
    mobile = number()
    assert stack.person().ask(mobile).status_code == 202
    for n in range(20):
        forged = f"203.0.113.{n}"
        headers: dict[str, Any] = {
            "X-Forwarded-For": forged,
            "X-Real-IP": forged,
            "Forwarded": f"for={forged}",
            "True-Client-IP": forged,
            "X_Forwarded_For": forged,
            "Client-IP": forged,
        }
        person = stack.person(**headers)
        assert person.ask(mobile).status_code == 429
        assert person.ask(number()).status_code == 202
    assert len(rows_of(stack, mobile)) == 1
    assert len(set(stack.redis.scan_iter("*:counted:any:address:*"))) == 1, "a forged address was believed"
    assert len({row["address"] for row in stack.deliveries()}) == 1


def test_an_emptied_redis_forgets_no_cooldown(stack: Stack) -> None:
    """T-7: an accepted request keeps its number's gate shut, also when Redis has lost it."""
    mobile, other = number(), number()
    assert stack.person().ask(mobile).status_code == 202
    wait_until(lambda: all_settled(stack))
    stack.redis.flushdb()
    answer = stack.person().ask(mobile)
    assert (answer.status_code, answer.json()["code"]) == (429, "SMS_TOO_FREQUENT")
    assert 1 <= answer.json()["seconds"] <= 60
    assert stack.person().ask(other).status_code == 202, "only that number waits"


def test_without_a_cooldown_one_may_ask_again_at_once(brisk: Stack) -> None:
    person, mobile = brisk.person(), number()
    for _ in range(3):
        answer = person.ask(mobile)
        assert answer.status_code == 202
        assert answer.json()["seconds"] == 0
    assert list(brisk.redis.scan_iter("*:cooldown:*")) == []


# --- Limits ---


def test_a_number_has_three_codes_an_hour(strict: Stack) -> None:
    """T-6: counted for the number, wherever the requests come from."""
    mobile = number()
    for _ in range(3):
        assert ask_from(strict, next(addresses), mobile).status_code == 202
    answer = ask_from(strict, next(addresses), mobile)
    assert (answer.status_code, answer.json()["code"]) == (429, "SMS_LIMIT")
    assert HOUR - 120 < int(answer.headers["Retry-After"]) <= HOUR
    assert len(rows_of(strict, mobile)) == 3
    assert ask_from(strict, next(addresses), number()).status_code == 202, "others are not concerned"


def test_a_number_has_four_codes_a_day(strict: Stack) -> None:
    """T-7: the day's count comes from rows, so it holds over hours and over an emptied Redis."""
    mobile = number()
    for _ in range(3):
        assert ask_from(strict, next(addresses), mobile).status_code == 202
    wait_until(lambda: all_settled(strict))

    age(strict, 2)
    assert ask_from(strict, next(addresses), mobile).status_code == 202, "two hours later the hour's limit is over"
    wait_until(lambda: all_settled(strict))
    age(strict, 2)
    answer = ask_from(strict, next(addresses), mobile)
    assert (answer.status_code, answer.json()["code"]) == (429, "SMS_LIMIT")
    assert 19 * HOUR < int(answer.headers["Retry-After"]) <= 20 * HOUR, "the day runs from its first request"

    age(strict, 21)
    assert ask_from(strict, next(addresses), mobile).status_code == 202, "a day later it is over"


def age(stack: Stack, hours: int) -> None:
    """Make every delivery so much older, and let Redis forget what it has counted."""
    stack.rows(
        "UPDATE tasks_delivery SET created_at = datetime(created_at, ?), resend_at = datetime(resend_at, ?)",
        f"-{hours} hours", f"-{hours} hours",
    )  # fmt: skip
    stack.redis.flushdb()


def test_an_address_has_two_codes_an_hour(strict: Stack) -> None:
    """T-6: for whatever numbers; what the visitor wrote left of our proxy's own word is not looked at."""
    address = next(addresses)
    assert ask_from(strict, address, number()).status_code == 202
    assert ask_from(strict, f"203.0.113.7, {address}", number()).status_code == 202
    for spelled in (address, f"203.0.113.8, {address}", f"<script>, 10.0.0.1,{address}"):
        answer = ask_from(strict, spelled, number())
        assert (answer.status_code, answer.json()["code"]) == (429, "SMS_LIMIT")
    assert ask_from(strict, next(addresses), number()).status_code == 202


def test_an_ipv6_visitor_is_a_whole_network(strict: Stack) -> None:
    """Else one visitor has 2 to the power of 64 addresses to ask from."""
    assert ask_from(strict, "2001:db8:1:2::1", number()).status_code == 202
    assert ask_from(strict, "2001:db8:1:2:ffff::99", number()).status_code == 202
    assert ask_from(strict, "2001:db8:1:2::77", number()).status_code == 429
    assert ask_from(strict, "2001:db8:1:3::1", number()).status_code == 202


def test_an_address_that_is_none_is_the_proxys(strict: Stack) -> None:
    """A header that no proxy of ours wrote, or that is missing, counts on the connection's own address."""
    assert ask_from(strict, "<script>alert(1)</script>", number()).status_code == 202
    assert ask_from(strict, "unknown", number()).status_code == 202
    assert strict.person().ask(number()).status_code == 429
    assert ask_from(strict, "' OR 1=1 --", number()).status_code == 429


def test_the_whole_site_has_a_budget(strict: Stack) -> None:
    """T-6: many numbers from many addresses; the answer does not say which limit it was."""
    for _ in range(7):
        assert ask_from(strict, next(addresses), number()).status_code == 202
    answer = ask_from(strict, next(addresses), number())
    assert (answer.status_code, answer.json()["code"]) == (429, "SMS_LIMIT")
    assert int(answer.headers["Retry-After"]) > HOUR - 120
    assert len(strict.deliveries()) == 7
    strict.redis.flushdb()
    assert ask_from(strict, next(addresses), number()).status_code == 429, "T-7: the budget survives an emptied Redis"


def test_limits_hold_when_redis_was_emptied_and_many_ask_at_once(strict: Stack) -> None:
    """T-7: the counters come back from the rows before anybody is let through."""
    mobile = number()
    assert ask_from(strict, next(addresses), mobile).status_code == 202
    wait_until(lambda: all_settled(strict))
    people = [behind_proxy(strict, next(addresses)) for _ in range(16)]
    for person in people:
        assert person.token
    strict.redis.flushdb()
    answers = together([partial(person.ask, mobile) for person in people])
    assert sorted(answer.status_code for answer in answers) == [202, 202] + [429] * 14
    assert len(rows_of(strict, mobile)) == 3


def test_a_foreign_or_costly_number_is_not_sent_to(stack: Stack) -> None:
    """T-6: only mobile numbers of SMS_REGIONS."""
    before = len(stack.deliveries())
    for foreign in (
        "+12025550123",
        "+447700900123",
        "+85291234567",
        "+8610 12345678",
        "+86 400 123 4567",
        "+86 12306",
        "+882 1300 0000",
        "+979 1 2345 6789",
        "110",
        "+8613800138000;ext=5",
        "+86139000000011",
    ):
        answer = stack.person().ask(foreign)
        assert (answer.status_code, answer.json()["code"]) == (422, "MOBILE_FORMAT"), foreign
    assert len(stack.deliveries()) == before


# --- No account made, no account told ---


def test_without_sign_up_only_known_numbers_come_in(strict: Stack) -> None:
    """T-9: an unknown number gets no SMS and no account, and its visitor sees what everybody sees."""
    known, unknown = number(), number()
    strict.user("known-person", mobile=f"+86{known}")
    stranger, friend = strict.person(), strict.person()
    assert stranger.ask(unknown).status_code == 202
    assert friend.ask(known).status_code == 202
    code = strict.phone.code_for(known)
    wait_until(lambda: stranger.state["state"] == friend.state["state"] == "sent")
    assert f"+86{unknown}" not in {message.to for message in strict.phone.messages}
    assert stranger.enter(code).json()["code"] == "SMS_CODE_WRONG"
    assert stranger.username == ""
    assert strict.rows("SELECT 1 FROM accounts_user WHERE mobile = ?", f"+86{unknown}") == []
    assert friend.enter(code).json()["username"] == "known-person"


def test_an_inactive_account_does_not_come_in_by_code(stack: Stack) -> None:
    """T-9, T-28: nothing is sent to it, whoever may sign up, and the page says what it says to everybody."""
    mobile = number()
    stack.user("gone-away", mobile=f"+86{mobile}", is_active=False)
    person = stack.person()
    assert person.ask(mobile).status_code == 202
    wait_until(lambda: person.state["state"] == "sent")
    assert f"+86{mobile}" not in {message.to for message in stack.phone.messages}
    assert person.enter("000000").json()["code"] == "SMS_CODE_WRONG"
    assert person.username == ""


def test_asking_does_not_tell_who_has_an_account(stack: Stack) -> None:
    """T-9: the whole answer is the same for known and unknown numbers, at the first and at the second request."""
    known, unknown = number(), number()
    stack.user("well-known", mobile=f"+86{known}")

    def told(mobile: str) -> list[tuple[int, list[str], list[str], Any]]:
        person = stack.person()
        assert person.token
        answers = [person.ask(mobile)]
        wait_until(lambda: person.state["state"] == "sent")
        answers.append(person.ask(mobile))
        bodies = [answer.json() for answer in answers]
        return [
            (
                answer.status_code,
                sorted(answer.headers),
                sorted(body),
                [body[key] for key in ("code", "state", "attempt")],
            )
            for answer, body in zip(answers, bodies, strict=True)
        ]

    assert told(known) == told(unknown)


# --- Secrets ---


class Ear:
    """Hears every byte that a browser is told, over HTTP and over its socket."""

    def __init__(self, person: Person) -> None:
        self.heard: list[tuple[str, str]] = []
        person.http.event_hooks = {"response": [self._hear]}

    def _hear(self, response: httpx.Response) -> None:
        response.read()
        whole = f"{response.url}\n{response.headers.raw!r}\n{response.text}"
        self.heard.append((f"{response.request.method} {response.url.path}", whole))


def test_no_answer_tells_the_code_or_the_number(stack: Stack) -> None:
    """T-13: the whole way in, as a program, as htmx, as a page and on the socket. A masked number may be shown."""
    person, mobile = stack.person(), number()
    ear = Ear(person)
    person.get("/")
    person.get()
    page = person.open()
    page.wait_for("connection", state="live")
    person.ask(mobile)
    code = stack.phone.code_for(mobile)
    page.wait_for("delivery", state="sent")
    person.ask(mobile)
    person.htmx("/code/", mobile=mobile)
    person.htmx("/login/code/", code=wrong(code))
    person.page("/login/code/", code=wrong(code))
    person.get()
    person.get("/state/")
    assert person.state["state"] == "sent"
    assert person.enter(code).status_code == 200
    person.get("/")
    person.get("/state/")
    heard = [*ear.heard, *(("the socket", frame) for frame in page.frames)]
    assert any(f"{mobile[:3]} **** {mobile[-4:]}" in text for _, text in heard), "or this test means nothing"
    for where, text in heard:
        assert code not in text, where
        assert mobile not in re.sub(r"[ .()\-]", "", text), where


def test_a_masked_number_means_the_one_that_the_page_shows_and_nobody_else_s(stack: Stack) -> None:
    """T-13: a page asks again without having the whole number. What was typed counts more, unless it is hidden."""
    person, mobile, typed = stack.person(), number(), number()
    assert person.ask(mobile).status_code == 202
    shown = f"{mobile[:3]} **** {mobile[-4:]}"
    for fields in ({}, {"mobile": typed, "same": "on"}):
        answer = person.post("/code/", number=shown, **fields)
        assert (answer.status_code, answer.json()["code"]) == (429, "SMS_TOO_FREQUENT"), fields
    stranger = stack.person()
    for asker, another in ((stranger, shown), (person, "139 **** 0000"), (person, "")):
        answer = asker.post("/code/", number=another)
        assert (answer.status_code, answer.json()["code"]) == (422, "PARAM_MISSING")
    assert person.post("/code/", number=shown, mobile=typed).status_code == 202
    assert stack.deliveries()[-1]["mobile"] == f"+86{typed}"
    # What was taken back is shown no more.
    person.post("/code/withdraw/")
    assert person.post("/code/", number=f"{typed[:3]} **** {typed[-4:]}").status_code == 422


def test_the_page_that_gives_back_what_was_typed_keeps_it_for_nobody_else(stack: Stack) -> None:
    """Without JavaScript the form comes back filled in, but only in the answer to that very post."""
    person, mobile = stack.person(), number()
    assert mobile in person.page("/code/", mobile=mobile).text
    for path in ("/login/", "/", "/state/"):
        assert mobile not in person.get(path).text
    assert "123456" not in person.page("/login/code/", code="123456", mobile=mobile).text


@contextmanager
def resting(stack: Stack) -> Iterator[None]:
    """Let the worker sleep, so that what is queued stays where it can be looked at."""
    stack.hang(stack.workers[0])
    try:
        yield
    finally:
        stack.workers[0].signal(signal.SIGCONT)


def test_no_code_lies_in_redis_or_in_the_database(stack: Stack) -> None:
    """T-24: fifty codes, every key and value of Redis, every cell of every table; and no digest of a code either."""
    with resting(stack):
        people = {number(): stack.person() for _ in range(50)}
        for mobile, person in people.items():
            assert person.ask(mobile).status_code == 202
        codes = {
            mobile: otp.digits(row["id"], row["purpose"], row["mobile"], stack.settings["SECRET_KEY"])
            for mobile in people
            for row in rows_of(stack, mobile)
        }
        stored = [*everything_in_redis(stack), *everything_in_the_database(stack)]
        queued = stack.redis.llen(f"huey.redis.{stack.settings['QUEUE_NAME']}")
        assert queued >= 40, "or this test means nothing"
    assert len(codes) == 50
    mobile, code = next(iter(codes.items()))
    assert people[mobile].enter(code).status_code == 200, "these are the codes"

    haystack = "\n".join(stored)
    assert "challenge:login:" in haystack
    assert f"+86{mobile}" in haystack, "the table holds the number"
    for mobile, code in codes.items():
        assert not re.search(rf"(?<![0-9a-fA-F.]){code}(?![0-9a-fA-F])", haystack), "a code is stored"
        for salted in (code, f"+86{mobile}{code}", f"{mobile}{code}", f"{code}+86{mobile}", f"{code}{mobile}"):
            for algorithm in ("md5", "sha1", "sha256"):
                digest = hashlib.new(algorithm, salted.encode()).digest()
                assert digest.hex() not in haystack
                assert base64.b64encode(digest).decode().rstrip("=") not in haystack
    redis_alone = "\n".join(everything_in_redis(stack))
    assert not [mobile for mobile in codes if mobile in redis_alone], "a number is in Redis"


def test_the_sms_is_bound_to_the_configured_host(strict: Stack) -> None:
    """T-14: its last line is what the standard wants, and no header of a request moves it."""
    mobile = number()
    strict.user("bound-to-host", mobile=f"+86{mobile}")
    headers: dict[str, Any] = {"X-Forwarded-Host": "evil.example", "Forwarded": "host=evil.example"}
    person = strict.person(**headers)
    assert person.ask(mobile).status_code == 202
    code = strict.phone.code_for(mobile)
    (message,) = [message for message in strict.phone.messages if message.to == f"+86{mobile}"]
    assert re.fullmatch(rf"@login\.example\.org #{code}", message.text.splitlines()[-1])
    assert message.text.splitlines()[-2] == ""
    assert code in message.text.splitlines()[0]
    assert "evil" not in message.text
    evil = httpx.post(f"{strict.url}/code/", data={"mobile": number()}, headers={"Host": "evil.example"})
    assert evil.status_code == 400


def test_an_sms_is_in_the_language_of_the_page(stack: Stack) -> None:
    mobile = number()
    stack.person(language="zh-CN,zh;q=0.9").ask(mobile)
    assert rows_of(stack, mobile)[0]["language"] == "zh-hans"
    mobile = number()
    stack.person(language="fr").ask(mobile)
    assert rows_of(stack, mobile)[0]["language"] == "en"


# --- The digits ---

SECRET = "a secret for this known answer only, forty and more letters"


@pytest.mark.parametrize(
    ("challenge", "purpose", "mobile", "code"),
    [
        ("00112233445566778899aabbccddeeff", "login", "+8613800138000", "363421"),
        ("ffeeddccbbaa99887766554433221100", "login", "+8613800138000", "096275"),
        ("00112233445566778899aabbccddeeff", "reset", "+8613800138000", "545469"),
        ("00112233445566778899aabbccddeeff", "login", "+8613800138001", "680998"),
    ],
)
def test_the_digits_are_those_of_rfc_4226(challenge: str, purpose: str, mobile: str, code: str) -> None:
    """Known answers, worked out with `openssl dgst -hmac` and shell arithmetic."""
    assert otp.digits(challenge, purpose, mobile, SECRET) == code


def test_every_code_is_as_likely_as_any_other() -> None:
    """T-12: twenty thousand codes from a fixed seed, so the answer is the same each time."""
    dice = random.Random(4226)
    codes = [otp.digits(f"{dice.getrandbits(128):032x}", "login", "+8613800138000", SECRET) for _ in range(20_000)]
    assert all(re.fullmatch(r"[0-9]{6}\Z", code, re.ASCII) for code in codes)
    for place in range(6):
        counts = [sum(code[place] == str(digit) for code in codes) for digit in range(10)]
        # 27.9: the 99.9 % quantile of chi squared with nine degrees of freedom.
        assert sum((count - 2000) ** 2 / 2000 for count in counts) < 27.9, f"place {place}: {counts}"
    assert 1800 < sum(code.startswith("0") for code in codes) < 2200
    # Of 20 000 draws from a million, some 19 801 are different.
    assert 19_700 < len(set(codes)) < 19_900


def test_another_secret_makes_other_codes() -> None:
    here = [otp.digits(f"{n:032x}", "login", "+8613800138000", SECRET) for n in range(100)]
    there = [otp.digits(f"{n:032x}", "login", "+8613800138000", SECRET + "!") for n in range(100)]
    assert sum(a == b for a, b in zip(here, there, strict=True)) <= 1


@pytest.mark.parametrize(
    ("mobile", "shown"),
    [("+8613800138000", "138 **** 8000"), ("+85291234567", "912 **** 7"), ("+12025550123", "202 **** 123"), ("", "")],
)
def test_a_masked_number_hides_at_least_four_digits(mobile: str, shown: str) -> None:
    """T-13."""
    assert masked(mobile) == shown


def test_what_is_masked_is_the_number_without_its_country() -> None:
    for region in phonenumbers.SUPPORTED_REGIONS:
        for kind in (PhoneNumberType.MOBILE, PhoneNumberType.FIXED_LINE):
            number = phonenumbers.example_number_for_type(region, kind)
            if number is not None:
                e164 = phonenumbers.format_number(number, PhoneNumberFormat.E164)
                assert masked(e164).startswith(phonenumbers.national_significant_number(number)[:3]), e164


@pytest.mark.parametrize("text", ["13800138000", "+8613800138000 ", "+86", "+9991234567", "+86138O0138000", "margaret"])
def test_of_what_is_no_number_nothing_is_shown(text: str) -> None:
    """T-13."""
    assert masked(text) == "****"
