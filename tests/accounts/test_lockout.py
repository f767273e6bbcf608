"""Nobody is let in by a spelling, and nobody is locked out by a stranger."""

from __future__ import annotations

import itertools
import signal
from typing import TYPE_CHECKING, Any

import altcha
import pytest

from tests.support.numbers import number
from tests.support.provider import Provider
from tests.support.stack import Stack, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import httpx

    from tests.support.person import Person

PASSWORD = "correct horse battery"
HOUR_MS = 3_600_000
GIVEN_BACK = "SELECT id FROM tasks_delivery WHERE counted = 0"

addresses = (f"203.0.{n // 250}.{n % 250 + 1}" for n in itertools.count())
names = (f"owner-{n}" for n in itertools.count(1))

BEHIND_PROXY: dict[str, Any] = {
    "TRUSTED_PROXIES": "1",
    "PUBLIC_ORIGIN": "http://login.example.org",
    "ALLOWED_HOSTS": "127.0.0.1",
    "SMS_COOLDOWN": "0",
}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A site with ten passwords and three codes an hour, where every visitor has an address."""
    settings = {**BEHIND_PROXY, "PASSWORD_TRIES": "10", "GUESSES_PER_IP": "500", "SMS_PER_HOUR": "3"}
    with Stack(tmp_path_factory.mktemp("site"), **settings) as stack:
        yield stack


def visitor(site: Stack, address: str = "") -> Person:
    """Return a newcomer with an address of their own."""
    headers: dict[str, Any] = {"X-Forwarded-For": address or next(addresses)}
    return site.person(**headers)


def owner(site: Stack, **account: Any) -> tuple[str, str, Person]:
    """Return an account's name and number, and the browser in which its owner signs in, now signed out."""
    name, mobile = next(names), f"+86{number()}"
    site.user(name, password=PASSWORD, mobile=mobile, **account)
    person = visitor(site)
    assert person.login(name, PASSWORD).status_code == 200
    assert person.logout().status_code == 200
    return name, mobile, person


def word(answer: httpx.Response) -> tuple[int, str]:
    """Return an answer's status and word."""
    return answer.status_code, answer.json()["code"]


def wrong(code: str) -> str:
    """Return six digits that are not the code."""
    return f"{(int(code) + 1) % 1_000_000:06}"


def proof_for(answer: httpx.Response, person: Person) -> str:
    """Work out the proof that a 428 asks for, as the visitor's browser does."""
    given = person.http.get(answer.json()["proof"]).json()
    challenge = altcha.Challenge.from_dict(given)
    solution = altcha.solve_challenge(challenge)
    assert solution
    return altcha.Payload(challenge, solution).to_base64()


# --- One count for what is meant ---


def test_every_spelling_of_an_account_is_one_account_to_guess_at(site: Stack) -> None:
    """T-96: the look-up takes a number however it is written, and so does the count."""
    name, mobile, _ = owner(site)
    digits = mobile.removeprefix("+86")
    spellings = [digits, mobile, f"0086{digits}", f"86-{digits}", f"{digits[:3]} {digits[3:7]} {digits[7:]}"]
    spellings += [f"{digits[:n]}-{digits[n:]}" for n in range(1, 9)] + [name, name.upper(), name.title()]
    told = [word(visitor(site).login(spelling, "wrong password")) for spelling in spellings]
    assert told == [(422, "CREDENTIALS")] * 10 + [(429, "PASSWORD_LIMIT")] * (len(spellings) - 10)
    assert word(visitor(site).login(f"{digits[:9]}-{digits[9:]}", PASSWORD)) == (429, "PASSWORD_LIMIT")


def test_every_spelling_of_nobody_is_one_nobody(site: Stack) -> None:
    """T-96, T-28: a number or a name without an account is counted like one that has one."""
    digits, name = number(), "Nobody-At-All"
    spellings = [f"{digits[:n]}-{digits[n:]}" for n in range(1, 9)] + [digits, f"+86{digits}", f"+86 {digits}"]
    told = [word(visitor(site).login(spelling, "wrong password")) for spelling in spellings]
    assert told == [(422, "CREDENTIALS")] * 10 + [(429, "PASSWORD_LIMIT")]
    spellings = [name[:n].upper() + name[n:] for n in range(11)]
    told = [word(visitor(site).login(spelling, "wrong password")) for spelling in spellings]
    assert told == [(422, "CREDENTIALS")] * 10 + [(429, "PASSWORD_LIMIT")]


# --- Strangers and owners ---


def test_strangers_pause_a_password_and_its_owner_signs_in_where_he_did_before(site: Stack) -> None:
    """T-97: a browser that has signed in to the account is counted apart."""
    name, _, person = owner(site)
    for _ in range(12):
        visitor(site).login(name, "wrong password")
    assert word(visitor(site).login(name, PASSWORD)) == (429, "PASSWORD_LIMIT"), "or this test means nothing"
    assert word(person.login(name, "wrong password")) == (422, "CREDENTIALS")
    assert word(person.login(name, PASSWORD)) == (200, "OK")


def test_the_owners_browser_has_no_more_guesses_than_anybody(site: Stack) -> None:
    """T-97: a stolen device cookie opens nothing, and is paused like a stranger."""
    name, _, person = owner(site)
    told = [word(person.login(name, "wrong password")) for _ in range(11)]
    assert told == [(422, "CREDENTIALS")] * 10 + [(429, "PASSWORD_LIMIT")]
    assert word(visitor(site).login(name, PASSWORD)) == (200, "OK"), "and pauses nobody else"


def test_a_device_cookie_is_for_its_own_account_and_cannot_be_made(site: Stack) -> None:
    """T-97: neither another account's nor a changed one counts apart; nor one from before the password's change."""
    name, _, person = owner(site)
    _, _, other = owner(site)
    forger, cookie = visitor(site), person.http.cookies["device"]
    assert name not in cookie
    forger.http.cookies.set("device", f"{cookie[:-1]}{'A' if cookie[-1] != 'A' else 'B'}")
    for _ in range(12):
        visitor(site).login(name, "wrong password")
    assert word(other.login(name, PASSWORD)) == (429, "PASSWORD_LIMIT")
    assert word(forger.login(name, PASSWORD)) == (429, "PASSWORD_LIMIT")
    site.manage("shell", "-c", f"from accounts.models import User; u = User.objects.get(username={name!r}); "
                               "u.set_password('a new one of some length'); u.save()")  # fmt: skip
    assert word(person.login(name, "a new one of some length")) == (429, "PASSWORD_LIMIT")


def test_one_address_pauses_an_account_once_and_not_for_hours(site: Stack) -> None:
    """T-97: whoever guesses on from one address lengthens their own pauses, and nobody else's."""
    name, _, _ = owner(site)
    stranger = visitor(site)
    for _ in range(10):
        stranger.login(name, "wrong password")
    for _ in range(8):
        site.rows("UPDATE accounts_guesses SET open_at = '2020-01-01 00:00:00' WHERE key NOT LIKE 'address:%'")
        assert word(stranger.login(name, "wrong password")) == (422, "CREDENTIALS")
    answer = stranger.login(name, PASSWORD)
    assert word(answer) == (429, "PASSWORD_LIMIT")
    assert int(answer.headers["Retry-After"]) > 3000
    assert word(visitor(site).login(name, PASSWORD)) == (200, "OK")


def test_strangers_use_up_a_numbers_codes_and_its_owner_still_gets_one(site: Stack) -> None:
    """T-97: an account that was made by a code has no password, and no other way in."""
    person, mobile = visitor(site), number()
    assert person.ask(mobile).status_code == 202
    assert person.enter(site.phone.code_for(mobile)).status_code == 200
    assert person.logout().status_code == 200
    told = [word(visitor(site).ask(mobile)) for _ in range(4)]
    assert told == [(202, "OK")] * 2 + [(429, "SMS_LIMIT")] * 2
    told = [word(person.ask(mobile)) for _ in range(4)]
    assert told == [(202, "OK")] * 3 + [(429, "SMS_LIMIT")], "and no more than anybody"


def test_strangers_switch_a_numbers_codes_off_and_its_owners_still_work(site: Stack) -> None:
    """T-97, D3: a hundred wrong codes in all; most of them are the strangers', and some the owner's."""
    person, mobile = visitor(site), number()
    assert person.ask(mobile).status_code == 202
    assert person.enter(site.phone.code_for(mobile)).status_code == 200
    assert person.logout().status_code == 200
    stranger = visitor(site)
    assert stranger.ask(mobile).status_code == 202
    code = site.phone.code_for(mobile, 2)
    stranger.enter(wrong(code))
    site.rows("UPDATE accounts_guesses SET count = 79 WHERE key LIKE 'code:%' AND count = 1")
    stranger.enter(wrong(code))
    assert word(stranger.enter(code)) == (403, "CODES_SHUT")
    assert word(visitor(site).ask(mobile)) == (403, "CODES_SHUT"), "or this test means nothing"
    assert word(person.ask(mobile)) == (202, "OK")
    assert word(person.enter(site.phone.code_for(mobile, 3))) == (200, "OK")


def test_one_address_has_ten_wrong_codes_a_day_at_a_number(site: Stack) -> None:
    """T-97: so it takes more than a week, and not a day or two, to switch a number's codes off from one address."""
    mobile, address = number(), next(addresses)
    for nth in (1, 2):
        person = visitor(site, address)
        assert person.ask(mobile).status_code == 202
        for _ in range(5):
            assert word(person.enter(wrong(site.phone.code_for(mobile, nth)))) == (422, "SMS_CODE_WRONG")
        site.rows("UPDATE accounts_guesses SET open_at = '2020-01-01 00:00:00' WHERE key LIKE 'code:%'")
    person = visitor(site, address)
    assert person.ask(mobile).status_code == 202
    answer = person.enter(site.phone.code_for(mobile, 3))
    assert word(answer) == (429, "CODE_LIMIT")
    assert int(answer.headers["Retry-After"]) > 23 * 3600
    person.http.headers["X-Forwarded-For"] = next(addresses)
    assert word(person.enter(site.phone.code_for(mobile, 3))) == (200, "OK")


def test_strangers_use_up_the_sites_budget_and_a_reserve_is_left(tmp_path: Path) -> None:
    """T-97: two hundred requests from anywhere stop newcomers, and nobody who has been here before."""
    settings = {**BEHIND_PROXY, "SMS_BUDGET_HOUR": "6", "SMS_BUDGET_RESERVE": "2"}
    with Stack(tmp_path, **settings) as site:
        person, mobile = visitor(site), number()
        assert person.ask(mobile).status_code == 202
        assert person.enter(site.phone.code_for(mobile)).status_code == 200
        told = [word(visitor(site).ask(number())) for _ in range(5)]
        assert told == [(202, "OK")] * 3 + [(429, "SMS_LIMIT")] * 2
        told = [word(person.ask(mobile)) for _ in range(3)]
        assert told == [(202, "OK")] * 2 + [(429, "SMS_LIMIT")], "the budget is the most that an hour costs"
        site.empty_valkey()
        wait_until(lambda: site.get("/readyz").status_code == 200, 30)
        assert word(person.ask(mobile)) == (429, "SMS_LIMIT"), "the rows say the same"


def test_a_stranger_proves_from_the_second_request_for_a_number_on(tmp_path: Path) -> None:
    """T-97: five requests from one address and no proof no longer use up a number's codes."""
    with Stack(tmp_path, **BEHIND_PROXY, ALTCHA="adaptive", ALTCHA_COST="5") as site:
        person, mobile = visitor(site), number()
        assert person.ask(mobile).status_code == 202
        assert person.enter(site.phone.code_for(mobile)).status_code == 200
        stranger = visitor(site)
        answer = stranger.ask(mobile)
        assert word(answer) == (428, "PROOF_NEEDED")
        assert stranger.ask(number()).status_code == 202, "for another number it is the first"
        assert word(stranger.ask(mobile, altcha=proof_for(answer, stranger))) == (202, "OK")
        assert word(person.ask(mobile)) == (202, "OK"), "its owner is asked for none"


# --- What counts, and for how long ---


def test_what_the_provider_refused_does_not_count(tmp_path: Path) -> None:
    """T-106: five tries in an outage are no reason to wait for an hour when it is over."""
    limits = {"SMS_PER_HOUR": "2", "SMS_PER_DAY": "2", "SMS_PER_IP_HOUR": "2", "SMS_BUDGET_HOUR": "2"}
    with Provider() as provider, Stack(tmp_path, provider=provider, **{**BEHIND_PROXY, **limits}) as site:
        person, mobile = visitor(site), number()
        # No balance: certainly not sent, and no reason to try again.
        provider.mode = "111142"
        for n in range(1, 6):
            assert person.ask(mobile).status_code == 202
            wait_until(lambda: person.state["state"] == "failed", 20)
            wait_until(lambda n=n: len(site.rows(GIVEN_BACK)) == n, 10)  # type: ignore[misc]
        provider.mode = "ok"
        assert person.ask(mobile).status_code == 202
        wait_until(lambda: person.state["state"] == "sent", 20)
        assert person.ask(mobile).status_code == 202
        wait_until(lambda: person.state["state"] == "sent", 20)
        assert word(person.ask(mobile)) == (429, "SMS_LIMIT"), "what was sent counts"
        site.empty_valkey()
        wait_until(lambda: site.get("/readyz").status_code == 200, 30)
        assert word(person.ask(mobile)) == (429, "SMS_LIMIT"), "and the rows say the same"


def test_what_a_stuck_queue_never_sent_does_not_count(tmp_path: Path) -> None:
    """T-106: each request supersedes the one before; when their codes are over, the limit has them no more."""
    with Stack(tmp_path, **{**BEHIND_PROXY, "SMS_PER_HOUR": "3", "SMS_CODE_TTL": "6"}) as site:
        person, mobile = visitor(site), number()
        site.hang(site.workers[0])
        assert [person.ask(mobile).status_code for _ in range(4)] == [202] * 3 + [429], "as long as they may be sent"
        site.workers[0].signal(signal.SIGCONT)
        # One of them is sent by now, or too late as well.
        wait_until(lambda: len(site.rows(GIVEN_BACK)) >= 2, 20)
        assert person.ask(mobile).status_code == 202


def test_a_flood_into_an_outage_ends_all_the_same(tmp_path: Path) -> None:
    """T-102: what is given back would else let one address write rows for ever."""
    with Provider() as provider, Stack(tmp_path, provider=provider, **{**BEHIND_PROXY, "SMS_PER_IP_HOUR": "2"}) as site:
        provider.mode = "111142"
        address, told = next(addresses), []
        for _ in range(11):
            person = visitor(site, address)
            told.append(word(person.ask(number())))
            if told[-1][0] == 202:
                wait_until(lambda p=person: p.state["state"] == "failed", 20)  # type: ignore[misc]
        assert told == [(202, "OK")] * 10 + [(429, "SMS_LIMIT")]


def test_the_hour_slides(site: Stack) -> None:
    """T-107: a fixed hour lets twice as much through around its end. Each request counts for an hour of its own."""
    person, mobile = visitor(site), number()
    assert [person.ask(mobile).status_code for _ in range(4)] == [202] * 3 + [429]
    (key,) = [k for k in site.redis.scan_iter("*:counted:any:hour:*") if site.redis.zscore(k, latest(site, mobile))]
    requests: Any = site.redis.zrange(key, 0, -1, withscores=True)
    first, second, _ = requests
    site.redis.zadd(key, {first[0]: first[1] - HOUR_MS, second[0]: second[1] - HOUR_MS // 2})
    assert [person.ask(mobile).status_code for _ in range(2)] == [202, 429], "one has left the window, and not all"
    wait = int(person.ask(mobile).headers["Retry-After"])
    assert 1700 < wait <= 1800, "until the next leaves it"


def latest(site: Stack, mobile: str) -> str:
    """Return the id of the newest request for a number."""
    found: str = site.rows(
        "SELECT id FROM tasks_delivery WHERE mobile = ? ORDER BY created_at DESC LIMIT 1", f"+86{mobile}"
    )[0]["id"]
    return found


def test_an_operator_opens_everything_of_a_number(site: Stack) -> None:
    """T-97: guesses and limits alike, and says what; also after Redis was emptied."""
    person, mobile = visitor(site), number()
    assert [person.ask(mobile).status_code for _ in range(4)] == [202] * 3 + [429]
    assert "limits" in site.manage("forgive", mobile)
    assert "nothing" in site.manage("forgive", mobile)
    assert person.ask(mobile).status_code == 202
    site.empty_valkey()
    wait_until(lambda: site.get("/readyz").status_code == 200, 30)
    assert [person.ask(mobile).status_code for _ in range(3)] == [202] * 2 + [429]


def test_an_operator_opens_an_account_by_its_name(site: Stack) -> None:
    """T-97: its password, its number's codes and its number's limits, in one word."""
    name, mobile, _ = owner(site)
    for _ in range(12):
        visitor(site).login(name, "wrong password")
    assert [visitor(site).ask(mobile).status_code for _ in range(4)] == [202] * 3 + [429]
    said = site.manage("forgive", name)
    assert "limits and password forgiven" in said
    assert word(visitor(site).login(name, PASSWORD)) == (200, "OK")
    assert visitor(site).ask(mobile).status_code == 202
