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
import logging
import re
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote

import phonenumbers
from django.conf import settings

from tasks.gateways import Answer, Outcome, Reason, http

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tasks.gateways import Message

logger = logging.getLogger(__name__)

VERSION = "2013-12-26"

# The page says "system time" and names no zone; the servers and all its examples are in China. A fixed offset, because
# China has had no summer time since 1991 and a small container has no zone files.
BEIJING = timezone(timedelta(hours=8))


class Verdict(NamedTuple):
    """What one of the provider's status codes means to us."""

    outcome: Outcome
    reason: Reason
    meaning: str


# Every status code that we know of. A dash is a range, both ends included.
TABLE: tuple[tuple[str, Outcome, Reason, str], ...] = (
    ("000000", Outcome.ACCEPTED, Reason.NONE, "accepted"),
    # An attempt whose answer we never saw. This is the proof that it arrived, and the reason why a repeat is safe.
    ("160054", Outcome.ACCEPTED, Reason.NONE, "the provider has this reqId already"),
    ("160056", Outcome.ACCEPTED, Reason.NONE, "the provider has sent this text to this number already"),
    # It did not get past the door; later it may.
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
    ("160061 160062", Outcome.REFUSED, Reason.NUMBER, "the number's country is not served"),
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

# A code that we do not know is an error, but not one that says "not sent". Calling it refused would give the user the
# cooldown back and let another gateway send the code a second time, so it is nobody-knows, and the operator's to read.
UNLISTED = Verdict(Outcome.UNKNOWN, Reason.OPERATOR, "a status code that is not in our list")


def _expand() -> Iterator[tuple[str, Verdict]]:
    for codes, outcome, reason, meaning in TABLE:
        for word in codes.split():
            first, _, last = word.partition("-")
            for code in range(int(first), int(last or first) + 1):
                yield f"{code:06}", Verdict(outcome, reason, meaning)


CODES: dict[str, Verdict] = dict(_expand())


class Yuntongxun:
    """The TemplateSMS gateway. Holds nothing: settings are read at each send, connections belong to the process."""

    idempotent = True

    def send(self, message: Message) -> Answer:
        """Send one message; see console.yuntongxun.com/doc/rest/sms/3_2_2_2.html. Never raises."""
        try:
            url, headers, body = _request(message)
        except phonenumbers.NumberParseException:
            return Answer(Outcome.REFUSED, Reason.NUMBER, detail="not a phone number")
        except Exception as exc:  # noqa: BLE001 - the one door: an answer, never an exception
            _report(exc)
            return Answer(Outcome.REFUSED, Reason.OPERATOR, detail="the request could not be made; see the log")
        try:
            return _read(http.post(url, headers, body))
        except http.NotSent as exc:
            return Answer(Outcome.NOT_SENT, detail=str(exc))
        except http.Lost as exc:
            return Answer(Outcome.UNKNOWN, detail=str(exc))
        except Exception as exc:  # noqa: BLE001 - as above, and by now something may have left
            _report(exc)
            return Answer(Outcome.UNKNOWN, Reason.OPERATOR, detail="something unforeseen; see the log")


def _request(message: Message) -> tuple[str, dict[str, str], bytes]:
    """Make the request: address, headers, body."""
    if not re.fullmatch(r"[0-9A-Za-z]{32}", message.reference):
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
    return url, headers, json.dumps(body).encode()


def _number(e164: str) -> str:
    """Write a number as the provider wants it: a mainland number bare, as in all of the page's examples."""
    number = phonenumbers.parse(e164)
    if number.country_code == 86:
        return phonenumbers.national_significant_number(number)
    # Unverified: the page has no example of a number abroad. 00 and the country code is the custom among Chinese
    # providers; should this one want it otherwise, it answers 160042 and nothing is sent.
    return "00" + phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164).removeprefix("+")


def _read(reply: http.Reply) -> Answer:
    """Decide what a reply means: the provider's own code first, the HTTP status where there is none."""
    code, provider_id = _parse(reply.body)
    success = 200 <= reply.status < 300
    redirect = 300 <= reply.status < 400
    if code and not redirect:
        outcome, reason, meaning = CODES.get(code, UNLISTED)
        if outcome is Outcome.ACCEPTED and not success:
            # "Accepted" under a status that says error: one of the two is wrong, and we cannot tell which.
            return Answer(Outcome.UNKNOWN, Reason.OPERATOR, provider_id, code, f"{meaning}, but HTTP {reply.status}")
        return Answer(outcome, reason, provider_id, code, meaning)
    detail = f"HTTP {reply.status} without the provider's answer"
    if reply.status == 429:
        return Answer(Outcome.NOT_SENT, detail=detail)
    # Something between us and the provider spoke, or its front did, and it does not say how far the request came.
    # A 4xx or a redirect will not mend itself: most often it is a wrong base URL.
    mends_itself = success or reply.status == 408 or reply.status >= 500
    return Answer(Outcome.UNKNOWN, Reason.NONE if mends_itself else Reason.OPERATOR, detail=detail)


def _parse(body: bytes) -> tuple[str, str]:
    """Return the status code and the message's id, each empty when it is not there or not of its form.

    Only what has the form is let through, because both end up in the database and before the operator's eyes.
    `statusMsg` is not: it is free text, and may repeat the number.
    """
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        return "", ""
    if not isinstance(answer, dict):
        return "", ""
    sms = answer.get("templateSMS")
    code = _word(answer.get("statusCode"), r"[0-9]{6}")
    return code, _word(sms.get("smsMessageSid"), r"[0-9A-Za-z_-]{1,64}") if isinstance(sms, dict) else ""


def _word(value: object, form: str) -> str:
    return value if isinstance(value, str) and re.fullmatch(form, value) else ""


def _report(exc: Exception) -> None:
    """Log where an unforeseen exception came from, not what it says: its text may hold the signed URL."""
    last = exc.__traceback__
    while last and last.tb_next:
        last = last.tb_next
    place = f"{last.tb_frame.f_code.co_filename}:{last.tb_lineno}" if last else "?"
    logger.error("A send failed in a way nobody foresaw: %s at %s", type(exc).__name__, place)
