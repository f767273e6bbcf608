"""Twilio (api.twilio.com): one message a call, and an outcome for every way it can end.

A repeat may be a second SMS: nothing on the provider's pages says otherwise. It takes the finished text, and reports
to an address that we name with each message, signed with the account's token.

Sources: twilio.com/docs/messaging/api/message-resource for the request, twilio.com/docs/api/errors for the codes,
twilio.com/docs/messaging/guides/outbound-message-status-in-status-callbacks for the reports and
twilio.com/docs/usage/webhooks/webhooks-security for their signature. The outcomes are ours.

The request is our own work, because the SDK (twilio 9) sits on requests, whose time-outs are for each read and not for
the whole, asks the environment's proxy, and leaves "no connection" and "no answer" to be told apart from the exceptions
of a library two floors down. There is nothing to sign on the way out: it is HTTP Basic.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, quote, urlencode, urlsplit

import phonenumbers
from django.conf import settings

from tasks.gateways import Answer, Forged, Outcome, Reason, Receipt, http
from tasks.gateways.status_codes import (
    UNLISTED_REFUSAL,
    Request,
    Row,
    exchange,
    expand,
    interpret,
    read_object,
    report_reason,
    word,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tasks.gateways import Message

VERSION = "2010-04-01"
# Seconds that a message may be told to wait for its carrier. The page allows 36,000 today and 14,400 in older copies.
LONGEST_VALIDITY = 14_400
# How the provider names a message.
SID = r"(SM|MM)[0-9a-f]{32}"

# An error has a number, a message that was taken has a status.
TABLE: tuple[Row, ...] = (
    ("queued accepted scheduled sending sent delivered", Outcome.ACCEPTED, Reason.NONE, "accepted"),
    ("failed undelivered canceled", Outcome.REFUSED, Reason.OPERATOR, "taken and given up at once"),
    ("20429 14107", Outcome.NOT_SENT, Reason.NONE, "too many requests at once"),
    ("63038", Outcome.NOT_SENT, Reason.OPERATOR, "the account has had its messages for today"),
    ("21730", Outcome.NOT_SENT, Reason.NONE, "the provider is under maintenance"),
    # These are of a message that came to its end, not on a handset: another one may arrive.
    ("30003", Outcome.NOT_SENT, Reason.NONE, "the handset cannot be reached just now"),
    ("30001 30017 30022 30027", Outcome.NOT_SENT, Reason.NONE, "the queue is full, or a carrier limits its speed"),
    ("30036", Outcome.NOT_SENT, Reason.NONE, "it was too late for the message"),
    ("30500 30410", Outcome.NOT_SENT, Reason.NONE, "the provider asks to send it again"),
    ("30023", Outcome.NOT_SENT, Reason.NONE, "the carrier's limit for the day"),
    ("20500 20503 20504", Outcome.UNKNOWN, Reason.NONE, "an error inside the provider"),
    ("30008", Outcome.UNKNOWN, Reason.NONE, "sending failed"),
    ("21211 21214 21217 21614 21635 30005 30006", Outcome.REFUSED, Reason.NUMBER, "not a number it can send to"),
    ("21610 30004", Outcome.REFUSED, Reason.NUMBER, "the number has opted out or is blocked"),
    # These hang on the number's country: another provider may serve it, and nobody else has to wait.
    ("21408 21612", Outcome.REFUSED, Reason.ROUTE, "the number's country is not served"),
    ("30450 30453", Outcome.REFUSED, Reason.NUMBER, "taken for fraud at this number"),
    ("10001 20003 20005 20006 20010 20151 20403 20404 20426 30002 90010", Outcome.REFUSED, Reason.OPERATOR,
     "the account: check that it is active, account sid and token"),
    ("20008", Outcome.REFUSED, Reason.OPERATOR, "the credentials are for tests only"),
    ("21608", Outcome.REFUSED, Reason.OPERATOR, "a trial account reaches verified numbers only"),
    (("21212 21219 21470 21472 21601 21603 21606 21607 21611 21616 21657 21659 21660 21661 21701 21702 21703 21704 "
      "21705 21708 21709 21711 21712 21910"), Outcome.REFUSED, Reason.OPERATOR,
     "the sender: check from or messaging service sid"),
    ("30007 30018 30024 30032 30033 30034 30035", Outcome.REFUSED, Reason.OPERATOR,
     "filtered: the sender is not registered, or the content"),
    ("30010", Outcome.REFUSED, Reason.OPERATOR, "the price is above the limit that was set"),
    ("21602 21605 21617 21618 21619 21620 21655 21656 21658", Outcome.REFUSED, Reason.OPERATOR, "the content"),
    ("21609 21624 21626", Outcome.REFUSED, Reason.OPERATOR, "the address for reports, or how long it may take"),
    ("20001 20002 20422 21604", Outcome.REFUSED, Reason.OPERATOR, "the request"),
)  # fmt: skip

CODES = expand(TABLE)

# The ways a message can end; what is not here is on its way still.
ENDS = {"delivered": True, "read": True, "undelivered": False, "failed": False, "canceled": False}


class Twilio:
    """The Messages gateway. Holds nothing: settings are read at each send, connections belong to the process."""

    idempotent = False
    # Any 2xx will do. XML, because the provider's debugger complains of other types.
    receipt_reply = ("text/xml", "")

    def send(self, message: Message) -> Answer:
        """Send one message; see twilio.com/docs/messaging/api/message-resource. Never raises."""
        return exchange(lambda: _request(message), _read)

    def receipts(self, body: bytes, form: Mapping[str, str], url: str, headers: Mapping[str, str]) -> list[Receipt]:
        """Read a status callback; see the page on outbound message status. Raises Forged."""
        token = settings.TWILIO_AUTH_TOKEN
        given = headers.get("X-Twilio-Signature", "").encode()
        # In a time that does not tell how much of it was right.
        if not token or not any(hmac.compare_digest(given, sign(token, each, form).encode()) for each in _ports(url)):
            raise Forged("the signature is wrong")
        sid = word(form.get("MessageSid"), SID)
        if not sid or "MessageStatus" not in form:
            raise Forged("not a status callback")
        status = form["MessageStatus"]
        if status not in ENDS:
            return []
        reference = word("".join(parse_qs(urlsplit(url).query).get("reference", [])), r"[0-9a-f]{32}")
        return [Receipt(ENDS[status], sid, reference, word(form.get("ErrorCode"), r"[0-9]{1,8}") or status)]

    def report_reason(self, provider_code: str) -> Reason:
        """Return what the code of a failed message means."""
        # Without a code of its own a report has the message's status, which in an answer means something else.
        return Reason.NUMBER if provider_code in ENDS else report_reason(CODES, provider_code)


def sign(token: str, url: str, form: Mapping[str, str]) -> str:
    """Return what X-Twilio-Signature has to be; see twilio.com/docs/usage/webhooks/webhooks-security."""
    text = url + "".join(f"{name}{form[name]}" for name in sorted(form))
    return base64.b64encode(hmac.new(token.encode(), text.encode(), hashlib.sha1).digest()).decode()


def _ports(url: str) -> Iterator[str]:
    """Yield an address as it is, without its port, and with the port that goes without saying.

    The provider's own libraries try these, because what it signs has changed over the years.
    """
    yield url
    parts = urlsplit(url)
    if parts.port:
        yield parts._replace(netloc=parts.netloc.rpartition(":")[0]).geturl()
    else:
        yield parts._replace(netloc=f"{parts.netloc}:{443 if parts.scheme == 'https' else 80}").geturl()


def _request(message: Message) -> Request:
    sid = settings.TWILIO_ACCOUNT_SID
    # Parsed only to be sure that it is a number: E.164 with the plus is what the provider takes.
    number = phonenumbers.format_number(phonenumbers.parse(message.to), phonenumbers.PhoneNumberFormat.E164)
    # Otherwise a text may arrive ten hours late, with a code that is long dead.
    validity = min(message.seconds, LONGEST_VALIDITY)
    # In the SDK's order, so that a test can compare the bytes.
    fields = {"To": number}
    # Over plain http the path, which is the secret, would be anybody's who listens.
    if settings.TWILIO_RECEIPT_SECRET and settings.PUBLIC_ORIGIN.startswith("https://"):
        # Twilio gives nothing of ours back, but it calls the address as it is and signs all of it.
        path = f"/receipts/twilio/{settings.TWILIO_RECEIPT_SECRET}/?reference={message.reference}"
        fields["StatusCallback"] = settings.PUBLIC_ORIGIN + path
    fields["ValidityPeriod"] = str(validity)
    if settings.TWILIO_MESSAGING_SERVICE_SID:
        fields["MessagingServiceSid"] = settings.TWILIO_MESSAGING_SERVICE_SID
    else:
        fields["From"] = settings.TWILIO_FROM
    fields["Body"] = message.text
    headers = {
        "Accept": "application/json",
        "Content-Type": "application/x-www-form-urlencoded",
        "Authorization": "Basic " + base64.b64encode(f"{sid}:{settings.TWILIO_AUTH_TOKEN}".encode()).decode(),
    }
    base = settings.TWILIO_BASE_URL.rstrip("/")
    url = f"{base}/{VERSION}/Accounts/{quote(sid, safe='')}/Messages.json"
    return Request(url, headers, urlencode(fields).encode())


def _read(reply: http.Reply) -> Answer:
    # `message` and `body` stay unread: they hold the number and the code.
    answer = read_object(reply.body)
    sid = word(answer.get("sid"), SID)
    code = _number(answer.get("code")) or _number(answer.get("error_code"))
    if not code and sid:
        code = word(answer.get("status"), r"[a-z_]{1,32}")
    if (
        code not in CODES
        and code.isdigit()
        and 400 <= reply.status < 500
        and reply.status not in {408, 429}
        and not sid
    ):
        # Twilio answers 4xx with a number of its own when it has made no message, whatever the number.
        outcome, reason, meaning = UNLISTED_REFUSAL
        return Answer(outcome, reason, provider_code=code, detail=meaning)
    return interpret(reply, code, sid, CODES)


def _number(value: object) -> str:
    return str(value) if type(value) is int and 0 < value < 1_000_000 else ""
