"""How long a message usually takes here: told by reports, never guessed, and the same for everybody."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.support.delivery_times import ENOUGH, GATEWAY, SECRET, history, moment, report
from tests.support.numbers import number
from tests.support.person import leaves
from tests.support.provider import Provider
from tests.support.stack import Stack

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.support.person import Person


@pytest.fixture
def site(make_stack: Callable[..., Stack], provider: Provider) -> Stack:
    """A site whose provider reports back. Each test has its own: a process remembers its figures."""
    return make_stack(provider=provider, YUNTONGXUN_RECEIPT_SECRET=SECRET)


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A site where only rows are looked at, by a process of the test's own each time."""
    with (
        Provider() as provider,
        Stack(tmp_path_factory.mktemp("site"), provider=provider, YUNTONGXUN_RECEIPT_SECRET=SECRET) as stack,
    ):
        assert stack.person().ask(number()).status_code == 202
        stack.wait_for_state("sent")
        yield stack


def figure(stack: Stack, gateway: str = GATEWAY) -> float | None:
    """Return what a fresh process takes for usual."""
    ask = f"from tasks.delivery import delivery_times; print(delivery_times.seconds({gateway!r}))"
    said = stack.manage("shell", "-v0", "-c", ask).strip()
    return None if said == "None" else float(said)


@pytest.fixture
def clean(shelf: Stack) -> Iterator[Stack]:
    """The shelf, with one real delivery on it that was never reported."""
    yield shelf
    shelf.rows("DELETE FROM tasks_delivery WHERE delivered_at IS NOT NULL")


def test_a_few_reports_are_no_habit(clean: Stack) -> None:
    history(clean, ENOUGH - 1, took=6)
    assert figure(clean) is None
    history(clean, 1, took=6)
    assert figure(clean) == pytest.approx(6, abs=0.01)


def test_one_that_was_lost_for_an_hour_changes_nothing(clean: Stack) -> None:
    history(clean, ENOUGH, took=6)
    history(clean, 2, took=3500, ago=3600)
    assert figure(clean) == pytest.approx(6, abs=0.01)


def test_decoys_old_ones_and_other_carriers_do_not_count(clean: Stack) -> None:
    history(clean, ENOUGH, took=60, decoy=1)
    history(clean, ENOUGH, took=60, ago=2 * 24 * 3600)
    history(clean, ENOUGH, took=60, gateway="aliyun")
    assert figure(clean) is None
    assert figure(clean, "aliyun") == pytest.approx(60, abs=0.01), "or this test means nothing"
    history(clean, ENOUGH, took=6)
    assert figure(clean) == pytest.approx(6, abs=0.01)


def ask(stack: Stack) -> tuple[Person, str]:
    """Ask for a code and wait until it is sent. Returns who asked, and the delivery's id."""
    person = stack.person()
    assert person.ask(number()).status_code == 202
    return person, stack.wait_for_state("sent")["id"]


def shown(person: Person) -> dict[str, str]:
    """Return the delivery's leaf, its text without what only the eye sees."""
    html = person.http.get("/state/").text
    return leaves(re.sub(r'<span id="life".*?</span>', "", html, flags=re.DOTALL))["delivery"]


def test_a_report_says_when_it_arrived(site: Stack, provider: Provider) -> None:
    ask(site)
    report(site, provider)
    row = site.wait_for_state("delivered")
    assert row["gateway"] == GATEWAY
    assert row["sent_at"]
    assert row["delivered_at"] >= row["sent_at"] > row["created_at"]


def test_without_reports_nothing_is_guessed(site: Stack) -> None:
    person, row = ask(site)
    site.rows(f"UPDATE tasks_delivery SET sent_at = {moment(100)} WHERE id = ?", row)
    leaf = shown(person)
    assert leaf["data-pace"] == ""
    assert "usually" not in leaf["text"]
    assert "longer" not in leaf["text"]


def test_a_page_says_what_is_usual_and_notices_by_itself_when_it_is_slow(site: Stack, provider: Provider) -> None:
    # Whoever asks does not look yet, so no process has a figure.
    person, _row = ask(site)
    history(site, ENOUGH, took=1)
    page = person.open()
    leaf = page.wait_for("delivery", state="sent", pace="usual")
    assert "It usually arrives within 1 second." in person.http.get("/state/").text
    # Nobody touches the row: the page's own look finds it out.
    slow = page.wait_for("delivery", 30.0, state="sent", pace="slow")
    assert slow != leaf
    report(site, provider)
    assert page.wait_for("delivery", state="delivered")["data-pace"] == ""


def test_a_decoy_says_the_same(site: Stack) -> None:
    """T-11: the figure does not ask whose number it is."""
    person, row = ask(site)
    history(site, ENOUGH, took=6)
    site.rows(f"UPDATE tasks_delivery SET sent_at = {moment(40)} WHERE id = ?", row)
    real = shown(person)
    assert real["data-pace"] == "slow", "or this test means nothing"
    assert "longer than the usual 6 seconds" in person.http.get("/state/").text
    site.rows("UPDATE tasks_delivery SET decoy = 1 WHERE id = ?", row)
    assert shown(person) == real


def test_a_code_that_has_run_out_is_not_waited_for(site: Stack) -> None:
    person, row = ask(site)
    history(site, ENOUGH, took=6)
    site.rows(f"UPDATE tasks_delivery SET sent_at = {moment(40)} WHERE id = ?", row)
    assert shown(person)["data-pace"] == "slow", "or this test means nothing"
    site.rows(f"UPDATE tasks_delivery SET created_at = {moment(310)}, sent_at = {moment(309)} WHERE id = ?", row)
    assert shown(person)["data-pace"] == ""
