"""Guessing passwords and codes: counted before anything is looked at, by secret and by address, in the database."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.numbers import number
from tests.support.stack import REAL, Stack, wait_until
from tests.support.together import tabs, together

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import httpx

    from tests.support.person import Person

PASSWORD = "correct horse battery"
MINUTE = 60
HOUR = 3600

addresses = (f"203.0.113.{n}" for n in itertools.count(1))
names = (f"guessed-{n}" for n in itertools.count(1))


def wrong(code: str) -> str:
    """Return six digits that are not the code."""
    return f"{(int(code) + 1) % 1_000_000:06}"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A site behind a proxy, so that each visitor has an address. No cooldown: the first pause of codes is a second."""
    settings: dict[str, Any] = {
        "TRUSTED_PROXIES": "1",
        "PUBLIC_ORIGIN": "http://login.example.org",
        "ALLOWED_HOSTS": "127.0.0.1",
        "SMS_COOLDOWN": "0",
        "PASSWORD_TRIES": "10",
        "GUESSES_PER_IP": "50",
    }
    with Stack(tmp_path_factory.mktemp("site"), webs=2, **settings) as stack:
        yield stack


@pytest.fixture
def alice(site: Stack) -> str:
    """An account with a password, whom nobody has tried yet."""
    name = next(names)
    site.user(name, password=PASSWORD, mobile=f"+86{number()}")
    return name


def visitor(site: Stack, address: str = "") -> Person:
    """Return a newcomer with an address of their own."""
    headers: dict[str, Any] = {"X-Forwarded-For": address or next(addresses)}
    return site.person(**headers)


def mobile_of(site: Stack, name: str) -> str:
    """Return the number of an account, as one types it."""
    found: str = site.rows("SELECT mobile FROM accounts_user WHERE username = ?", name)[0]["mobile"]
    return found.removeprefix("+86")


def word(answer: httpx.Response) -> tuple[int, str]:
    """Return an answer's status and word."""
    return answer.status_code, answer.json()["code"]


def end_all_pauses(site: Stack) -> None:
    """Let the time pass for which the guessers must wait."""
    site.rows("UPDATE accounts_guesses SET open_at = '2020-01-01 00:00:00' WHERE open_at < '9000-01-01'")


def fill_address(site: Stack, count: int) -> None:
    """Make so many guesses from the address that guessed last, in no time."""
    until = (datetime.now(UTC) + count * timedelta(minutes=1)).strftime("%Y-%m-%d %H:%M:%S.%f")
    key = "(SELECT key FROM accounts_guesses WHERE key LIKE 'address:%' ORDER BY last_at DESC LIMIT 1)"
    site.rows(f"UPDATE accounts_guesses SET open_at = ? WHERE key = {key}", until)


# --- Both databases ---


def test_postgresql_counts_alike(tmp_path: Path, database: str) -> None:
    """T-16, T-30: its statements are others, and so are its times."""
    settings: dict[str, Any] = {"DATABASE_URL": database, "SMS_COOLDOWN": "0", "PASSWORD_TRIES": "10"}
    with Stack(tmp_path / "site", **settings) as site:
        person, mobile = site.person(), number()
        told = [word(person.login("nobody", f"wrong password {n}")) for n in range(12)]
        assert told == [(422, "CREDENTIALS")] * 10 + [(429, "PASSWORD_LIMIT")] * 2
        assert 1 <= int(person.login("nobody", "wrong password").headers["Retry-After"]) <= 30
        assert person.ask(mobile).status_code == 202
        code = site.phone.code_for(mobile)
        assert [person.enter(wrong(code)).json().get("tries_left") for _ in range(3)] == [4, 3, 2]
        assert person.enter(code).status_code == 200
        # The right one has forgiven the wrong ones.
        again = site.person()
        assert again.ask(mobile).status_code == 202
        assert again.enter(wrong(site.phone.code_for(mobile, 2))).json()["tries_left"] == 4


# --- Passwords ---


def test_one_account_is_guessed_at_ten_times_from_wherever(site: Stack, alice: str) -> None:
    """T-30: every guess comes from another address, and each pause is twice as long as the last."""
    for n in range(10):
        answer = visitor(site).login(alice, f"wrong password {n}")
        assert word(answer) == (422, "CREDENTIALS")
    assert "in less than a minute" in answer.json()["errmsg"]
    answer = visitor(site).login(alice, PASSWORD)
    assert word(answer) == (429, "PASSWORD_LIMIT"), "the right password is not looked at either"
    assert 1 <= int(answer.headers["Retry-After"]) <= 30
    for pause in (60, 120):
        end_all_pauses(site)
        visitor(site).login(alice, "wrong password")
        seconds = int(visitor(site).login(alice, PASSWORD).headers["Retry-After"])
        assert pause - 15 < seconds <= pause
    site.rows("UPDATE accounts_guesses SET count = 1000, open_at = '2020-01-01 00:00:00' WHERE count > 10")
    visitor(site).login(alice, "wrong password")
    assert HOUR - 15 < int(visitor(site).login(alice, PASSWORD).headers["Retry-After"]) <= HOUR
    end_all_pauses(site)
    assert word(visitor(site).login(alice, PASSWORD)) == (200, "OK")
    assert word(visitor(site).login(alice, "wrong password")) == (422, "CREDENTIALS"), "a login begins a new row"


def test_the_last_tries_are_counted_aloud(site: Stack, alice: str) -> None:
    """T-30: the page says how many tries are left before a pause, once it matters."""
    person = visitor(site)
    told = [person.login(alice, "wrong password").json().get("tries_left") for _ in range(10)]
    assert told == [None] * 6 + [3, 2, 1, 0]
    page = visitor(site).page("/login/", username=alice, password=PASSWORD)
    assert page.status_code == 429
    assert "Too many incorrect passwords. Try again in" in page.text
    assert "or sign in with a text message" in page.text


def test_a_name_that_nobody_has_is_paused_in_the_same_words(site: Stack, alice: str) -> None:
    """T-28: whether an account exists is told neither by a refusal nor by a pause."""
    bob = next(names)
    site.user(bob, password=PASSWORD, mobile=f"+86{number()}")
    nobody, number_of_nobody = next(names), number()
    answers = {}
    for who in (alice, nobody, mobile_of(site, bob), number_of_nobody):
        person = visitor(site)
        answers[who] = [person.login(who, "wrong password") for _ in range(12)]
    told = [[(a.status_code, a.json()["code"], a.json().get("tries_left")) for a in row] for row in answers.values()]
    assert [status for status, _, _ in told[0]] == [422] * 10 + [429] * 2, "or nothing was compared"
    assert told[0] == told[1] == told[2] == told[3]
    texts = [[a.text for a in row[:10]] for row in answers.values()]
    assert texts[0] == texts[1] == texts[2] == texts[3]


def test_sixty_four_guesses_at_once_are_ten(tmp_path: Path) -> None:
    """T-31: each is counted before it is hashed, on two servers."""
    with Stack(tmp_path / "site", webs=2, workers=0, PASSWORD_TRIES="10", **REAL) as site:
        site.user("at-once", password=PASSWORD)
        people = [site.person(port=site.ports[n % 2]) for n in range(64)]
        for person in people:
            assert person.token
        answers = together([partial(person.login, "at-once", "wrong password") for person in people])
    assert sorted(word(a) for a in answers) == [(422, "CREDENTIALS")] * 10 + [(429, "PASSWORD_LIMIT")] * 54


def test_one_address_tries_one_guess_at_each_of_many_accounts(site: Stack) -> None:
    """T-30: fifty, then one a minute. Another address is not held up by it."""
    person = visitor(site)
    assert word(person.login(next(names), "wrong password")) == (422, "CREDENTIALS")
    fill_address(site, 48)
    told = [word(person.login(next(names), "wrong password")) for _ in range(4)]
    assert told == [(422, "CREDENTIALS")] * 2 + [(429, "PASSWORD_LIMIT")] * 2
    assert int(person.login(next(names), "wrong password").headers["Retry-After"]) <= MINUTE
    assert word(visitor(site).login(next(names), "wrong password")) == (422, "CREDENTIALS")


def test_who_signs_in_often_is_no_guesser(site: Stack, alice: str) -> None:
    """T-30: an office behind one address signs in as often as it likes."""
    address = next(addresses)
    assert word(visitor(site, address).login(alice, PASSWORD)) == (200, "OK")
    fill_address(site, 48)
    assert {word(visitor(site, address).login(alice, PASSWORD)) for _ in range(4)} == {(200, "OK")}


def test_an_own_account_does_not_make_an_address_innocent(site: Stack, alice: str) -> None:
    """T-30: a login takes back its own guess, and not those at other accounts."""
    address = next(addresses)
    person = visitor(site, address)
    assert person.login(next(names), "wrong password").status_code == 422
    before = site.rows("SELECT key, open_at FROM accounts_guesses WHERE key LIKE 'address:%'")
    assert word(visitor(site, address).login(alice, PASSWORD)) == (200, "OK")
    after = site.rows("SELECT key, open_at FROM accounts_guesses WHERE key LIKE 'address:%'")
    assert [row["key"] for row in before] == [row["key"] for row in after]
    assert all(a["open_at"] >= b["open_at"] for a, b in zip(after, before, strict=True))


def test_without_redis_guesses_are_counted_all_the_same(site: Stack, alice: str) -> None:
    """T-64: passwords need no Redis, and neither does what protects them."""
    person = visitor(site)
    assert person.token
    site.kill_valkey()
    try:
        told = [word(person.login(alice, "wrong password")) for _ in range(11)]
    finally:
        site.start_valkey()
        wait_until(lambda: site.get("/readyz").status_code == 200, 30)
    assert told == [(422, "CREDENTIALS")] * 10 + [(429, "PASSWORD_LIMIT")]


# --- Codes ---


def burn(site: Stack, mobile: str, nth: int) -> list[tuple[int, str]]:
    """Ask for a code as a newcomer, guess five times, and return what was said."""
    person = visitor(site)
    assert person.ask(mobile).status_code == 202
    code = site.phone.code_for(mobile, nth)
    return [word(person.enter(wrong(code))) for _ in range(5)]


def test_a_new_code_does_not_forgive_old_guesses(site: Stack) -> None:
    """T-16: wrong guesses at a number count over all its codes and all who ask. An emptied Redis forgives none."""
    mobile = number()
    assert burn(site, mobile, 1) == [(422, "SMS_CODE_WRONG")] * 5
    end_all_pauses(site)
    assert burn(site, mobile, 2) == [(422, "SMS_CODE_WRONG")] * 5
    site.empty_valkey()
    wait_until(lambda: site.get("/readyz").status_code == 200, 30)
    site.rows("UPDATE accounts_guesses SET count = 39, open_at = '2020-01-01 00:00:00' WHERE count = 10")
    person = visitor(site)
    person.ask(mobile)
    code = site.phone.code_for(mobile, 3)
    assert word(person.enter(wrong(code))) == (422, "SMS_CODE_WRONG")
    answer = person.enter(code)
    assert word(answer) == (429, "CODE_LIMIT"), "forty wrong ones, and the next is looked at after a while"
    assert 100 < int(answer.headers["Retry-After"]) <= HOUR
    end_all_pauses(site)
    assert word(person.enter(code)) == (200, "OK"), "a refused guess used nothing up"


def test_a_hundred_wrong_codes_shut_the_number_and_a_password_opens_it(site: Stack, alice: str) -> None:
    """T-16, D3: NIST SP 800-63B-4, 3.2.2. T-27: the other way in stays open all the while."""
    mobile = mobile_of(site, alice)
    person = visitor(site)
    person.ask(mobile)
    code = site.phone.code_for(mobile)
    person.enter(wrong(code))
    site.rows("UPDATE accounts_guesses SET count = 99 WHERE key LIKE 'code:%' AND count = 1")
    assert word(person.enter(wrong(code))) == (422, "SMS_CODE_WRONG")
    assert word(person.enter(code)) == (403, "CODES_SHUT")
    end_all_pauses(site)
    assert word(person.enter(code)) == (403, "CODES_SHUT"), "no time opens it"
    sent = len(site.phone.messages)
    answer = visitor(site).ask(mobile)
    assert word(answer) == (403, "CODES_SHUT")
    assert len(site.phone.messages) == sent, "and no SMS is paid for"
    assert word(visitor(site).login(alice, PASSWORD)) == (200, "OK")
    assert word(person.enter(code)) == (200, "OK")


def test_an_operator_forgives(site: Stack, alice: str) -> None:
    """T-27: whoever was shut out by strangers and has no other way in asks the operator."""
    mobile = mobile_of(site, alice)
    person = visitor(site)
    person.ask(mobile)
    code = site.phone.code_for(mobile)
    person.enter(wrong(code))
    site.rows("UPDATE accounts_guesses SET count = 100, open_at = '9999-01-01 00:00:00' WHERE key LIKE 'code:%'")
    assert word(person.enter(code)) == (403, "CODES_SHUT")
    assert "code forgiven" in site.manage("forgive", mobile)
    assert "nothing" in site.manage("forgive", mobile)
    assert word(person.enter(code)) == (200, "OK")


def test_a_stranger_locks_nobody_out_of_both_ways(site: Stack, alice: str) -> None:
    """T-27: whoever floods the password leaves the codes open, and the other way round."""
    for _ in range(12):
        visitor(site).login(alice, "wrong password")
    assert word(visitor(site).login(alice, PASSWORD)) == (429, "PASSWORD_LIMIT"), "or nothing was locked"
    mobile = mobile_of(site, alice)
    person = visitor(site)
    person.ask(mobile)
    assert word(person.enter(site.phone.code_for(mobile))) == (200, "OK")
    end_all_pauses(site)
    stranger = visitor(site)
    stranger.ask(mobile)
    code = site.phone.code_for(mobile, 2)
    for _ in range(5):
        stranger.enter(wrong(code))
    assert word(visitor(site).login(alice, PASSWORD)) == (200, "OK")


def test_one_address_guesses_at_the_codes_of_many_numbers(site: Stack) -> None:
    """T-17: an address has fifty wrong guesses, whatever they are guesses at."""
    address = next(addresses)
    told = []
    for n in range(3):
        mobile, person = number(), visitor(site, address)
        person.ask(mobile)
        code = site.phone.code_for(mobile)
        told += [word(person.enter(wrong(code))) for _ in range(2)]
        if n == 0:
            fill_address(site, 48)
    assert told == [(422, "SMS_CODE_WRONG")] * 4 + [(429, "CODE_LIMIT")] * 2
    assert "guesses from address" in "".join(web.text() for web in site.webs)


def test_guessing_all_over_the_site_raises_an_alarm(site: Stack) -> None:
    """T-17: from many addresses, each of which stays under its own limit."""
    site.redis.set("latchkey:failed_attempts", 198, ex=60)
    visitor(site).login(next(names), "wrong password")
    assert "ALARM" not in site.webs[0].text()
    visitor(site).login(next(names), "wrong password")
    assert "ALARM: 200 wrong guesses within an hour" in site.webs[0].text()


def test_redis_cannot_bring_a_code_back(site: Stack) -> None:
    """T-15, T-19: a Redis that was killed may have forgotten that a code is used or burned. The row has not."""
    used, burned = number(), number()
    person, guesser = visitor(site), visitor(site)
    for who, mobile in ((person, used), (guesser, burned)):
        who.ask(mobile)
    code = site.phone.code_for(used)
    client = site.redis
    ids = [row["id"] for row in site.deliveries() if row["mobile"] in {f"+86{used}", f"+86{burned}"}]
    opened = {key: found for key in client.scan_iter("*:challenge:*") if (found := client.get(key)) in ids}
    assert len(opened) == 2
    late = tabs(site, person, 1)[0]
    assert word(person.enter(code)) == (200, "OK")
    right = site.phone.code_for(burned)
    for _ in range(5):
        guesser.enter(wrong(right))
    assert not client.exists(*opened), "used and burned, they are closed"
    for key, delivery in opened.items():
        client.set(key, str(delivery), px=60000)
    assert word(late.enter(code)) == (422, "SMS_CODE_EXPIRED")
    end_all_pauses(site)
    assert word(guesser.enter(right)) == (422, "SMS_CODE_EXPIRED")
