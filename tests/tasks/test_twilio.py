"""The Twilio gateway over real HTTP, against a provider of our own that checks like the real one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from django.urls import reverse

from tasks.gateways import Answer, Outcome, Reason
from tasks.gateways.twilio import CODES, Twilio
from tests.support.providers.common import (
    ACCEPTED,
    NONE,
    NOT_SENT,
    NUMBER,
    OPERATOR,
    REFUSED,
    ROUTE,
    UNKNOWN,
    message,
    use,
)
from tests.support.providers.twilio import Twilio as FakeTwilio

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_django import Settings


@pytest.fixture
def provider(settings: Settings) -> Iterator[FakeTwilio]:
    with FakeTwilio() as provider:
        use(provider, settings)
        yield provider


def send(**changes: str) -> Answer:
    return Twilio().send(message(**changes))


# A person asks for a code


def test_a_person_gets_the_code_they_asked_for(provider: FakeTwilio) -> None:
    answer = send(code="000042")
    [sms] = provider.sent
    assert (sms.to, sms.code) == ("+8613800138000", "000042")
    assert provider.requests[0].body["Body"] == "000042 is your code"
    assert provider.violations == []
    assert (answer.outcome, answer.reason, answer.provider_code) == (ACCEPTED, NONE, "queued")
    assert answer.provider_id == sms.sid != ""


def test_a_messaging_service_is_named_instead_of_a_number(settings: Settings, provider: FakeTwilio) -> None:
    settings.TWILIO_MESSAGING_SERVICE_SID = "MG" + "0" * 32
    answer = send()
    assert (answer.outcome, answer.provider_code) == (ACCEPTED, "accepted")
    assert "From" not in provider.requests[0].body
    assert provider.violations == []


def test_a_message_does_not_outlive_its_code(provider: FakeTwilio) -> None:
    """Twilio keeps one for ten hours unless it is told otherwise."""
    assert send().outcome is ACCEPTED
    assert provider.requests[0].body["ValidityPeriod"] == "300"
    assert provider.violations == []


def test_a_wrong_token_is_not_let_in(settings: Settings, provider: FakeTwilio) -> None:
    settings.TWILIO_AUTH_TOKEN = "0" * 32
    answer = send()
    assert (answer.outcome, answer.reason, answer.provider_code) == (REFUSED, OPERATOR, "20003")
    assert len(provider.violations) == 1, "the provider can find fault, so its silence elsewhere means something"


def test_a_person_who_has_opted_out_is_told(provider: FakeTwilio) -> None:
    provider.cooldown = 60
    assert send().outcome is ACCEPTED
    answer = send()
    assert (answer.outcome, answer.reason, answer.provider_code) == (REFUSED, NUMBER, "21610")


@pytest.mark.parametrize(
    ("origin", "secret", "callback"),
    [
        ("https://login.example.org", "s" * 32, "https://login.example.org/receipts/twilio/" + "s" * 32 + "/"),
        ("https://login.example.org", "", None),
        ("http://127.0.0.1:8000", "s" * 32, None),
    ],
)
def test_reports_are_asked_for_where_they_can_come_safely(
    settings: Settings, provider: FakeTwilio, origin: str, secret: str, callback: str | None
) -> None:
    settings.PUBLIC_ORIGIN, settings.TWILIO_RECEIPT_SECRET = origin, secret
    assert send().outcome is ACCEPTED
    address, _, query = (provider.requests[0].body.get("StatusCallback") or "").partition("?")
    assert address == (callback or "")
    assert query.startswith("reference=") is (callback is not None)
    assert provider.violations == []
    # The form is the site's own address for it.
    if callback:
        assert reverse("receipts", args=["twilio", secret]) == callback.removeprefix(origin)


def test_a_message_that_was_given_up_at_once_is_not_accepted(provider: FakeTwilio) -> None:
    sid = "SM" + "0" * 32
    provider.script('200:{"sid":"' + sid + '","status":"failed","error_code":30006}')
    answer = send()
    assert (answer.outcome, answer.reason, answer.provider_code) == (REFUSED, NUMBER, "30006")


@pytest.mark.parametrize("sid", ["null", "7", '"SM"', '"<b>"', '"AC00000000000000000000000000000000"'])
def test_a_success_without_an_id_is_no_success(provider: FakeTwilio, sid: str) -> None:
    provider.script('200:{"status":"queued","sid":' + sid + "}")
    assert send().outcome is UNKNOWN


# The provider's own words, as its pages have them: the gateway's table is checked against these, not against itself.

SAID: list[tuple[str, Outcome, Reason]] = [
    ("queued accepted sending sent", ACCEPTED, NONE),
    ("failed undelivered canceled", REFUSED, OPERATOR),
    ("20429 14107 21730 30003 30500 30001 30017 30022 30023 30027 30036 30410", NOT_SENT, NONE),
    ("63038", NOT_SENT, OPERATOR),
    ("20500 20503 20504 30008", UNKNOWN, NONE),
    ("21211 21214 21217 21614 21635 30005 30006 21610 30004 30450 30453", REFUSED, NUMBER),
    ("21408 21612", REFUSED, ROUTE),
    ("10001 20003 20005 20006 20010 20151 20403 20404 20426 90010 30002 20008 21608", REFUSED, OPERATOR),
    ("21212 21219 21470 21472 21601 21603 21606 21607 21611 21616 21657 21659 21660 21661", REFUSED, OPERATOR),
    ("21701 21702 21703 21704 21705 21708 21709 21711 21712 21910", REFUSED, OPERATOR),
    ("30007 30010 30018 30024 30032 30033 30034 30035", REFUSED, OPERATOR),
    ("21602 21605 21617 21618 21619 21620 21655 21656 21658", REFUSED, OPERATOR),
    ("21609 21624 21626 20001 20002 20422 21604", REFUSED, OPERATOR),
    # In no list, but the provider itself refused the request.
    ("21999 30999 99999", REFUSED, OPERATOR),
]


@pytest.mark.parametrize(("codes", "outcome", "reason"), SAID, ids=[codes[:30] for codes, *_ in SAID])
def test_each_code_has_its_outcome(provider: FakeTwilio, codes: str, outcome: Outcome, reason: Reason) -> None:
    for code in codes.split():
        provider.script(code)
        answer = send()
        assert (answer.provider_code, answer.outcome, answer.reason) == (code, outcome, reason)
        assert answer.detail
    assert provider.violations == []


def test_no_row_of_the_table_is_left_out_of_the_test_above() -> None:
    said = {code for codes, *_ in SAID for code in codes.split()}
    # Words for what comes later than an answer; one that has them all the same is as good.
    assert {"scheduled", "delivered"} <= CODES.keys()
    for entry in CODES.keys() - {"scheduled", "delivered"}:
        start = entry.removesuffix("*")
        assert entry in said or (start != entry and any(code.startswith(start) for code in said)), entry


@pytest.mark.parametrize(
    ("codes", "reason"),
    [
        ("30010 30018 30024 30033 30034 30035", OPERATOR),
        ("30001 30017 30022 30023 30027 30036 30410", NONE),
        ("30005 30006 undelivered failed", NUMBER),
    ],
)
def test_a_report_is_read_by_the_same_table(codes: str, reason: Reason) -> None:
    assert {code: Twilio().report_reason(code) for code in codes.split()} == dict.fromkeys(codes.split(), reason)


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("TWILIO_ACCOUNT_SID", "nobody", "20003"),
        ("TWILIO_ACCOUNT_SID", "../a b/?", "20003"),
        ("TWILIO_FROM", "+15005550001", "21606"),
        ("TWILIO_FROM", "", "21603"),
        ("TWILIO_MESSAGING_SERVICE_SID", "MG", "21701"),
    ],
)
def test_a_wrong_setting_is_the_operators_to_mend(
    settings: Settings, provider: FakeTwilio, name: str, value: str, code: str
) -> None:
    setattr(settings, name, value)
    answer = send()
    assert (answer.outcome, answer.reason, answer.provider_code) == (REFUSED, OPERATOR, code)
    assert provider.sent == []
