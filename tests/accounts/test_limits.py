"""What one may ask for in an hour: by browser, by range of numbers; and limits that are only written down."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.numbers import number
from tests.support.stack import Stack, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.person import Person

addresses = (f"203.0.113.{n}" for n in itertools.count(1))
# The first numbers of ranges: what differs from one to the next is not in the last four digits.
ranges = (f"1380{n:03}" for n in itertools.count(100))
BEHIND_PROXY = {
    "TRUSTED_PROXIES": "1",
    "PUBLIC_ORIGIN": "http://login.example.org",
    "ALLOWED_HOSTS": "127.0.0.1",
    "SMS_COOLDOWN": "0",
}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A site where a browser has three codes an hour, and a range of numbers four."""
    settings: dict[str, Any] = {**BEHIND_PROXY, "SMS_PER_SESSION_HOUR": "3", "SMS_PER_PREFIX_HOUR": "4"}
    with Stack(tmp_path_factory.mktemp("site"), **settings) as stack:
        yield stack


def visitor(site: Stack, address: str = "") -> Person:
    """Return a newcomer with an address of their own."""
    headers: dict[str, Any] = {"X-Forwarded-For": address or next(addresses)}
    return site.person(**headers)


def test_a_browser_that_changes_its_address_has_its_own_limit(site: Stack) -> None:
    """T-6: three numbers, three addresses, one browser."""
    person, told = visitor(site), []
    for _ in range(5):
        person.http.headers["X-Forwarded-For"] = next(addresses)
        told.append(person.ask(f"{next(ranges)}{1234}").json()["code"])
    assert told == ["OK"] * 3 + ["SMS_LIMIT"] * 2
    assert "a limit is reached: browser, hour" in site.webs[0].text()


def test_a_rented_range_of_numbers_has_its_own_limit(site: Stack) -> None:
    """T-6: each number for the first time, from an address and a browser of its own."""
    rented, other = next(ranges), next(ranges)
    told = [visitor(site).ask(f"{rented}{n:04}").json()["code"] for n in range(6)]
    assert told == ["OK"] * 4 + ["SMS_LIMIT"] * 2
    assert "a limit is reached: prefix, hour" in site.webs[0].text()
    assert visitor(site).ask(f"{other}0000").json()["code"] == "OK"


def test_an_emptied_redis_forgets_neither_of_them(site: Stack) -> None:
    """T-7: both are counted from the rows."""
    rented, person = next(ranges), visitor(site)
    for n in range(3):
        assert person.ask(f"{rented}{n:04}").status_code == 202
    site.empty_valkey()
    wait_until(lambda: site.get("/readyz").status_code == 200, 30)
    assert person.ask(f"{next(ranges)}0000").json()["code"] == "SMS_LIMIT"
    told = [visitor(site).ask(f"{rented}{n:04}").json()["code"] for n in range(3, 6)]
    assert told == ["OK"] + ["SMS_LIMIT"] * 2


def test_limits_that_are_only_written_down_refuse_nobody(tmp_path: Path) -> None:
    """SMS_LIMITS_RECORD_ONLY: the log says who would have been refused. The cooldown holds."""
    settings: dict[str, Any] = {
        "SMS_LIMITS_RECORD_ONLY": "1",
        "SMS_COOLDOWN": "60",
        "SMS_PER_IP_HOUR": "1",
        "SMS_BUDGET_HOUR": "2",
    }
    with Stack(tmp_path, **settings) as site:
        mobiles = [number() for _ in range(3)]
        assert [site.person().ask(mobile).status_code for mobile in mobiles] == [202] * 3
        assert site.person().ask(mobiles[0]).json()["code"] == "SMS_TOO_FREQUENT"
        assert len(site.phone.wait_for(3)) == 3
        log = site.webs[0].text()
        assert log.count("code would be refused: a limit is reached: address, hour") == 2
