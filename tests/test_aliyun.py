"""The Aliyun gateway over real HTTP, against a provider of our own that recomputes its signature."""

from __future__ import annotations

import hashlib
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Self
from uuid import uuid4

import pytest

from tasks.gateways import Answer, Outcome, Reason, http
from tasks.gateways.aliyun import VERDICTS, Aliyun, authorization
from tests.providers.aliyun import Aliyun as FakeAliyun
from tests.providers.common import (
    ACCEPTED,
    FAULTS,
    NONE,
    NONSENSE,
    NOT_SENT,
    NUMBER,
    OPERATOR,
    REFUSED,
    STALLS,
    UNKNOWN,
    WAIT,
    message,
    nothing_secret,
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
    ("isv.MOBILE_NUMBER_ILLEGAL isv.DOMESTIC_NUMBER_NOT_SUPPORTED", REFUSED, NUMBER),
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
    ("isv.SOMETHING_NEW Something.New isp.SOMETHING", UNKNOWN, OPERATOR),
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
    for entry in VERDICTS:
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


# Faults


@pytest.mark.parametrize(("mode", "outcome", "reason", "arrives"), FAULTS)
def test_each_fault_has_its_outcome(
    provider: FakeAliyun, mode: str, outcome: Outcome, reason: Reason, arrives: bool
) -> None:
    provider.script(mode)
    answer = send()
    assert (answer.outcome, answer.reason) == (outcome, reason)
    assert len(provider.sent) == arrives
    assert len(provider.requests) == 1, "one send is one request: repeating is not the gateway's to decide"
    assert provider.violations == []
    # And the next person is none the worse for it.
    assert send().outcome is ACCEPTED


@pytest.mark.parametrize("body", NONSENSE, ids=range(len(NONSENSE)))
def test_an_answer_that_is_none_is_not_taken_for_one(provider: FakeAliyun, body: str) -> None:
    provider.script(f"200:{body}")
    answer = send()
    assert (answer.outcome, answer.reason, answer.provider_code) == (UNKNOWN, NONE, "")


def test_a_provider_that_stalls_holds_a_worker_for_seconds_not_minutes(provider: FakeAliyun) -> None:
    provider.script(*STALLS)
    started = time.monotonic()
    with ThreadPoolExecutor(len(STALLS)) as pool:
        answers = list(pool.map(lambda _: send(), STALLS))
    assert {answer.outcome for answer in answers} == {UNKNOWN}
    assert time.monotonic() - started < http.TOTAL + 4
    assert len(provider.sent) == 3, "a refusal would have been a lie"


def test_a_provider_that_is_down_has_got_nothing(provider: FakeAliyun) -> None:
    with provider.down():
        assert send().outcome is NOT_SENT
    assert send().outcome is ACCEPTED


def test_a_repeat_is_a_second_sms(provider: FakeAliyun) -> None:
    """So the gateway does not call itself idempotent."""
    reference = uuid4().hex
    send(reference=reference)
    send(reference=reference)
    assert len(provider.sent) == 2
    assert not Aliyun.idempotent


@pytest.mark.parametrize("to", ["", "+", "hello", "13800138000", "+86"])
def test_what_is_not_a_number_in_e164_never_leaves(provider: FakeAliyun, to: str) -> None:
    answer = send(to=to)
    assert (answer.outcome, answer.reason) == (REFUSED, NUMBER)
    assert provider.requests == []


@pytest.mark.parametrize(
    "name", ["ALIYUN_ACCESS_KEY_ID", "ALIYUN_ACCESS_KEY_SECRET", "ALIYUN_SIGN_NAME", "ALIYUN_TEMPLATE_CODE"]
)
def test_a_missing_setting_is_an_answer_not_an_exception(settings: Settings, provider: FakeAliyun, name: str) -> None:
    delattr(settings, name)
    answer = send()
    assert (answer.outcome, answer.reason) == (REFUSED, OPERATOR)
    assert provider.requests == []


@pytest.mark.parametrize("base", ["", "provider", "ftp://provider", "http://[", "https://例子.invalid"])
def test_a_nonsensical_base_url_is_an_answer_not_an_exception(
    settings: Settings, provider: FakeAliyun, base: str
) -> None:
    settings.ALIYUN_BASE_URL = base
    assert send().outcome in {NOT_SENT, REFUSED, UNKNOWN}


@pytest.mark.parametrize("mode", ["ok", "bad_number", "auth_error", "503", "400", "reset", "accept_then_garbage"])
def test_nothing_secret_is_written_down(provider: FakeAliyun, caplog: pytest.LogCaptureFixture, mode: str) -> None:
    provider.script(mode)
    with nothing_secret(caplog, provider.secret, "13912345678", "8613912345678", "271828") as said:
        said.append(send(to="+8613912345678", code="271828"))
    assert provider.requests[0].headers["authorization"] not in caplog.text
