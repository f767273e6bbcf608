"""Aliyun (阿里云短信, dysmsapi.aliyuncs.com): one SendSms a call, and an outcome for every way it can end.

A repeat may be a second SMS: the provider has no key for that and says so. Our reference travels as `OutId`, which
comes back in the report, so that a lost answer still finds its delivery. The template has one placeholder, ${code}.

Sources: help.aliyun.com/document_detail/55284.htm for the request, /101346.html for the codes, /101867.html for the
reports, and /sdk/product-overview/v3-request-structure-and-signature for the signature. The outcomes are ours.

The signature is our own work, because the SDK (alibabacloud-dysmsapi20170525 4.6) is of no use here: it sits on
requests, whose time-outs are for each read and not for the whole, it asks the environment's proxy, and it raises one
exception for "no connection" and "no answer", so that nobody could tell not-sent from unknown.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import urlencode, urlsplit
from uuid import uuid4

import phonenumbers
from django.conf import settings

from tasks.gateways import Outcome, Reason, Receipt, http
from tasks.gateways.status_codes import (
    CARRIER,
    REFERENCE,
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

ALGORITHM = "ACS3-HMAC-SHA256"
VERSION = "2017-05-25"
# How the provider names a message: "900619746936498440^0".
SID = r"[0-9A-Za-z^_-]{1,64}"

# `isv.` is the account's fault and `isp.` the provider's. Those without are from the front that all its services share.
TABLE: tuple[Row, ...] = (
    ("OK", Outcome.ACCEPTED, Reason.NONE, "accepted"),
    # The front turned it away before the SMS service saw it.
    ("Throttling*", Outcome.NOT_SENT, Reason.NONE, "too many requests at once"),
    # Errors inside do not say how far the request came.
    ("isp.SYSTEM_ERROR isp.GATEWAY_ERROR", Outcome.UNKNOWN, Reason.NONE, "a system error at the provider"),
    ("InternalError* ServiceUnavailable*", Outcome.UNKNOWN, Reason.NONE, "an error inside the provider"),
    # Ours is fresh for every request, so what was seen before is this very request, doubled on its way.
    ("SignatureNonceUsed*", Outcome.UNKNOWN, Reason.NONE, "the provider has seen this request already"),
    ("isv.BUSINESS_LIMIT_CONTROL", Outcome.REFUSED, Reason.WAIT, "codes to this number too often"),
    ("isv.MOBILE_NUMBER_ILLEGAL", Outcome.REFUSED, Reason.NUMBER, "not a number it can send to"),
    ("isv.CUSTOMER_REFUSED", Outcome.REFUSED, Reason.NUMBER, "the number has opted out"),
    # It hangs on the number's country: another provider may serve it, and nobody else has to wait.
    ("isv.DOMESTIC_NUMBER_NOT_SUPPORTED", Outcome.REFUSED, Reason.ROUTE, "the template is for numbers abroad only"),
    ("isv.AMOUNT_NOT_ENOUGH isv.OUT_OF_SERVICE", Outcome.REFUSED, Reason.OPERATOR, "no balance"),
    ("isv.DAY_LIMIT_CONTROL isv.MONTH_LIMIT_CONTROL", Outcome.REFUSED, Reason.OPERATOR, "the limit set in the console"),
    ("isv.DENY_IP_RANGE", Outcome.REFUSED, Reason.OPERATOR, "a server outside mainland China may not send to it"),
    ("isp.RAM_PERMISSION_DENY NoPermission* Forbidden*", Outcome.REFUSED, Reason.OPERATOR, "the key may not send SMS"),
    ("InvalidAccessKeyId* SignatureDoesNotMatch* IncompleteSignature*",
     Outcome.REFUSED, Reason.OPERATOR, "the key: check access key id and secret"),
    ("InvalidSecurityToken*", Outcome.REFUSED, Reason.OPERATOR, "the key is a temporary one"),
    ("InvalidTimeStamp*", Outcome.REFUSED, Reason.OPERATOR, "this server's clock is wrong"),
    # What is named nowhere else: the provider says by the beginning that it is the caller's, so nothing was sent.
    ("isv.*", Outcome.REFUSED, Reason.OPERATOR, "the provider refuses it: look the code up"),
    ("isv.ACCOUNT_* isv.SECURITY_FROZEN_ACCOUNT", Outcome.REFUSED, Reason.OPERATOR, "the account"),
    ("isv.PRODUCT_UN_SUBSCRIPT isv.PRODUCT_UNSUBSCRIBE", Outcome.REFUSED, Reason.OPERATOR, "SMS is not switched on"),
    ("isv.SMS_SIGNATURE_* isv.SMS_SIGN_ILLEGAL isv.SIGN_* isv.ONE_CODE_MULTIPLE_SIGN SIGNATURE_BLACKLIST",
     Outcome.REFUSED, Reason.OPERATOR,
     "the signature: check sign name"),
    (("isv.SMS_TEMPLATE_ILLEGAL isv.TEMPLATE_* isv.template_parameter_count_illegal "
      "isv.SMS_CONTENT_MISMATCH_TEMPLATE_TYPE isv.INVALID_JSON_PARAM isv.PARAM_*"), Outcome.REFUSED, Reason.OPERATOR,
     "the template: check template code, and that its one placeholder is ${code}"),
    ("isv.SMS_CONTENT_ILLEGAL isv.UNSUPPORTED_CONTENT isv.BLACK_KEY_CONTROL_LIMIT",
     Outcome.REFUSED, Reason.OPERATOR, "the content"),
    ("isv.SMS_TEST_*", Outcome.REFUSED, Reason.OPERATOR, "the test signature reaches registered test numbers only"),
    (("isv.EXTEND_CODE_ERROR isv.CODE_EXCEED_LIMIT isv.CODE_ERROR isv.PARAMS_ILLEGAL "
     "isv.PORT_NOT_REGISTERED isv.INVALID_PARAMETERS isv.MOBILE_COUNT_OVER_LIMIT InvalidParameter* "
     "Missing* InvalidVersion* InvalidAction* UnsupportedHTTPMethod*"),
     Outcome.REFUSED, Reason.OPERATOR, "the request"),
)  # fmt: skip

CODES = expand(TABLE)


class Aliyun:
    """The SendSms gateway. Holds nothing: settings are read at each send, connections belong to the process."""

    # The page says it in so many words: not idempotent, look at the report before you repeat.
    idempotent = False
    # The page checks that `code` is a number, and pushes again after 1, 5 and 10 minutes for anything but HTTP 200.
    receipt_reply = ("application/json;charset=utf-8", '{"code":0,"msg":"接收成功"}')

    def send(self, message: Message) -> Answer:
        """Send one message; see help.aliyun.com/document_detail/55284.htm. Never raises."""
        return exchange(lambda: _request(message), _read)

    def receipts(self, body: bytes, form: Mapping[str, str], url: str, headers: Mapping[str, str]) -> list[Receipt]:
        """Read an array of SmsReport; see help.aliyun.com/document_detail/101867.html. Raises Forged.

        It is not signed: that its sender knows the secret path is all there is.
        """
        receipts = []
        entries = read_report(body)
        for entry in entries:
            delivered = entry.get("success")
            provider_id, reference = word(entry.get("biz_id"), SID), word(entry.get("out_id"), REFERENCE)
            if isinstance(delivered, bool) and (provider_id or reference):
                receipts.append(Receipt(delivered, provider_id, reference, word(entry.get("err_code"), CARRIER)))
        log_skipped(len(entries) - len(receipts))
        return receipts

    def report_reason(self, provider_code: str) -> Reason:
        """Return what the code of a failed message means."""
        return report_reason(CODES, provider_code)


def authorization(
    key_id: str, secret: str, headers: Mapping[str, str], content: bytes, *, method: str = "POST", query: str = ""
) -> str:
    """Sign a request to "/". `headers` are all that are signed, with names in lower case; `query` is in order already.

    See help.aliyun.com/sdk/product-overview/v3-request-structure-and-signature.
    """
    names = sorted(headers)
    signed = ";".join(names)
    lines = [f"{name}:{headers[name].strip()}\n" for name in names]
    canonical = "\n".join([method, "/", query, "".join(lines), signed, hashlib.sha256(content).hexdigest()])
    to_sign = f"{ALGORITHM}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    signature = hmac.new(secret.encode(), to_sign.encode(), hashlib.sha256).hexdigest()
    return f"{ALGORITHM} Credential={key_id},SignedHeaders={signed},Signature={signature}"


def _request(message: Message) -> Request:
    # In the body, as other clients do with this signature. The SDK puts them in the query, where number and code would
    # end up in access logs.
    content = urlencode(
        {
            "OutId": message.reference,
            "PhoneNumbers": _number(message.to),
            "SignName": settings.ALIYUN_SIGN_NAME,
            "TemplateCode": settings.ALIYUN_TEMPLATE_CODE,
            "TemplateParam": json.dumps({"code": message.code}),
        }
    ).encode()
    base = settings.ALIYUN_BASE_URL.rstrip("/")
    headers = {
        "host": urlsplit(base).netloc,
        "content-type": "application/x-www-form-urlencoded",
        "x-acs-action": "SendSms",
        "x-acs-version": VERSION,
        "x-acs-date": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "x-acs-signature-nonce": uuid4().hex,
        "x-acs-content-sha256": hashlib.sha256(content).hexdigest(),
    }
    key = authorization(settings.ALIYUN_ACCESS_KEY_ID, settings.ALIYUN_ACCESS_KEY_SECRET, headers, content)
    return Request(f"{base}/", {**headers, "accept": "application/json", "authorization": key}, content)


def _number(e164: str) -> str:
    """Write a number as the page does: one of the mainland bare, one abroad as country code and number, no plus."""
    number = phonenumbers.parse(e164)
    if number.country_code == 86:
        return phonenumbers.national_significant_number(number)
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164).removeprefix("+")


def _read(reply: http.Reply) -> Answer:
    # `Message` stays unread: it is free text, and may repeat the number or the string that was signed.
    answer = read_object(reply.body)
    return interpret(reply, word(answer.get("Code"), r"[0-9A-Za-z_.-]{1,64}"), word(answer.get("BizId"), SID), CODES)
