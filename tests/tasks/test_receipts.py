"""Delivery reports over real HTTP: authenticated, matched, forward only, however late, early or often they come."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import httpx
import pytest

from tests.support.numbers import number
from tests.support.provider import SMS, Provider
from tests.support.stack import Stack, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.person import Person

SECRET = "a-secret-of-thirty-two-letters-00"
PATH = f"/receipts/yuntongxun/{SECRET}/"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Stack, Provider]]:
    """A site whose provider reports back."""
    with (
        Provider() as provider,
        Stack(tmp_path_factory.mktemp("site"), provider=provider, YUNTONGXUN_RECEIPT_SECRET=SECRET) as stack,
    ):
        yield stack, provider


def report(
    stack: Stack, sid: str, *, delivered: bool, path: str = PATH, reference: str = "", code: str = ""
) -> httpx.Response:
    """Report as Yuntongxun does."""
    body = {
        "Request": {
            "action": "SMSArrived",
            "smsType": "1",
            "apiVersion": "2013-12-26",
            "content": sid,
            "fromNum": "13900000000",
            "dateSent": "20261122120000",
            "deliverCode": code or ("DELIVRD" if delivered else "UNDELIV"),
            "recvTime": "20261122120010",
            "status": "0" if delivered else "1",
            "reqId": reference,
            "smsCount": "1",
            "spCode": "10690876",
        }
    }
    headers = {"Content-Type": "application/json"}
    return httpx.post(stack.url + path, content=json.dumps(body), headers=headers, timeout=30)


def sent(stack: Stack) -> tuple[Person, str, str]:
    """Ask for a code and wait until the provider has it. Returns who asked, the delivery's id and the provider's."""
    person = stack.person()
    assert person.ask(number()).status_code == 202
    row = stack.wait_for_state("sent")
    attempt = next(attempt for attempt in stack.attempts() if attempt["delivery_id"] == row["id"])
    assert attempt["provider_id"], "or this test means nothing"
    return person, row["id"], attempt["provider_id"]


def state_of(stack: Stack, delivery: str) -> str:
    """Return where a delivery stands."""
    found: str = stack.rows("SELECT state FROM tasks_delivery WHERE id = ?", delivery)[0]["state"]
    return found


def test_delivered_reaches_the_open_page(site: tuple[Stack, Provider]) -> None:
    stack, _ = site
    person, delivery, sid = sent(stack)
    page = person.open()
    page.wait_for("delivery", state="sent")
    answer = report(stack, sid, delivered=True)
    assert (answer.status_code, answer.text) == (200, "success")
    page.wait_for("delivery", state="delivered")
    assert state_of(stack, delivery) == "delivered"


def test_a_failed_report_gives_the_cooldown_back(site: tuple[Stack, Provider]) -> None:
    stack, _ = site
    person, _delivery, sid = sent(stack)
    page = person.open()
    page.wait_for("delivery", state="sent")
    assert person.state["seconds"] > 0
    assert report(stack, sid, delivered=False).status_code == 200
    page.wait_for("delivery", state="failed")
    page.wait_for("countdown", seconds="0")


@pytest.mark.parametrize(
    ("code", "reason"),
    [("UNDELIV", "number"), ("160051", "number"), ("160014", "operator"), ("160061", "route"), ("160050", "")],
)
def test_a_failed_report_says_who_can_do_something_about_it(
    site: tuple[Stack, Provider], code: str, reason: str
) -> None:
    """An account without balance is no fault of the visitor's number."""
    stack, _ = site
    person, delivery, sid = sent(stack)
    page = person.open()
    page.wait_for("delivery", state="sent")
    assert report(stack, sid, delivered=False, code=code).status_code == 200
    page.wait_for("delivery", state="failed")
    assert stack.rows("SELECT reason FROM tasks_delivery WHERE id = ?", delivery)[0]["reason"] == reason


def test_a_report_moves_forward_only(site: tuple[Stack, Provider]) -> None:
    """T-94: what is on the handset does not fail later, and the same report again is nothing new."""
    stack, _ = site
    _person, delivery, sid = sent(stack)
    assert report(stack, sid, delivered=True).status_code == 200
    for delivered in (False, True, False):
        assert report(stack, sid, delivered=delivered).status_code == 200
    assert state_of(stack, delivery) == "delivered"
    kept = stack.rows("SELECT delivered FROM tasks_report WHERE provider_id = ?", sid)
    assert sorted(row["delivered"] for row in kept) == [0, 1]


def test_a_report_that_is_sooner_than_the_answer_is_kept_and_applied(site: tuple[Stack, Provider]) -> None:
    """T-94: out of order."""
    stack, provider = site

    def at_once(sms: SMS) -> None:
        report(stack, sms.sid, delivered=True)

    provider.on_sent = at_once
    try:
        person = stack.person()
        assert person.ask(number()).status_code == 202
        stack.wait_for_state("delivered")
    finally:
        provider.on_sent = None


def test_a_report_by_our_own_reference_resolves_a_send_whose_answer_was_lost(site: tuple[Stack, Provider]) -> None:
    stack, provider = site
    provider.mode = "accept_then_502"
    try:
        person = stack.person()
        assert person.ask(number()).status_code == 202
        wait_until(lambda: [row for row in stack.deliveries()[-1:] if row["attempts"]], 20)
        delivery = stack.deliveries()[-1]["id"]
        assert report(stack, "unheard-of", delivered=True, reference=delivery).status_code == 200
        wait_until(lambda: state_of(stack, delivery) == "delivered", 20)
    finally:
        provider.mode = "ok"


def test_a_report_of_a_message_that_nobody_knows_is_kept(site: tuple[Stack, Provider]) -> None:
    stack, _ = site
    before = stack.deliveries()
    assert report(stack, "from-another-life", delivered=True).status_code == 200
    assert stack.deliveries() == before
    assert stack.rows("SELECT 1 FROM tasks_report WHERE provider_id = 'from-another-life'")


@pytest.mark.parametrize(
    ("path", "status"),
    [
        (f"/receipts/yuntongxun/{SECRET[:-1]}1/", 404),
        ("/receipts/yuntongxun/é/", 404),
        (f"/receipts/aliyun/{SECRET}/", 404),
        (f"/receipts/phone/{SECRET}/", 404),
        (f"/receipts/nobody/{SECRET}/", 404),
    ],
)
def test_a_stranger_who_guesses_the_path_changes_nothing(site: tuple[Stack, Provider], path: str, status: int) -> None:
    """T-94."""
    stack, _ = site
    _person, delivery, sid = sent(stack)
    assert report(stack, sid, delivered=False, path=path).status_code == status
    assert state_of(stack, delivery) == "sent"


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b"\xff\xfe", b'{"Request": 1}', b"{" * 5000])
def test_a_forged_report_is_refused_and_changes_nothing(site: tuple[Stack, Provider], body: bytes) -> None:
    """T-94."""
    stack, _ = site
    before = stack.rows("SELECT * FROM tasks_report")
    answer = httpx.post(stack.url + PATH, content=body, headers={"Content-Type": "application/json"}, timeout=30)
    assert answer.status_code == 403
    assert stack.rows("SELECT * FROM tasks_report") == before
    assert "Traceback" not in stack.logs()


def test_a_chunked_report_arrives_whole(site: tuple[Stack, Provider]) -> None:
    """Some webhook senders name no length; WSGI would see an empty body."""
    stack, _ = site
    _person, delivery, sid = sent(stack)
    body = json.dumps({"Request": {"action": "SMSArrived", "smsType": "1", "content": sid, "status": "0"}}).encode()
    parts = iter([body[:20], body[20:]])
    answer = httpx.post(stack.url + PATH, content=parts, headers={"Content-Type": "application/json"}, timeout=30)
    assert answer.status_code == 200
    assert state_of(stack, delivery) == "delivered"


def test_an_address_without_its_last_slash_takes_reports_as_well(site: tuple[Stack, Provider]) -> None:
    """A console is filled in by hand, and a redirect would lose the report."""
    stack, _ = site
    _person, delivery, sid = sent(stack)
    assert report(stack, sid, delivered=True, path=PATH.removesuffix("/")).status_code == 200
    assert state_of(stack, delivery) == "delivered"


@pytest.mark.parametrize("chunked", [False, True])
def test_a_report_may_be_longer_than_any_form_up_to_a_mebibyte(site: tuple[Stack, Provider], chunked: bool) -> None:
    """A batch of 250 reports is more than 64 KiB."""
    stack, _ = site
    _person, delivery, sid = sent(stack)
    body = json.dumps({"Request": {"action": "SMSArrived", "smsType": "1", "content": sid, "status": "0"}}).encode()

    def post(length: int) -> int:
        content = body.ljust(length)
        parts = iter([content[:99], content[99:]]) if chunked else content
        headers = {"Content-Type": "application/json"}
        return httpx.post(stack.url + PATH, content=parts, headers=headers, timeout=30).status_code

    assert post(1024 * 1024 + 1) in {400, 413}
    assert state_of(stack, delivery) == "sent"
    assert post(1024 * 1024) == 200
    assert state_of(stack, delivery) == "delivered"


def test_a_get_is_no_report(site: tuple[Stack, Provider]) -> None:
    stack, _ = site
    assert stack.get(PATH).status_code == 405
