"""The Tencent gateway over real HTTP, against a provider of our own that recomputes its signature."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from tasks.gateways import Answer, Outcome, Reason
from tasks.gateways.tencent import CODES, Tencent, authorization
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
from tests.support.providers.tencent import Tencent as FakeTencent

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_django import Settings


@pytest.fixture
def provider(settings: Settings) -> Iterator[FakeTencent]:
    with FakeTencent() as provider:
        use(provider, settings)
        yield provider


def send(**changes: str) -> Answer:
    return Tencent().send(message(**changes))


# The signature


@pytest.mark.parametrize(
    ("signed", "secret", "signature"),
    [
        # cloud.tencent.com/document/api/1021/34193 and its translations; the key is as it stands there.
        (
            "content-type;host",
            "Gu5t9xGARNpq86cd98joQYCN3EXAMPLE",
            "72e494ea809ad7a8c8f7a4507b9bddcbaa8e581f516e8da2f66e2c5a96525168",
        ),
        # The same page as it was before, when its key ended in stars: with the headers of then, and of later.
        (
            "content-type;host",
            "Gu5t9xGARNpq86cd98joQYCN3*******",
            "2230eefd229f582d8b1b891af7107b91597240707d778ab3738f756258d7652c",
        ),
        (
            "content-type;host;x-tc-action",
            "Gu5t9xGARNpq86cd98joQYCN3*******",
            "be4f67d323c78ab9acb7395e43c0dbcf822a9cfac32fea2449a7bc7726b770a3",
        ),
        # The page as it is now, when the key is nothing but stars.
        ("content-type;host;x-tc-action", "*" * 32, "10b1a37a7301a02ca19a647ad722d5e43b4b3cff309d421d85b46093f6ab6c4f"),
    ],
)
def test_the_signature_is_that_of_the_providers_own_example(signed: str, secret: str, signature: str) -> None:
    headers = {
        "content-type": "application/json; charset=utf-8",
        "host": "cvm.tencentcloudapi.com",
        "x-tc-action": "DescribeInstances",
    }
    headers = {name: headers[name] for name in signed.split(";")}
    content = rb'{"Limit": 1, "Filters": [{"Values": ["\u672a\u547d\u540d"], "Name": "instance-name"}]}'
    assert authorization("AKID", secret, headers, content, timestamp=1551113065, service="cvm") == (
        f"TC3-HMAC-SHA256 Credential=AKID/2019-02-25/cvm/tc3_request, SignedHeaders={signed}, Signature={signature}"
    )


def test_a_wrong_secret_is_not_let_in(settings: Settings, provider: FakeTencent) -> None:
    settings.TENCENT_SECRET_KEY = "0" * 32
    answer = send()
    assert (answer.outcome, answer.reason, answer.provider_code) == (REFUSED, OPERATOR, "AuthFailure.SignatureFailure")
    assert len(provider.violations) == 1, "the provider can find fault, so its silence elsewhere means something"


@pytest.mark.parametrize("zone", ["America/New_York", "Asia/Shanghai"])
def test_a_server_anywhere_signs_with_the_date_of_greenwich(
    provider: FakeTencent, monkeypatch: pytest.MonkeyPatch, zone: str
) -> None:
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        assert send().outcome is ACCEPTED
    finally:
        monkeypatch.undo()
        time.tzset()


# A person asks for a code


def test_a_person_gets_the_code_they_asked_for(provider: FakeTencent) -> None:
    reference = uuid4().hex
    answer = send(reference=reference, code="000042")
    [sms] = provider.sent
    assert (sms.to, sms.code, sms.minutes, sms.req_id) == ("+8613800138000", "000042", "5", reference)
    assert provider.violations == []
    assert (answer.outcome, answer.reason, answer.provider_code) == (ACCEPTED, NONE, "Ok")
    assert answer.provider_id == sms.sid != ""


def test_a_number_abroad_needs_no_sign_name(settings: Settings, provider: FakeTencent) -> None:
    settings.TENCENT_SIGN_NAME = ""
    assert send(to="+85251234567").outcome is ACCEPTED
    assert provider.violations == []


def test_a_person_who_asks_too_soon_is_told_to_wait(provider: FakeTencent) -> None:
    provider.cooldown = 60
    assert send().outcome is ACCEPTED
    answer = send()
    assert (answer.outcome, answer.reason) == (REFUSED, WAIT)


@pytest.mark.parametrize(
    ("statuses", "outcome"),
    [
        ("[]", UNKNOWN),
        ("null", UNKNOWN),
        ("[null]", UNKNOWN),
        # Somebody else's good news is not ours.
        ('[{"PhoneNumber":"+8613800138001","Code":"Ok","SerialNo":"1"}]', UNKNOWN),
        (
            (
                '[{"PhoneNumber":"+8613800138001","Code":"Ok"},'
                '{"PhoneNumber":"+8613800138000","Code":"FailedOperation.PhoneNumberInBlacklist"}]'
            ),
            REFUSED,
        ),
        ('[{"PhoneNumber":"+8613800138000","Code":"Ok","SerialNo":7}]', ACCEPTED),
        ('[{"PhoneNumber":"8613800138000","Code":"Ok","SerialNo":"1"}]', ACCEPTED),
        # As the provider likes to write it: what we gave it comes back.
        ('[{"PhoneNumber":"13800138000","SessionContext":"REFERENCE","Code":"Ok","SerialNo":"1"}]', ACCEPTED),
        ('[{"PhoneNumber":"13800138000","SessionContext":"other","Code":"Ok","SerialNo":"1"}]', UNKNOWN),
    ],
)
def test_success_is_read_for_the_number_not_for_the_request(
    provider: FakeTencent, statuses: str, outcome: Outcome
) -> None:
    reference = "0123456789abcdef0123456789abcdef"
    statuses = statuses.replace("REFERENCE", reference)
    provider.script('200:{"Response":{"SendStatusSet":' + statuses + ',"RequestId":"x"}}')
    assert send(reference=reference).outcome is outcome


# The provider's own words, as its pages have them: the gateway's table is checked against these, not against itself.

SAID: list[tuple[str, Outcome, Reason]] = [
    ("Ok", ACCEPTED, NONE),
    ("RequestLimitExceeded RequestLimitExceeded.IPLimitExceeded RequestLimitExceeded.UinLimitExceeded", NOT_SENT, NONE),
    ("LimitExceeded.GlobalSmsSendingRateLimit", NOT_SENT, NONE),
    ("InternalError.Timeout InternalError.SendAndRecvFail InternalError.UnknownError", UNKNOWN, NONE),
    ("InternalError.OtherError InternalError.ParseBackendResponseFail ServiceUnavailable", UNKNOWN, NONE),
    ("InternalError FailedOperation", UNKNOWN, NONE),
    ("LimitExceeded.PhoneNumberThirtySecondLimit LimitExceeded.PhoneNumberOneHourLimit", REFUSED, WAIT),
    ("LimitExceeded.PhoneNumberDailyLimit LimitExceeded.PhoneNumberSameContentDailyLimit", REFUSED, WAIT),
    ("LimitExceeded.DeliveryFrequencyLimit", REFUSED, WAIT),
    ("InvalidParameterValue.IncorrectPhoneNumber FailedOperation.PhoneNumberParseFail", REFUSED, NUMBER),
    ("FailedOperation.PhoneNumberInBlacklist UnsupportedOperation.UnsuportedRegion", REFUSED, ROUTE),
    ("UnsupportedOperation.ContainDomesticAndInternationalPhoneNumber", REFUSED, ROUTE),
    ("LimitExceeded LimitExceeded.SomethingNew ResourceInsufficient ResourceUnavailable", REFUSED, OPERATOR),
    ("ResourceNotFound ResourceInUse ResourcesSoldOut ResourceX.New OperationDenied", REFUSED, OPERATOR),
    ("FailedOperation.QualificationIdNotApproved FailedOperation.MissingSignatureList", REFUSED, OPERATOR),
    ("FailedOperation.MissingTemplateList FailedOperation.OtherError FailedOperation.New", REFUSED, OPERATOR),
    ("UnsupportedOperation.UnsupportedRegion LimitExceeded.AppCountryOrRegionInBlacklist", REFUSED, ROUTE),
    ("LimitExceeded.AppCountryOrRegionDailyLimit UnsupportedOperation.ContainDomesticPhoneNumber", REFUSED, ROUTE),
    ("UnsupportedOperation.ChineseMainlandTemplateToGlobalPhone", REFUSED, ROUTE),
    ("UnsupportedOperation.GlobalTemplateToChineseMainlandPhone", REFUSED, ROUTE),
    ("FailedOperation.InsufficientBalanceInSmsPackage", REFUSED, OPERATOR),
    ("UnauthorizedOperation.ServiceSuspendDueToArrears UnauthorizedOperation.RequestPermissionDeny", REFUSED, OPERATOR),
    ("UnauthorizedOperation.RequestIpNotInWhitelist UnauthorizedOperation.SmsSdkAppIdVerifyFail", REFUSED, OPERATOR),
    ("UnauthorizedOperation.SdkAppIdIsDisabled UnauthorizedOperation.SomethingNew", REFUSED, OPERATOR),
    ("AuthFailure.SignatureExpire AuthFailure.SignatureFailure AuthFailure.SecretIdNotFound", REFUSED, OPERATOR),
    ("AuthFailure.InvalidSecretId AuthFailure.TokenFailure AuthFailure.UnauthorizedOperation", REFUSED, OPERATOR),
    (
        "InternalError.RequestTimeException InternalError.SigVerificationFail InternalError.SigFieldMissing",
        REFUSED,
        OPERATOR,
    ),
    ("IpInBlacklist IpNotInWhitelist FailedOperation.ProhibitSubAccountUse", REFUSED, OPERATOR),
    ("FailedOperation.NotEnterpriseCertification InvalidParameterValue.SdkAppIdNotExist", REFUSED, OPERATOR),
    ("InvalidParameter.AppidAndBizId FailedOperation.SignatureIncorrectOrUnapproved", REFUSED, OPERATOR),
    ("FailedOperation.MissingSignature FailedOperation.SignIdNotExist", REFUSED, OPERATOR),
    ("InvalidParameterValue.SignNameLengthTooLong FailedOperation.TemplateIncorrectOrUnapproved", REFUSED, OPERATOR),
    ("FailedOperation.TemplateUnapprovedOrNotExist FailedOperation.TemplateIdNotExist", REFUSED, OPERATOR),
    ("FailedOperation.TemplateParamSetNotMatchApprovedTemplate", REFUSED, OPERATOR),
    (
        "InvalidParameterValue.TemplateParameterFormatError InvalidParameterValue.TemplateParameterLengthLimit",
        REFUSED,
        OPERATOR,
    ),
    ("InvalidParameterValue.ProhibitedUseUrlInTemplateParameter", REFUSED, OPERATOR),
    ("InvalidParameterValue.UnsupportedTemplateVariable FailedOperation.ContainSensitiveWord", REFUSED, OPERATOR),
    ("InvalidParameter.DirtyWordFound InvalidParameterValue.ContentLengthLimit", REFUSED, OPERATOR),
    (
        "FailedOperation.MarketingSendTimeConstraint LimitExceeded.AppDailyLimit LimitExceeded.DailyLimit",
        REFUSED,
        OPERATOR,
    ),
    ("LimitExceeded.AppGlobalDailyLimit LimitExceeded.AppMainlandChinaDailyLimit", REFUSED, OPERATOR),
    ("LimitExceeded.PhoneNumberCountLimit FailedOperation.FailResolvePacket", REFUSED, OPERATOR),
    (
        "FailedOperation.JsonParseFail FailedOperation.ParametersOtherError InternalError.JsonParseFail",
        REFUSED,
        OPERATOR,
    ),
    (
        "InternalError.RestApiInterfaceNotExist InvalidParameter InvalidParameterValue MissingParameter",
        REFUSED,
        OPERATOR,
    ),
    ("MissingParameter.EmptyPhoneNumberSet InvalidRequest UnknownParameter UnsupportedProtocol", REFUSED, OPERATOR),
    (
        "InvalidAction NoSuchVersion NoSuchProduct ActionOffline UnsupportedRegion UnsupportedOperation",
        REFUSED,
        OPERATOR,
    ),
    ("RequestSizeLimitExceeded", REFUSED, OPERATOR),
    # In no list: nobody knows, and the operator reads the code.
    ("InternalError.SomethingNew Something", UNKNOWN, OPERATOR),
]


@pytest.mark.parametrize(("codes", "outcome", "reason"), SAID, ids=[codes[:30] for codes, *_ in SAID])
def test_each_code_has_its_outcome(provider: FakeTencent, codes: str, outcome: Outcome, reason: Reason) -> None:
    for code in codes.split():
        provider.script(code)
        answer = send()
        assert (answer.provider_code, answer.outcome, answer.reason) == (code, outcome, reason)
        assert answer.detail
    assert provider.violations == []


def test_no_row_of_the_table_is_left_out_of_the_test_above() -> None:
    said = {code for codes, *_ in SAID for code in codes.split()}
    for entry in CODES.keys() - {"ok", "OK"}:
        start = entry.removesuffix("*")
        assert entry in said or (start != entry and any(code.startswith(start) for code in said)), entry


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("TENCENT_SECRET_ID", "nobody", "AuthFailure.SecretIdNotFound"),
        ("TENCENT_SDK_APP_ID", "1", "UnauthorizedOperation.SmsSdkAppIdVerifyFail"),
        ("TENCENT_SIGN_NAME", "another", "FailedOperation.SignatureIncorrectOrUnapproved"),
        ("TENCENT_TEMPLATE_ID", "1", "FailedOperation.TemplateIncorrectOrUnapproved"),
        ("TENCENT_REGION", "mars", "UnsupportedRegion"),
    ],
)
def test_a_wrong_setting_is_the_operators_to_mend(
    settings: Settings, provider: FakeTencent, name: str, value: str, code: str
) -> None:
    setattr(settings, name, value)
    answer = send()
    assert (answer.outcome, answer.reason, answer.provider_code) == (REFUSED, OPERATOR, code)
    assert provider.sent == []


def test_a_wrong_clock_is_the_operators_to_mend(provider: FakeTencent, monkeypatch: pytest.MonkeyPatch) -> None:
    late = SimpleNamespace(time=lambda: time.time() - 400)
    monkeypatch.setattr("tasks.gateways.tencent.time", late)
    answer = send()
    assert (answer.outcome, answer.reason, answer.provider_code) == (REFUSED, OPERATOR, "AuthFailure.SignatureExpire")


def test_a_code_that_the_template_cannot_hold_is_refused(provider: FakeTencent) -> None:
    assert send(code="1234567").provider_code == "InvalidParameterValue.TemplateParameterFormatError"
