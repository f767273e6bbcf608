"""The Aliyun gateway over real HTTP, against a provider of our own that recomputes its signature."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Self
from uuid import uuid4

import pytest

from tasks.gateways import Answer, Outcome, Reason
from tasks.gateways.aliyun import CODES, Aliyun, authorization
from tests.support.providers.aliyun import Aliyun as FakeAliyun
from tests.support.providers.common import (
    ACCEPTED,
    NONE,
    NOT_SENT,
    NUMBER,
    OPERATOR,
    REFUSED,
    ROUTE,
    UNKNOWN,
    WAIT,
    message,
    use,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import tzinfo

    from pytest_django import Settings


@pytest.fixture
def provider(settings: Settings) -> Iterator[FakeAliyun]:
    with FakeAliyun() as provider:
        use(provider, settings)
        yield provider


def send(**changes: str) -> Answer:
    return Aliyun().send(message(**changes))


# The signature


def test_the_signature_is_that_of_the_providers_own_example() -> None:
    """From help.aliyun.com/sdk/product-overview/v3-request-structure-and-signature, "fixed parameters"."""
    headers = {
        "host": "ecs.cn-shanghai.aliyuncs.com",
        "x-acs-action": "RunInstances",
        "x-acs-content-sha256": hashlib.sha256(b"").hexdigest(),
        "x-acs-date": "2023-10-26T10:22:32Z",
        "x-acs-signature-nonce": "3156853299f313e23d1673dc12e1703d",
        "x-acs-version": "2014-05-26",
    }
    query = "ImageId=win2019_1809_x64_dtc_zh-cn_40G_alibase_20230811.vhd&RegionId=cn-shanghai"
    assert authorization("YourAccessKeyId", "YourAccessKeySecret", headers, b"", query=query) == (
        "ACS3-HMAC-SHA256 Credential=YourAccessKeyId,"
        "SignedHeaders=host;x-acs-action;x-acs-content-sha256;x-acs-date;x-acs-signature-nonce;x-acs-version,"
        "Signature=06563a9e1b43f5dfe96b81484da74bceab24a1d853912eee15083a6f0f3283c0"
    )


def test_a_wrong_secret_is_not_let_in(settings: Settings, provider: FakeAliyun) -> None:
    settings.ALIYUN_ACCESS_KEY_SECRET = "0" * 30
    answer = send()
    assert (answer.outcome, answer.reason, answer.provider_code) == (REFUSED, OPERATOR, "SignatureDoesNotMatch")
    assert len(provider.violations) == 1, "the provider can find fault, so its silence elsewhere means something"


# A person asks for a code


def test_a_person_gets_the_code_they_asked_for(provider: FakeAliyun) -> None:
    reference = uuid4().hex
    answer = send(reference=reference, code="000042")
    [sms] = provider.sent
    assert (sms.to, sms.code, sms.req_id) == ("13800138000", "000042", reference)
    assert provider.violations == []
    assert (answer.outcome, answer.reason, answer.provider_code) == (ACCEPTED, NONE, "OK")
    assert answer.provider_id == sms.sid != ""


@pytest.mark.parametrize(("to", "written"), [("+85251234567", "85251234567"), ("+390612345678", "390612345678")])
def test_a_number_abroad_is_written_with_its_country(provider: FakeAliyun, to: str, written: str) -> None:
    assert send(to=to).outcome is ACCEPTED
    assert provider.sent[0].to == written
    assert provider.violations == []


def test_nothing_of_the_message_is_in_the_address(provider: FakeAliyun) -> None:
    send()
    assert provider.requests[0].path == "/"


def test_a_person_who_asks_too_soon_is_told_to_wait(provider: FakeAliyun) -> None:
    provider.cooldown = 60
    assert send().outcome is ACCEPTED
    answer = send()
    assert (answer.outcome, answer.reason) == (REFUSED, WAIT)


# The provider's own words, as its pages have them: the gateway's table is checked against these, not against itself.

SAID: list[tuple[str, Outcome, Reason]] = [
    ("OK", ACCEPTED, NONE),
    ("Throttling Throttling.User Throttling.Api", NOT_SENT, NONE),
    ("isp.SYSTEM_ERROR InternalError ServiceUnavailable SignatureNonceUsed", UNKNOWN, NONE),
    ("isv.BUSINESS_LIMIT_CONTROL", REFUSED, WAIT),
    ("isv.MOBILE_NUMBER_ILLEGAL isv.CUSTOMER_REFUSED", REFUSED, NUMBER),
    ("isv.DOMESTIC_NUMBER_NOT_SUPPORTED", REFUSED, ROUTE),
    ("isp.GATEWAY_ERROR", UNKNOWN, NONE),
    ("isv.SECURITY_FROZEN_ACCOUNT isv.UNSUPPORTED_CONTENT isv.SMS_CONTENT_MISMATCH_TEMPLATE_TYPE", REFUSED, OPERATOR),
    ("isv.ONE_CODE_MULTIPLE_SIGN isv.CODE_EXCEED_LIMIT isv.CODE_ERROR isv.PARAMS_ILLEGAL", REFUSED, OPERATOR),
    ("isv.PORT_NOT_REGISTERED isv.template_parameter_count_illegal isv.SOMETHING_NEW", REFUSED, OPERATOR),
    ("isv.AMOUNT_NOT_ENOUGH isv.OUT_OF_SERVICE isv.DAY_LIMIT_CONTROL isv.MONTH_LIMIT_CONTROL", REFUSED, OPERATOR),
    ("isp.RAM_PERMISSION_DENY isv.DENY_IP_RANGE NoPermission Forbidden.RAM", REFUSED, OPERATOR),
    ("isv.SMS_SIGNATURE_ILLEGAL isv.SMS_SIGNATURE_SCENE_ILLEGAL isv.SMS_SIGN_ILLEGAL", REFUSED, OPERATOR),
    ("isv.SIGN_STATE_ILLEGAL isv.SIGN_NAME_ILLEGAL SIGNATURE_BLACKLIST", REFUSED, OPERATOR),
    ("isv.SMS_TEMPLATE_ILLEGAL isv.TEMPLATE_MISSING_PARAMETERS isv.TEMPLATE_PARAMS_ILLEGAL", REFUSED, OPERATOR),
    ("isv.INVALID_JSON_PARAM isv.PARAM_LENGTH_LIMIT isv.PARAM_NOT_SUPPORT_URL", REFUSED, OPERATOR),
    ("isv.SMS_CONTENT_ILLEGAL isv.BLACK_KEY_CONTROL_LIMIT isv.SMS_TEST_NUMBER_LIMIT", REFUSED, OPERATOR),
    ("isv.ACCOUNT_NOT_EXISTS isv.ACCOUNT_ABNORMAL", REFUSED, OPERATOR),
    ("isv.PRODUCT_UN_SUBSCRIPT isv.PRODUCT_UNSUBSCRIBE", REFUSED, OPERATOR),
    ("InvalidAccessKeyId.NotFound InvalidAccessKeyId.Inactive SignatureDoesNotMatch", REFUSED, OPERATOR),
    ("IncompleteSignature InvalidTimeStamp.Expired InvalidTimeStamp.Format", REFUSED, OPERATOR),
    ("InvalidSecurityToken.Expired MissingSecurityToken MissingAccessKeyId", REFUSED, OPERATOR),
    ("isv.EXTEND_CODE_ERROR isv.INVALID_PARAMETERS isv.MOBILE_COUNT_OVER_LIMIT", REFUSED, OPERATOR),
    ("InvalidParameter MissingParameter MissingPhoneNumbers InvalidVersion", REFUSED, OPERATOR),
    ("InvalidAction.NotFound UnsupportedHTTPMethod", REFUSED, OPERATOR),
    # In no list: nobody knows, and the operator reads the code.
    ("Something.New isp.SOMETHING", UNKNOWN, OPERATOR),
]


@pytest.mark.parametrize(("codes", "outcome", "reason"), SAID, ids=[codes[:30] for codes, *_ in SAID])
def test_each_code_has_its_outcome(provider: FakeAliyun, codes: str, outcome: Outcome, reason: Reason) -> None:
    for code in codes.split():
        provider.script(code)
        answer = send()
        assert (answer.provider_code, answer.outcome, answer.reason) == (code, outcome, reason)
        assert answer.detail
    assert provider.violations == []


def test_no_row_of_the_table_is_left_out_of_the_test_above() -> None:
    said = {code for codes, *_ in SAID for code in codes.split()}
    for entry in CODES:
        start = entry.removesuffix("*")
        assert entry in said or (start != entry and any(code.startswith(start) for code in said)), entry


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("ALIYUN_ACCESS_KEY_ID", "nobody", "InvalidAccessKeyId.NotFound"),
        ("ALIYUN_SIGN_NAME", "another", "isv.SMS_SIGNATURE_ILLEGAL"),
        ("ALIYUN_TEMPLATE_CODE", "SMS_0", "isv.SMS_TEMPLATE_ILLEGAL"),
    ],
)
def test_a_wrong_setting_is_the_operators_to_mend(
    settings: Settings, provider: FakeAliyun, name: str, value: str, code: str
) -> None:
    setattr(settings, name, value)
    answer = send()
    assert (answer.outcome, answer.reason, answer.provider_code) == (REFUSED, OPERATOR, code)
    assert provider.sent == []


def test_a_wrong_clock_is_the_operators_to_mend(provider: FakeAliyun, monkeypatch: pytest.MonkeyPatch) -> None:
    class Late(datetime):
        """A clock that is twenty minutes late."""

        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Self:
            return super().now(tz) - timedelta(minutes=20)

    monkeypatch.setattr("tasks.gateways.aliyun.datetime", Late)
    answer = send()
    assert (answer.outcome, answer.reason, answer.provider_code) == (REFUSED, OPERATOR, "InvalidTimeStamp.Expired")


def test_a_code_that_the_template_cannot_hold_is_refused(provider: FakeAliyun) -> None:
    assert send(code="1234567").provider_code == "isv.TEMPLATE_PARAMS_ILLEGAL"
