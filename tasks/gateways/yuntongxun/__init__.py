"""Yuntongxun (容联云, app.cloopen.com): one TemplateSMS a call, and an outcome for every way it can end.

A repeat with the same reference never becomes a second SMS: it travels as `reqId`, which the provider takes only once
in a calendar day. The token, the signature, the code and the full number stay out of logs and answers.

Sources: the provider's page console.yuntongxun.com/doc/rest/sms/3_2_2_2.html for the request, its own Python SDK
(cloopen/python-sms-sdk) for the answer's form. There is no official list of status codes that we could reach: the
meanings below are those that several public clients agree on, the outcomes are ours.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING
from urllib.parse import quote
from xml.etree import ElementTree

import phonenumbers
from django.conf import settings

from tasks.gateways import Answer, Forged, Outcome, Reason, Receipt, http
from tasks.gateways.status_codes import (
    CARRIER,
    REFERENCE,
    Meaning,
    Request,
    Row,
    exchange,
    interpret,
    read_object,
    report_reason,
    word,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tasks.gateways import Message

VERSION = "2013-12-26"
# How the provider names a message.
SID = r"[0-9A-Za-z_-]{1,64}"

# The page says "system time" and names no zone; the servers and all its examples are in China. A fixed offset, because
# China has had no summer time since 1991 and a small container has no zone files.
BEIJING = timezone(timedelta(hours=8))


# Every status code that we know of. A dash is a range, both ends included.
TABLE: tuple[Row, ...] = (
    ("000000", Outcome.ACCEPTED, Reason.NONE, "accepted"),
    # An attempt whose answer we never saw. This is the proof that it arrived, and the reason why a repeat is safe.
    ("160054", Outcome.ACCEPTED, Reason.NONE, "the provider has this reqId already"),
    ("160056", Outcome.ACCEPTED, Reason.NONE, "the provider has sent this text to this number already"),
    # The provider turned it away; later it may accept it.
    ("111111", Outcome.NOT_SENT, Reason.NONE, "too many requests at once"),
    ("160001-160010", Outcome.NOT_SENT, Reason.NONE, "the channel is busy"),
    ("160016", Outcome.NOT_SENT, Reason.NONE, "the channel limits its speed"),
    # An error inside, or "sending failed": neither says whether the message is on its way.
    ("111000-111099", Outcome.UNKNOWN, Reason.NONE, "an error inside the provider"),
    ("160000", Outcome.UNKNOWN, Reason.NONE, "a system error at the provider"),
    ("160050 160063 160064 112326", Outcome.UNKNOWN, Reason.NONE, "sending failed"),
    ("160038", Outcome.REFUSED, Reason.WAIT, "codes to this number too often"),
    ("160039-160041", Outcome.REFUSED, Reason.WAIT, "this number has had its messages for today"),
    ("160015 160021 160022", Outcome.REFUSED, Reason.WAIT, "the channel's limit for one number"),
    ("160013 160042 160044 112316 112319", Outcome.REFUSED, Reason.NUMBER, "not a number it can send to"),
    ("160034 160051 160068 160072-160074 112317", Outcome.REFUSED, Reason.NUMBER, "the number is on a black list"),
    # Another provider may serve it, and nobody else has to wait.
    ("160061 160062", Outcome.REFUSED, Reason.ROUTE, "the number's country is not served"),
    # Too many test messages of an app that is not live, by what clients say.
    ("112314", Outcome.REFUSED, Reason.OPERATOR, "the limit of an app that is not live"),
    ("111100-111110 111113", Outcome.REFUSED, Reason.OPERATOR, "signature, header or time: check token and clock"),
    ("111128-111141 111143", Outcome.REFUSED, Reason.OPERATOR, "the account: check account sid and token"),
    ("111142 160014", Outcome.REFUSED, Reason.OPERATOR, "no balance"),
    ("111169-111182", Outcome.REFUSED, Reason.OPERATOR, "the app: check app id, and that it is live"),
    ("113302", Outcome.REFUSED, Reason.OPERATOR, "the test template reaches registered test numbers only"),
    ("160032 160036 160043 160052 160057 160069", Outcome.REFUSED, Reason.OPERATOR, "the template: check template id"),
    ("160011 160018-160020 160033 160035 160037 160046 160049", Outcome.REFUSED, Reason.OPERATOR, "the content"),
    ("160012", Outcome.REFUSED, Reason.OPERATOR, "the channel does not know the account"),
    ("160053", Outcome.REFUSED, Reason.OPERATOR, "this server's address is not on the account's list"),
    ("160058-160060 160070", Outcome.REFUSED, Reason.OPERATOR, "the account or template may not send abroad"),
    ("160055", Outcome.REFUSED, Reason.OPERATOR, "the reqId is too long"),
    ("160017 160030 160031 160045 160047 160048 160065-160067 160071", Outcome.REFUSED, Reason.OPERATOR, "the request"),
    ("112300-112313 112315 112318 112323 112353", Outcome.REFUSED, Reason.OPERATOR, "app or template (older codes)"),
)


def _expand() -> Iterator[tuple[str, Meaning]]:
    for codes, outcome, reason, detail in TABLE:
        for span in codes.split():
            first, _, last = span.partition("-")
            for code in range(int(first), int(last or first) + 1):
                yield f"{code:06}", Meaning(outcome, reason, detail)


CODES: dict[str, Meaning] = dict(_expand())


class Yuntongxun:
    """The TemplateSMS gateway. Holds nothing: settings are read at each send, connections belong to the process."""

    idempotent = True
    # Unverified: the page on reports was not to be had. Of two public clients one answers nothing and the other this.
    receipt_reply = ("text/plain", "success")

    def send(self, message: Message) -> Answer:
        """Send one message; see console.yuntongxun.com/doc/rest/sms/3_2_2_2.html. Never raises."""
        return exchange(lambda: _request(message), _read)

    def receipts(self, body: bytes, form: Mapping[str, str], url: str, headers: Mapping[str, str]) -> list[Receipt]:
        """Read one SMSArrived. It is not signed: that its sender knows the secret path is all there is. Raises Forged.

        Source: the bodies in two public clients, shanliu/lsys among them.
        """
        report = read_object(body).get("Request") or _read_xml(body)
        if not isinstance(report, dict) or report.get("action") != "SMSArrived":
            raise Forged("not an SMSArrived")
        # 1 is a report, 0 a message that somebody sent to us. Both are texts in the clients' examples, and numbers too.
        status = word(_text(report.get("status")), r"[0-9A-Za-z_-]{1,16}")
        if _text(report.get("smsType")) != "1" or not status:
            return []
        receipt = Receipt(
            delivered=status == "0",
            provider_id=word(report.get("content"), SID),
            reference=word(report.get("reqId"), REFERENCE),
            provider_code=word(report.get("deliverCode"), CARRIER),
        )
        return [receipt] if receipt.provider_id or receipt.reference else []

    def report_reason(self, provider_code: str) -> Reason:
        """Return what the code of a failed message means."""
        return report_reason(CODES, provider_code)


def _text(value: object) -> object:
    """Return a whole number as text, and anything else as it is."""
    return str(value) if type(value) is int else value


def _read_xml(body: bytes) -> dict[str, object]:
    """Return the fields of a report in XML, which the provider writes as well; of anything else nothing."""
    try:
        text = body.decode()
        # Entities could make a large text of a small one, and no report has a reason to declare any.
        root = None if "<!" in text else ElementTree.fromstring(text)  # noqa: S314
    except (ValueError, ElementTree.ParseError):
        return {}
    return {} if root is None or root.tag != "Request" else {field.tag: (field.text or "").strip() for field in root}


def _request(message: Message) -> Request:
    if not re.fullmatch(REFERENCE, message.reference):
        # Without a proper reqId a repeat would be a second SMS, and `idempotent` a lie.
        raise ValueError("a reference has 32 letters and digits")
    sid = settings.YUNTONGXUN_ACCOUNT_SID
    # One moment, used twice: the provider recomputes the signature with the time from the header.
    timestamp = datetime.now(BEIJING).strftime("%Y%m%d%H%M%S")
    # MD5 and its upper case are the provider's choice. It proves who we are only because TLS hides it.
    signature = hashlib.md5(f"{sid}{settings.YUNTONGXUN_AUTH_TOKEN}{timestamp}".encode(), usedforsecurity=False)
    base = settings.YUNTONGXUN_BASE_URL.rstrip("/")
    url = f"{base}/{VERSION}/Accounts/{quote(sid, safe='')}/SMS/TemplateSMS?sig={signature.hexdigest().upper()}"
    body = {
        "to": _number(message.to),
        "appId": settings.YUNTONGXUN_APP_ID,
        "templateId": settings.YUNTONGXUN_TEMPLATE_ID,
        "datas": [message.code, str(message.minutes)],
        "reqId": message.reference,
    }
    headers = {
        "Accept": "application/json",
        "Content-Type": "application/json;charset=utf-8",
        "Authorization": base64.b64encode(f"{sid}:{timestamp}".encode()).decode(),
    }
    return Request(url, headers, json.dumps(body).encode())


def _number(e164: str) -> str:
    """Write a number as the provider wants it: a mainland number bare, as in all of the page's examples."""
    number = phonenumbers.parse(e164)
    if number.country_code == 86:
        return phonenumbers.national_significant_number(number)
    # Unverified: the page has no example of a number abroad. 00 and the country code is the custom among Chinese
    # providers; should this one want it otherwise, it answers 160042 and nothing is sent.
    return "00" + phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164).removeprefix("+")


def _read(reply: http.Reply) -> Answer:
    # `statusMsg` stays unread: it is free text, and may repeat the number.
    answer = read_object(reply.body)
    sms = answer.get("templateSMS")
    sid = word(sms.get("smsMessageSid"), SID) if isinstance(sms, dict) else ""
    return interpret(reply, word(answer.get("statusCode"), r"[0-9]{6}"), sid, CODES)
