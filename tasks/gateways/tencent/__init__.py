"""Tencent (腾讯云短信, sms.tencentcloudapi.com): one SendSms a call, and an outcome for every way it can end.

A repeat may be a second SMS: the provider has no key for that. The answer is read for the number, not for the request:
a request that went well may hold a message that was refused. The template has two placeholders, {1} the code and {2}
the minutes.

Sources: cloud.tencent.com/document/api/382/55981 for the request, /59177 for the codes, /38780 for those that all of
its services share, /52072 for the signature, and tencentcloud.com/document/product/382/43547 for the reports. The
outcomes are ours.

The signature is our own work, because the SDK (tencentcloud-sdk-python-sms 3.1) is of no use here: one time-out for
each read and none for the whole, the environment's proxy, and one exception, ClientNetworkError, for "no connection"
and "no answer", so that nobody could tell not-sent from unknown.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import phonenumbers
from django.conf import settings

from tasks.gateways import Outcome, Reason, Receipt, http
from tasks.gateways.status_codes import (
    CARRIER,
    Request,
    Row,
    exchange,
    expand,
    interpret,
    log_skipped,
    read_object,
    read_report,
    report_reason,
    word,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tasks.gateways import Answer, Message

ALGORITHM = "TC3-HMAC-SHA256"
VERSION = "2021-01-11"
SERVICE = "sms"
# How the provider names a message: "5000:1045710669157053657849499619".
SID = r"[0-9A-Za-z:_-]{1,64}"

# A first word with a star is for what is not named below it.
TABLE: tuple[Row, ...] = (
    ("Ok ok OK", Outcome.ACCEPTED, Reason.NONE, "accepted"),
    # The front turned it away before the SMS service saw it.
    ("RequestLimitExceeded*", Outcome.NOT_SENT, Reason.NONE, "too many requests at once"),
    ("LimitExceeded.GlobalSmsSendingRateLimit", Outcome.NOT_SENT, Reason.NONE, "the provider limits its speed"),
    # The page says of some of these that a retry helps, and of none that nothing was sent.
    ("InternalError.Timeout InternalError.SendAndRecvFail", Outcome.UNKNOWN, Reason.NONE, "a time-out inside"),
    (("InternalError.UnknownError InternalError.OtherError InternalError.ParseBackendResponseFail "
     "InternalError FailedOperation ServiceUnavailable*"),
     Outcome.UNKNOWN, Reason.NONE, "an error inside the provider"),
    (("LimitExceeded.PhoneNumberThirtySecondLimit LimitExceeded.PhoneNumberOneHourLimit "
     "LimitExceeded.PhoneNumberDailyLimit LimitExceeded.PhoneNumberSameContentDailyLimit "
     "LimitExceeded.DeliveryFrequencyLimit"),
     Outcome.REFUSED, Reason.WAIT, "codes to this number too often"),
    ("InvalidParameterValue.IncorrectPhoneNumber FailedOperation.PhoneNumberParseFail", Outcome.REFUSED,
     Reason.NUMBER, "not a number it can send to"),
    # The provider's own list: another may have nothing against the number.
    ("FailedOperation.PhoneNumberInBlacklist", Outcome.REFUSED, Reason.ROUTE, "the number is on a black list"),
    # The first is how the page spells it. These hang on the number's country: another provider may serve it, and nobody
    # else has to wait.
    (("UnsupportedOperation.UnsuportedRegion UnsupportedOperation.UnsupportedRegion "
     "UnsupportedOperation.ChineseMainlandTemplateToGlobalPhone "
     "UnsupportedOperation.GlobalTemplateToChineseMainlandPhone LimitExceeded.AppCountryOrRegionInBlacklist "
     "LimitExceeded.AppCountryOrRegionDailyLimit UnsupportedOperation.ContainDomesticPhoneNumber "
     "UnsupportedOperation.ContainDomesticAndInternationalPhoneNumber"),
     Outcome.REFUSED, Reason.ROUTE, "the number's country is not served"),
    ("FailedOperation.InsufficientBalanceInSmsPackage UnauthorizedOperation.ServiceSuspendDueToArrears",
     Outcome.REFUSED, Reason.OPERATOR, "no balance"),
    # What is named nowhere else: a limit or a part of the account, which the provider has certainly refused for.
    ("LimitExceeded*", Outcome.REFUSED, Reason.OPERATOR, "a limit of the account"),
    ("Resource*", Outcome.REFUSED, Reason.OPERATOR, "something that the account lacks"),
    ("OperationDenied*", Outcome.REFUSED, Reason.OPERATOR, "the account may not do this"),
    ("FailedOperation.*", Outcome.REFUSED, Reason.OPERATOR, "the provider refuses it: look the code up"),
    (("LimitExceeded.AppDailyLimit LimitExceeded.AppGlobalDailyLimit LimitExceeded.AppMainlandChinaDailyLimit "
     "LimitExceeded.DailyLimit"), Outcome.REFUSED, Reason.OPERATOR, "the limit set in the console"),
    ("AuthFailure.SignatureExpire InternalError.RequestTimeException", Outcome.REFUSED, Reason.OPERATOR,
     "this server's clock is wrong"),
    ("AuthFailure* InternalError.SigVerificationFail InternalError.SigFieldMissing", Outcome.REFUSED,
     Reason.OPERATOR, "the key: check secret id and secret key"),
    ("UnauthorizedOperation.RequestIpNotInWhitelist IpInBlacklist IpNotInWhitelist", Outcome.REFUSED,
     Reason.OPERATOR, "this server's address is not on the account's list"),
    ("UnauthorizedOperation* FailedOperation.ProhibitSubAccountUse FailedOperation.NotEnterpriseCertification",
     Outcome.REFUSED, Reason.OPERATOR, "the key may not send SMS"),
    (("UnauthorizedOperation.SmsSdkAppIdVerifyFail UnauthorizedOperation.SdkAppIdIsDisabled "
     "InvalidParameterValue.SdkAppIdNotExist InvalidParameter.AppidAndBizId"), Outcome.REFUSED, Reason.OPERATOR,
     "the app: check sdk app id"),
    (("FailedOperation.SignatureIncorrectOrUnapproved FailedOperation.MissingSignature "
     "FailedOperation.SignIdNotExist FailedOperation.MissingSignatureList "
     "FailedOperation.QualificationIdNotApproved InvalidParameterValue.SignNameLengthTooLong"),
     Outcome.REFUSED, Reason.OPERATOR, "the signature: check sign name"),
    (("FailedOperation.TemplateIncorrectOrUnapproved FailedOperation.TemplateUnapprovedOrNotExist "
     "FailedOperation.TemplateIdNotExist FailedOperation.MissingTemplateList "
     "FailedOperation.TemplateParamSetNotMatchApprovedTemplate "
     "InvalidParameterValue.TemplateParameterFormatError InvalidParameterValue.TemplateParameterLengthLimit "
     "InvalidParameterValue.ProhibitedUseUrlInTemplateParameter InvalidParameterValue.UnsupportedTemplateVariable"),
     Outcome.REFUSED, Reason.OPERATOR, "the template: check template id, and that it has {1} and {2}"),
    (("FailedOperation.ContainSensitiveWord InvalidParameter.DirtyWordFound InvalidParameterValue.ContentLengthLimit "
     "FailedOperation.MarketingSendTimeConstraint"), Outcome.REFUSED, Reason.OPERATOR, "the content"),
    (("InvalidParameter* InvalidParameterValue* MissingParameter* InvalidRequest* UnknownParameter* "
     "UnsupportedProtocol InvalidAction NoSuchVersion NoSuchProduct ActionOffline UnsupportedRegion "
     "UnsupportedOperation* RequestSizeLimitExceeded FailedOperation.FailResolvePacket FailedOperation.JsonParseFail "
     "FailedOperation.ParametersOtherError InternalError.JsonParseFail InternalError.RestApiInterfaceNotExist "
     "LimitExceeded.PhoneNumberCountLimit"), Outcome.REFUSED, Reason.OPERATOR, "the request"),
)  # fmt: skip

CODES = expand(TABLE)


class Tencent:
    """The SendSms gateway. Holds nothing: settings are read at each send, connections belong to the process."""

    idempotent = False
    receipt_reply = ("application/json", '{"result":0,"errmsg":"OK"}')

    def send(self, message: Message) -> Answer:
        """Send one message; see cloud.tencent.com/document/api/382/55981. Never raises."""
        return exchange(lambda: _request(message), lambda reply: _read(reply, message))

    def receipts(self, body: bytes, form: Mapping[str, str], url: str, headers: Mapping[str, str]) -> list[Receipt]:
        """Read an array of reports; see tencentcloud.com/document/product/382/43547. Raises Forged.

        It is not signed: that its sender knows the secret path is all there is. Our reference is not in it, only in the
        send's answer, so a delivery whose answer was lost stays unknown here.
        """
        states = {"SUCCESS": True, "FAIL": False}
        receipts = []
        entries = read_report(body)
        for entry in entries:
            state, provider_id = word(entry.get("report_status"), r"[A-Z]{1,16}"), word(entry.get("sid"), SID)
            if state in states and provider_id:
                code = word(entry.get("errmsg"), CARRIER)
                receipts.append(Receipt(states[state], provider_id, provider_code=code))
        log_skipped(len(entries) - len(receipts))
        return receipts

    def report_reason(self, provider_code: str) -> Reason:
        """Return what the code of a failed message means."""
        return report_reason(CODES, provider_code)


def authorization(
    key_id: str, secret: str, headers: Mapping[str, str], content: bytes, *, timestamp: int, service: str = SERVICE
) -> str:
    """Sign a POST to "/". `headers` are all that are signed, with names in lower case.

    See cloud.tencent.com/document/api/382/52072.
    """
    # The date is UTC's, wherever we or the provider are.
    date = datetime.fromtimestamp(timestamp, UTC).strftime("%Y-%m-%d")
    scope = f"{date}/{service}/tc3_request"
    names = sorted(headers)
    signed = ";".join(names)
    lines = [f"{name}:{headers[name].strip().lower()}\n" for name in names]
    canonical = "\n".join(["POST", "/", "", "".join(lines), signed, hashlib.sha256(content).hexdigest()])
    to_sign = "\n".join([ALGORITHM, str(timestamp), scope, hashlib.sha256(canonical.encode()).hexdigest()])
    key = f"TC3{secret}".encode()
    for step in (date, service, "tc3_request"):
        key = hmac.new(key, step.encode(), hashlib.sha256).digest()
    signature = hmac.new(key, to_sign.encode(), hashlib.sha256).hexdigest()
    return f"{ALGORITHM} Credential={key_id}/{scope}, SignedHeaders={signed}, Signature={signature}"


def _request(message: Message) -> Request:
    # Parsed only to be sure that it is a number: E.164 with the plus is what the provider takes.
    number = phonenumbers.format_number(phonenumbers.parse(message.to), phonenumbers.PhoneNumberFormat.E164)
    body = {
        "PhoneNumberSet": [number],
        "SmsSdkAppId": settings.TENCENT_SDK_APP_ID,
        "TemplateId": settings.TENCENT_TEMPLATE_ID,
        "SignName": settings.TENCENT_SIGN_NAME,
        "TemplateParamSet": [message.code, str(message.minutes)],
        "SessionContext": message.reference,
    }
    content = json.dumps(body).encode()
    base = settings.TENCENT_BASE_URL.rstrip("/")
    timestamp = int(time.time())
    signed = {
        "content-type": "application/json; charset=utf-8",
        "host": urlsplit(base).netloc,
        "x-tc-action": "SendSms",
    }
    key_id, secret = settings.TENCENT_SECRET_ID, settings.TENCENT_SECRET_KEY
    headers = {
        **signed,
        "x-tc-version": VERSION,
        "x-tc-region": settings.TENCENT_REGION,
        "x-tc-timestamp": str(timestamp),
        "authorization": authorization(key_id, secret, signed, content, timestamp=timestamp),
    }
    return Request(f"{base}/", headers, content)


def _read(reply: http.Reply, message: Message) -> Answer:
    # `Message` stays unread: it is free text, and may repeat the number.
    response = read_object(reply.body).get("Response")
    response = response if isinstance(response, dict) else {}
    error = response.get("Error")
    # An error is the whole request's; without one, each number has its own status.
    status = error if isinstance(error, dict) else _status(response.get("SendStatusSet"), message)
    return interpret(reply, word(status.get("Code"), r"[0-9A-Za-z_.]{1,64}"), word(status.get("SerialNo"), SID), CODES)


def _status(statuses: object, message: Message) -> dict[str, object]:
    """Return the status of our message, empty when there is none.

    It gives our reference back. Without that, the number counts, with or without its plus.
    """
    found = [status for status in statuses if isinstance(status, dict)] if isinstance(statuses, list) else []
    ours = [status for status in found if status.get("SessionContext") == message.reference]
    mobile = message.to.removeprefix("+")
    ours += [status for status in found if word(status.get("PhoneNumber"), r"\+?[0-9]+").removeprefix("+") == mobile]
    return ours[0] if ours else {}
