"""A Yuntongxun that we run ourselves: it checks a TemplateSMS request as strictly as the real one, and fails on order.

    with Provider() as provider:
        for name, value in provider.settings.items():
            setattr(settings, name, value)
        provider.script("503", "accept_then_hang")  # the next two requests; after them `provider.mode`, which is "ok"
        ...
        assert [sms.code for sms in provider.wait_for_sent(1)] == [code]
        assert provider.violations == []

`sent` is what handsets received, `requests` is everything that arrived with what became of it, `violations` is what a
correct client never does. Stopping is immediate, whatever hangs. By hand:
`python -m tests.support.provider --port 8883`.
"""

from __future__ import annotations

import argparse
import base64
import binascii
import hashlib
import hmac
import json
import re
import sys
import time
from collections import Counter
from contextlib import suppress
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote
from uuid import uuid4

from tests.support.providers.fake import HUGE, MODES, SMS, Fake, Post, Request, Violation, check_length, told

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

__all__ = ["BEIJING", "HUGE", "MODES", "SMS", "Provider", "Request", "moment"]

BEIJING = timezone(timedelta(hours=8))
# Placeholders of the template that the account has: {1} the code, {2} the minutes.
PLACEHOLDERS = 2
# Numbers that one request may name.
MOST_NUMBERS = 200
_DUPLICATE = "160054"


class Provider(Fake):
    """The far side of the gateway, on a port of its own."""

    codes = {
        "auth_error": "111143",
        "balance": "111142",
        "bad_number": "160042",
        "too_frequent": "160038",
        "busy": "111111",
    }
    form = r"[0-9]{6}"
    accepted = "000000"
    unparsed = "160031"

    def __init__(
        self,
        port: int = 0,
        *,
        account_sid: str = "8aaf07086010a0eb016019ab9f0d0001",
        auth_token: str = "0f1e2d3c4b5a69788796a5b4c3d2e1f0",
        app_id: str = "8aaf07086010a0eb016019aba0c60007",
        template_id: str = "1",
        cooldown: float = 0.0,
        drip: float = 0.5,
        tls: ssl.SSLContext | None = None,
        on_sent: Callable[[SMS], None] | None = None,
    ) -> None:
        self.account_sid = account_sid
        self.auth_token = auth_token
        self.app_id = app_id
        self.template_id = template_id
        super().__init__(port, cooldown=cooldown, drip=drip, tls=tls, on_sent=on_sent)

    @property
    def settings(self) -> dict[str, str]:
        """The account as Latchkey's settings, which are also its environment variables."""
        return {
            "YUNTONGXUN_ACCOUNT_SID": self.account_sid,
            "YUNTONGXUN_AUTH_TOKEN": self.auth_token,
            "YUNTONGXUN_APP_ID": self.app_id,
            "YUNTONGXUN_TEMPLATE_ID": self.template_id,
            "YUNTONGXUN_BASE_URL": self.url,
        }

    def check_head(self, request: Request) -> None:
        """Check address and headers. Raises Violation."""
        path, _, query = request.path.partition("?")
        match = re.fullmatch(r"/([^/]+)/Accounts/([^/]+)/SMS/TemplateSMS", path)
        if request.method != "POST" or not match:
            raise Violation("111100", f"{request.method} {path} is not a TemplateSMS request")
        version, sid = map(unquote, match.groups())
        if version != "2013-12-26":
            raise Violation("111110", f"version {version}")
        sig = request.sig = parse_qs(query).get("sig", [""])[0]
        if not sig:
            raise Violation("111108", "no sig")
        timestamp = self._check_authorization(request.headers.get("authorization", ""), sid)
        if sid != self.account_sid:
            raise Violation("111141", "no such account")
        expected = hashlib.md5(f"{sid}{self.auth_token}{timestamp}".encode()).hexdigest().upper()
        if not hmac.compare_digest(sig.encode(), expected.encode()):
            raise Violation("111109", "sig is not the upper-case MD5 of sid, token and the header's timestamp")
        # Here the real one may be more lenient. A client that sends what the page shows has nothing to fear.
        accept = request.headers.get("accept", "")
        if accept != "application/json":
            raise Violation("160031", f"Accept is {accept!r}")
        kind = request.headers.get("content-type", "").replace(" ", "").lower()
        if kind != "application/json;charset=utf-8":
            raise Violation("160031", f"Content-Type is {kind!r}")
        check_length(request, "160031")

    def _check_authorization(self, header: str, sid: str) -> str:
        if not header:
            raise Violation("111101", "no Authorization")
        try:
            decoded = base64.b64decode(header, validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            raise Violation("111102", "Authorization is not base64") from None
        named, colon, timestamp = decoded.partition(":")
        if not colon:
            raise Violation("111103", "Authorization is not sid:timestamp")
        if not named:
            raise Violation("111104", "Authorization has no sid")
        if not timestamp:
            raise Violation("111105", "Authorization has no timestamp")
        when = moment(timestamp)
        if not when:
            raise Violation("111113", "timestamp is not yyyyMMddHHmmss")
        if abs(datetime.now(BEIJING) - when) > timedelta(hours=24):
            raise Violation("111106", "timestamp is more than 24 hours off")
        if named != sid:
            raise Violation("111107", "Authorization and address name two accounts")
        return timestamp

    def check_body(self, raw: bytes, request: Request) -> dict[str, Any]:
        """Check the body and return it. Raises Violation."""
        if not raw:
            raise Violation("160030", "no body")
        try:
            body = json.loads(raw.decode())
        except ValueError:
            raise Violation("160031", "the body is not JSON in UTF-8") from None
        if not isinstance(body, dict):
            raise Violation("160031", "the body is not an object")
        unknown = set(body) - {"to", "appId", "templateId", "datas", "reqId", "subAppend"}
        if unknown:
            raise Violation("160031", f"unknown fields {sorted(unknown)}")
        for name in set(body) - {"datas"}:
            if not isinstance(body[name], str):
                raise Violation("160031", f"{name} is not a string")
        self._check_numbers(body.get("to", ""))
        self._check_template(body)
        if "reqId" in body:
            if len(body["reqId"]) > 32:
                raise Violation("160055", "reqId is longer than 32")
            if not re.fullmatch(r"[0-9A-Za-z]+", body["reqId"]):
                raise Violation("160031", "reqId is not letters and digits")
        if not re.fullmatch(r"([0-9]{4})?", body.get("subAppend", "")):
            raise Violation("160065", "subAppend is not four digits")
        return body

    def _check_numbers(self, to: str) -> None:
        if not to:
            raise Violation("160044", "no number")
        numbers = to.split(",")
        if len(numbers) > MOST_NUMBERS:
            raise Violation("160048", f"{len(numbers)} numbers")
        if max(Counter(numbers).values()) > 1:
            raise Violation("160045", "a number twice")
        # Mainland as in all examples of the page. Abroad with 00 is our guess at what the real one takes.
        if not all(re.fullmatch(r"1[3-9][0-9]{9}|00[1-9][0-9]{6,14}", number) for number in numbers):
            raise Violation("160042", "not a number")
        if len(numbers) > 1 and any(number.startswith("00") for number in numbers):
            raise Violation("160059", "numbers abroad go one by one")

    def _check_template(self, body: dict[str, Any]) -> None:
        if not body.get("appId"):
            raise Violation("111169", "no appId")
        if body["appId"] != self.app_id:
            raise Violation("111181", "no such app")
        if not re.fullmatch(r"[0-9]+", body.get("templateId", "")):
            raise Violation("160057", "templateId is not digits")
        if body["templateId"] != self.template_id:
            raise Violation("160032", "no such template")
        datas = body.get("datas")
        if not isinstance(datas, list) or not all(isinstance(each, str) for each in datas):
            raise Violation("160052", "datas is not a list of strings")
        if len(datas) != PLACEHOLDERS:
            raise Violation("160052", f"{len(datas)} datas for {PLACEHOLDERS} placeholders")
        if self.template_id == "1" and not all(re.fullmatch(r"[0-9]+", each) for each in datas):
            raise Violation("160069", "the test template takes digits only")

    def accept(self, request: Request) -> str:
        """Take a conforming message unless its reqId or its number says no; return the status code."""
        body, now = request.body, time.time()
        key = (datetime.now(BEIJING).strftime("%Y%m%d"), request.req_id)
        code, minutes = body["datas"]
        request.sid = uuid4().hex
        new = [SMS(number, code, minutes, request.req_id, now, request.sid) for number in body["to"].split(",")]
        # Only what was accepted uses its reqId up. Whether the real one agrees is not known.
        taken = self.take(new, key if request.req_id else None)
        return {"taken": self.accepted, "again": _DUPLICATE, "too soon": "160038"}[taken]

    def answer(self, request: Request, code: str) -> bytes:
        """Return JSON with the status code; the HTTP status is 200 whatever it says."""
        answer: dict[str, object] = {"statusCode": code}
        if code == self.accepted:
            created = datetime.now(BEIJING).strftime("%Y%m%d%H%M%S")
            answer["templateSMS"] = {"dateCreated": created, "smsMessageSid": request.sid or uuid4().hex}
        else:
            answer["statusMsg"] = told(request)
        return json.dumps(answer, ensure_ascii=False).encode()

    def reports(self, *sms: SMS, delivered: bool = True) -> list[Post]:
        """Return an SMSArrived for each."""
        return [
            Post(
                json.dumps(
                    {
                        "Request": {
                            "action": "SMSArrived",
                            "smsType": "1",
                            "apiVersion": "2013-12-26",
                            "content": each.sid,
                            "fromNum": each.to,
                            "dateSent": datetime.now(BEIJING).strftime("%Y%m%d%H%M%S"),
                            "deliverCode": "DELIVRD" if delivered else "UNDELIV",
                            "recvTime": datetime.now(BEIJING).strftime("%Y%m%d%H%M%S"),
                            "status": "0" if delivered else "1",
                            "reqId": each.req_id,
                            "smsCount": "1",
                            "spCode": "10690876",
                        }
                    }
                ).encode(),
                {"Content-Type": "application/json;charset=utf-8"},
            )
            for each in sms
        ]


def moment(timestamp: str) -> datetime | None:
    """Read a yyyyMMddHHmmss of Beijing."""
    # The digits are counted here, because strptime is content with fewer.
    with suppress(ValueError):
        if re.fullmatch(r"[0-9]{14}", timestamp):
            return datetime.strptime(timestamp, "%Y%m%d%H%M%S").replace(tzinfo=BEIJING)
    return None


def main() -> None:
    """Run until Ctrl-C and print each SMS."""
    modes = "\n".join(f"  {name:20} {meaning}" for name, meaning in MODES.items())
    parser = argparse.ArgumentParser(
        prog="python -m tests.support.provider",
        description="A fake Yuntongxun that checks like the real one.",
        epilog=f"modes:\n{modes}\n  160038               any status code\n  503                  any HTTP status",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--port", type=int, default=0, help="default: a free one")
    parser.add_argument("--mode", default="ok", help="how requests are answered")
    parser.add_argument("--script", nargs="*", default=[], metavar="MODE", help="how the first ones are answered")
    parser.add_argument("--cooldown", type=float, default=0.0, metavar="SECONDS", help="one SMS a number in that time")
    options = parser.parse_args()

    def say(line: str) -> None:
        sys.stdout.write(line + "\n")
        sys.stdout.flush()

    def show(sms: SMS) -> None:
        say(f"{sms.to}: your code is {sms.code}, enter it within {sms.minutes} minutes (reqId {sms.req_id})")

    with Provider(options.port, cooldown=options.cooldown, on_sent=show) as provider:
        try:
            provider.mode = options.mode
            provider.script(*options.script)
        except ValueError as exc:
            parser.error(str(exc))
        say("Yuntongxun, or nearly. Start Latchkey with:\n")
        say("\n".join(f"export {name}={value}" for name, value in provider.settings.items()))
        say("export SMS_GATEWAYS=yuntongxun\n")
        seen = 0
        with suppress(KeyboardInterrupt):
            while True:
                time.sleep(0.2)
                requests = provider.requests
                for request in requests[seen:]:
                    say(f"  {request.method} {request.path.partition('?')[0]} [{request.mode}] {request.violation}")
                seen = len(requests)


if __name__ == "__main__":
    main()
