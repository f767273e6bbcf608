"""A Twilio that we run ourselves: it checks a message's form, and signs its status callbacks.

Used as tests/support/provider.py is; with the pages that tasks/gateways/twilio/ names beside it.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import time
from typing import Any
from urllib.parse import parse_qsl, unquote, urlencode
from uuid import uuid4

from tests.support.providers.fake import SMS, Fake, Post, Request, Violation, check_length, told

# The HTTP status of each error; the others have 400.
STATUS = {"20003": 401, "20404": 404, "20429": 429, "20500": 500, "20503": 503}
WORDS = "queued|accepted|sending|sent|failed|undelivered|canceled"

FIELDS = {"To", "From", "MessagingServiceSid", "Body", "StatusCallback", "ValidityPeriod"}


class Twilio(Fake):
    """The far side of the gateway."""

    codes = {"auth_error": "20003", "balance": "30002", "bad_number": "21211", "too_frequent": "21610", "busy": "20429"}
    form = rf"[0-9]{{5}}|{WORDS}"
    accepted = "queued"
    unparsed = "20001"

    sid = "AC" + "0" * 31 + "1"
    token = "0123456789abcdef0123456789abcdef"
    number = "+15005550006"

    @property
    def settings(self) -> dict[str, str]:
        """The account as Latchkey's settings, which are also its environment variables."""
        return {
            "TWILIO_ACCOUNT_SID": self.sid,
            "TWILIO_AUTH_TOKEN": self.token,
            "TWILIO_FROM": self.number,
            "TWILIO_BASE_URL": self.url,
        }

    def status(self, code: str) -> int:
        """Return 201 for a message that was taken, whatever became of it, and an error for an error."""
        return STATUS.get(code, 400) if code.isdigit() else 201

    def check_head(self, request: Request) -> None:
        """Check address and headers. Raises Violation."""
        match = re.fullmatch(r"/2010-04-01/Accounts/([^/]+)/Messages\.json", request.path)
        if request.method != "POST" or not match:
            raise Violation("20404", f"{request.method} {request.path} is not a message")
        right = "Basic " + base64.b64encode(f"{self.sid}:{self.token}".encode()).decode()
        if not hmac.compare_digest(request.headers.get("authorization", "").encode(), right.encode()):
            raise Violation("20003", "wrong account or token")
        if unquote(match[1]) != self.sid:
            raise Violation("20404", "another account")
        if request.headers.get("content-type") != "application/x-www-form-urlencoded":
            raise Violation("20001", f"Content-Type is {request.headers.get('content-type')!r}")
        check_length(request, "20001")

    def check_body(self, raw: bytes, request: Request) -> dict[str, Any]:
        """Check the form and return it. Raises Violation."""
        fields = parse_qsl(raw.decode(), keep_blank_values=True)
        body = dict(fields)
        if len(body) < len(fields) or set(body) - {
            "To",
            "From",
            "MessagingServiceSid",
            "Body",
            "StatusCallback",
            "ValidityPeriod",
        }:
            raise Violation("20001", f"a field twice or unknown: {sorted(body)}")
        if not body.get("To"):
            raise Violation("21604", "no To")
        if not re.fullmatch(r"\+[1-9][0-9]{6,14}", body["To"]):
            raise Violation("21211", "To is not E.164 with a plus")
        if not body.get("Body"):
            raise Violation("21602", "no Body")
        if len(body["Body"]) > 1600:
            raise Violation("21617", "Body is too long")
        service = body.get("MessagingServiceSid", "")
        if service and not re.fullmatch(r"MG[0-9a-f]{32}", service):
            raise Violation("21701", "no such messaging service")
        if not service and body.get("From") != self.number:
            raise Violation("21606" if body.get("From") else "21603", "no such sender")
        if not re.fullmatch(r"[1-9][0-9]{0,4}", body.get("ValidityPeriod", "36000")):
            raise Violation("21624", "ValidityPeriod is no number of seconds")
        if not body.get("StatusCallback", "https://").startswith("https://"):
            raise Violation("21609", "StatusCallback is not an https address")
        return body

    def accept(self, request: Request) -> str:
        """Take a conforming message, however often, unless its number has had enough."""
        body = request.body
        request.sid = f"SM{uuid4().hex}"
        code = re.search(r"[0-9]{4,8}", body["Body"])
        sms = SMS(body["To"], code[0] if code else "", "", "", time.time(), request.sid, body.get("StatusCallback", ""))
        # The page of the real one has no cap for a number; the tests need some word for one.
        return self._first(body) if self.take([sms]) == "taken" else "21610"

    @staticmethod
    def _first(body: dict[str, Any]) -> str:
        return "accepted" if "MessagingServiceSid" in body else "queued"

    def answer(self, request: Request, code: str) -> bytes:
        """Return the message, or the error."""
        if code.isdigit():
            answer = {
                "code": int(code),
                "message": told(request),
                "more_info": "https://…",
                "status": self.status(code),
            }
        else:
            answer = {"sid": request.sid or "SM" + "0" * 32, "status": code, "error_code": None, "body": told(request)}
        return json.dumps(answer, ensure_ascii=False).encode()

    def reports(self, *sms: SMS, delivered: bool = True) -> list[Post]:
        """Return a signed callback for each; to the address that the message named."""
        status = "delivered" if delivered else "undelivered"
        return [self.report(each.callback, each.sid, status, "" if delivered else "30006") for each in sms]

    def report(self, url: str, sid: str, status: str, error: str = "", token: str = "") -> Post:
        """Return a signed callback with any status."""
        form = {
            "SmsSid": sid,
            "SmsStatus": status,
            "MessageStatus": status,
            "To": "+8613800138000",
            "MessageSid": sid,
            "AccountSid": self.sid,
            "From": self.number,
            "ApiVersion": "2010-04-01",
            # One of those that appear without notice.
            "RawDlrDoneDate": "2611221000",
        } | ({"ErrorCode": error} if error else {})
        text = url + "".join(name + value for name, value in sorted(form.items()))
        signature = base64.b64encode(hmac.digest((token or self.token).encode(), text.encode(), hashlib.sha1)).decode()
        kind = "application/x-www-form-urlencoded; charset=UTF-8"
        return Post(urlencode(form).encode(), {"Content-Type": kind, "X-Twilio-Signature": signature})
