"""Whoever tries Latchkey out has soon reached a limit. A button on the dev phone's page resets them all."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.support.numbers import number
from tests.support.person import leaves
from tests.support.stack import Stack, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

PASSWORD = "a long and winding password"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A site where everybody is soon refused."""
    folder = tmp_path_factory.mktemp("site")
    with Stack(folder, SMS_PER_HOUR="1", SMS_PER_IP_HOUR="3", PASSWORD_TRIES="3", SMS_COOLDOWN="30") as stack:
        yield stack


def reset(site: Stack) -> str:
    """Press the button without JavaScript, and return what the page then says."""
    person = site.person()
    answer = person.page("/dev/phone/limits/")
    assert answer.status_code == 302
    page = person.get(answer.headers["Location"]).text
    (said,) = re.findall(r'id="limits-reset">(.*?)</p>', page, re.DOTALL)
    return " ".join(re.sub(r"<[^>]+>", "", said).split())


def test_codes_can_be_requested_again_at_once(site: Stack) -> None:
    """The cooldown, and the hours of the number and the address. Redis forgets them, and does not recall them."""
    mobile = number()
    assert site.person().ask(mobile).status_code == 202
    assert site.person().ask(mobile).json()["code"] == "SMS_TOO_FREQUENT"
    for _ in range(2):
        assert site.person().ask(number()).status_code == 202
    assert site.person().ask(number()).json()["code"] == "SMS_LIMIT", "or this test means nothing"
    assert reset(site) == "All limits are reset. 3 requests no longer count, 0 failed attempts are forgotten."
    assert site.person().ask(mobile).status_code == 202
    reset(site)
    # An emptied Redis is filled from the rows.
    site.empty_valkey()
    wait_until(lambda: site.get("/readyz").status_code == 200, 30)
    assert site.person().ask(mobile).status_code == 202
    reset(site)


def test_an_open_page_stops_counting_down(site: Stack) -> None:
    person, mobile = site.person(), number()
    page = person.open()
    assert person.ask(mobile).status_code == 202
    wait_until(lambda: page.receive(0.1) is not None and int(page.leaves["countdown"]["data-seconds"]) > 10, 10)
    reset(site)
    wait_until(lambda: page.receive(0.1) is not None and page.leaves["countdown"]["data-seconds"] == "0", 5)
    assert leaves(person.get().text)["countdown"]["data-seconds"] == "0", "after a reload as well"


def test_a_page_that_waits_for_another_browser_s_code_goes_on(site: Stack) -> None:
    """No row of its own tells of that countdown: only its cookie does."""
    mobile = number()
    assert site.person().ask(mobile).status_code == 202
    person = site.person()
    page = person.open()
    assert person.htmx("/code/", mobile=mobile).status_code == 429
    wait_until(lambda: page.receive(0.1) is not None and int(page.leaves["countdown"]["data-seconds"]) > 10, 10)
    reset(site)
    wait_until(lambda: page.receive(0.1) is not None and page.leaves["countdown"]["data-seconds"] == "0", 5)


def test_passwords_are_looked_at_again(site: Stack) -> None:
    site.user("forgetful", password=PASSWORD)
    for _ in range(3):
        site.person().login("forgetful", "a wrong password")
    assert site.person().login("forgetful", PASSWORD).status_code == 429, "or this test means nothing"
    assert "3 failed attempts are forgotten." in reset(site)
    assert site.person().login("forgetful", PASSWORD).status_code == 200


def test_codes_that_were_locked_are_open(site: Stack) -> None:
    mobile = number()
    person = site.person()
    assert person.ask(mobile).status_code == 202
    code = site.phone.code_for(mobile)
    for _ in range(5):
        person.enter(f"{(int(code) + 1) % 1_000_000:06}")
    site.rows("UPDATE accounts_guesses SET count = 80, open_at = '9999-01-01' WHERE key LIKE 'code:%'")
    assert site.person().ask(mobile).status_code == 429
    reset(site)
    assert site.person().ask(mobile).status_code == 202
    reset(site)


def test_with_javascript_only_the_sentence_comes_back(site: Stack) -> None:
    answer = site.person().htmx("/dev/phone/limits/")
    assert answer.status_code == 200
    assert leaves(answer.text)["limits-reset"]["text"].startswith("All limits are reset.")


@pytest.mark.parametrize("query", ["", "?requests=x&guesses=1", "?requests=-1&guesses=1", "?requests=1"])
def test_the_page_does_not_say_what_was_not_done(site: Stack, query: str) -> None:
    assert "All limits are reset" not in site.person().get(f"/dev/phone/{query}").text


def test_a_link_or_another_site_does_not_reset_anything(site: Stack) -> None:
    person = site.person()
    assert person.get("/dev/phone/limits/").status_code == 405
    assert person.http.post("/dev/phone/limits/").status_code == 403
