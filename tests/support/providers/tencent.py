"""A Tencent that we run ourselves: it recomputes the signature of a SendSms, and answers for each number.

Used as tests/support/provider.py is; with the pages that tasks/gateways/tencent/ names beside it.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from tests.support.providers.fake import SMS, Fake, Post, Request, Violation, check_length, told

if TYPE_CHECKING:
    from collections.abc import Mapping

# Seconds that a request's time may be off.
WINDOW = 300
# What the front says, of the whole request. Everything else is said of a number.
FRONT = (
    "AuthFailure",
    "RequestLimitExceeded",
    "Invalid",
    "Missing",
    "Unknown",
    "NoSuch",
    "Unsupported",
    "Unauthorized",
)


class Tencent(Fake):
    """The far side of the gateway."""

    codes = {
        "auth_error": "AuthFailure.SignatureFailure",
        "balance": "FailedOperation.InsufficientBalanceInSmsPackage",
        "bad_number": "InvalidParameterValue.IncorrectPhoneNumber",
        "too_frequent": "LimitExceeded.PhoneNumberThirtySecondLimit",
        "busy": "RequestLimitExceeded",
    }
    form = r"Ok|[A-Z][A-Za-z]{5,}(\.[A-Za-z]+)*"
    accepted = "Ok"
    unparsed = "InvalidParameter"
    kind = "application/json"

    key_id = "AKIDexampleExampleExample0000000001"
    secret = "exampleSecretKey0000000000000001"
    app_id = "1400006666"
    sign_name = "闩锁"
    template = "1234567"
    region = "ap-guangzhou"

    @property
    def settings(self) -> dict[str, str]:
        """The account as Latchkey's settings, which are also its environment variables."""
        return {
            "TENCENT_SECRET_ID": self.key_id,
            "TENCENT_SECRET_KEY": self.secret,
            "TENCENT_SDK_APP_ID": self.app_id,
            "TENCENT_SIGN_NAME": self.sign_name,
            "TENCENT_TEMPLATE_ID": self.template,
            "TENCENT_REGION": self.region,
            "TENCENT_BASE_URL": self.url,
        }

    def check_head(self, request: Request) -> None:
        """Check address and headers. Raises Violation."""
        headers = request.headers
        if request.method != "POST" or request.path != "/":
            raise Violation("InvalidAction", f"{request.method} {request.path} is not a SendSms request")
        if headers.get("host") != f"127.0.0.1:{self.port}":
            raise Violation("NoSuchProduct", f"host {headers.get('host')!r}")
        if headers.get("x-tc-action") != "SendSms":
            raise Violation("InvalidAction", f"action {headers.get('x-tc-action')!r}")
        if headers.get("x-tc-version") != "2021-01-11":
            raise Violation("NoSuchVersion", f"version {headers.get('x-tc-version')!r}")
        if headers.get("x-tc-region") != self.region:
            raise Violation("UnsupportedRegion", f"region {headers.get('x-tc-region')!r}")
        if headers.get("content-type") != "application/json; charset=utf-8":
            raise Violation("InvalidParameter", f"Content-Type is {headers.get('content-type')!r}")
        check_length(request, "InvalidParameter")
        timestamp = headers.get("x-tc-timestamp", "")
        if not re.fullmatch(r"[0-9]{10}", timestamp):
            raise Violation("InvalidParameter", "X-TC-Timestamp is not Unix time in seconds")
        if abs(time.time() - int(timestamp)) > WINDOW:
            raise Violation("AuthFailure.SignatureExpire", "X-TC-Timestamp is more than 5 minutes off")

    def check_body(self, raw: bytes, request: Request) -> dict[str, Any]:
        """Check signature and body, and return the body. Raises Violation."""
        self._check_signature(request.headers, raw)
        try:
            body = json.loads(raw.decode())
        except ValueError:
            raise Violation("InvalidParameter", "the body is not JSON") from None
        allowed = {"PhoneNumberSet", "SmsSdkAppId", "SignName", "TemplateId", "TemplateParamSet", "SessionContext"}
        if not isinstance(body, dict) or set(body) - allowed:
            raise Violation("UnknownParameter", "the body is no object, or has unknown fields")
        for name in set(body) - {"PhoneNumberSet", "TemplateParamSet"}:
            if not isinstance(body[name], str):
                raise Violation("InvalidParameter", f"{name} is not a string")
        numbers = body.get("PhoneNumberSet")
        if not isinstance(numbers, list) or len(numbers) != 1:
            raise Violation("MissingParameter.EmptyPhoneNumberSet", "not one number")
        if not re.fullmatch(r"\+(861[3-9][0-9]{9}|(?!86)[1-9][0-9]{6,14})", str(numbers[0])):
            raise Violation("InvalidParameterValue.IncorrectPhoneNumber", "not E.164")
        if body.get("SmsSdkAppId") != self.app_id:
            raise Violation("UnauthorizedOperation.SmsSdkAppIdVerifyFail", "no such app")
        if numbers[0].startswith("+86") and body.get("SignName") != self.sign_name:
            raise Violation("FailedOperation.SignatureIncorrectOrUnapproved", "no such signature")
        if body.get("TemplateId") != self.template:
            raise Violation("FailedOperation.TemplateIncorrectOrUnapproved", "no such template")
        params = body.get("TemplateParamSet")
        if not isinstance(params, list) or len(params) != 2:
            raise Violation("FailedOperation.TemplateParamSetNotMatchApprovedTemplate", "the template has {1} and {2}")
        if not all(isinstance(each, str) and re.fullmatch(r"[0-9]{0,6}", each) for each in params):
            raise Violation("InvalidParameterValue.TemplateParameterFormatError", "a code is 0 to 6 digits")
        if len(body.get("SessionContext", "").encode()) >= 512:
            raise Violation("InvalidParameter", "SessionContext is too long")
        return body

    def _check_signature(self, headers: Mapping[str, str], raw: bytes) -> None:
        match = re.fullmatch(
            r"TC3-HMAC-SHA256 Credential=([^/]+)/([^/]+)/sms/tc3_request, "
            r"SignedHeaders=content-type;host;x-tc-action, Signature=([0-9a-f]{64})",
            headers.get("authorization", ""),
        )
        if not match:
            raise Violation("AuthFailure.InvalidAuthorization", "Authorization has not the page's form")
        if match[1] != self.key_id:
            raise Violation("AuthFailure.SecretIdNotFound", "no such key")
        timestamp = headers["x-tc-timestamp"]
        date = datetime.fromtimestamp(int(timestamp), UTC).strftime("%Y-%m-%d")
        if match[2] != date:
            raise Violation("AuthFailure.SignatureFailure", "the date is not that of X-TC-Timestamp in UTC")
        canonical = (
            f"POST\n/\n\ncontent-type:{headers['content-type']}\nhost:{headers['host']}\nx-tc-action:sendsms\n\n"
            f"content-type;host;x-tc-action\n{hashlib.sha256(raw).hexdigest()}"
        )
        to_sign = (
            f"TC3-HMAC-SHA256\n{timestamp}\n{date}/sms/tc3_request\n{hashlib.sha256(canonical.encode()).hexdigest()}"
        )
        day = hmac.digest(b"TC3" + self.secret.encode(), date.encode(), "sha256")
        key = hmac.digest(hmac.digest(day, b"sms", "sha256"), b"tc3_request", "sha256")
        if not hmac.compare_digest(match[3], hmac.digest(key, to_sign.encode(), "sha256").hex()):
            raise Violation("AuthFailure.SignatureFailure", "the signature is wrong")

    def accept(self, request: Request) -> str:
        """Take a conforming message, however often, unless its number has had enough."""
        body = request.body
        request.sid = f"5000:{uuid4().int % 10**28:028}"
        code, minutes = body["TemplateParamSet"]
        sms = SMS(body["PhoneNumberSet"][0], code, minutes, body.get("SessionContext", ""), time.time(), request.sid)
        return "Ok" if self.take([sms]) == "taken" else "LimitExceeded.PhoneNumberThirtySecondLimit"

    def answer(self, request: Request, code: str) -> bytes:
        """Return JSON with the code, in the place where the real one would say it."""
        response: dict[str, object] = {"RequestId": str(uuid4())}
        message = "send success" if code == "Ok" else told(request)
        # A request that does not conform has no numbers that could have a status.
        if code.startswith(FRONT) or not request.body:
            response["Error"] = {"Code": code, "Message": message}
        else:
            response["SendStatusSet"] = [
                {
                    "SerialNo": (request.sid or "5000:1045710669157053657849499619") if code == "Ok" else "",
                    "PhoneNumber": request.body["PhoneNumberSet"][0],
                    "Fee": int(code == "Ok"),
                    "SessionContext": request.body.get("SessionContext", ""),
                    "Code": code,
                    "Message": message,
                    "IsoCode": "CN",
                }
            ]
        return json.dumps({"Response": response}, ensure_ascii=False).encode()

    def reports(self, *sms: SMS, delivered: bool = True) -> list[Post]:
        """Return one array for all of them."""
        entries = [
            {
                "user_receive_time": "2026-11-22 10:00:03",
                "nationcode": "86",
                "mobile": each.to.removeprefix("+86"),
                "report_status": "SUCCESS" if delivered else "FAIL",
                "errmsg": "DELIVRD" if delivered else "MK:0001",
                "description": "用户短信送达成功" if delivered else "空号",
                "sid": each.sid,
            }
            for each in sms
        ]
        return [Post(json.dumps(entries, ensure_ascii=False).encode(), {"Content-Type": "application/json"})]
