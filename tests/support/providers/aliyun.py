"""An Aliyun that we run ourselves: it recomputes the signature of a SendSms, and reports in arrays.

Used as tests/support/provider.py is; with the pages that tasks/gateways/aliyun/ names beside it.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit
from uuid import uuid4

from tests.support.providers.fake import SMS, Fake, Post, Request, Violation, check_length, told

if TYPE_CHECKING:
    from collections.abc import Mapping

# The headers that have to be signed, in order.
SIGNED = ("content-type host x-acs-action x-acs-content-sha256 x-acs-date x-acs-signature-nonce x-acs-version").split()
# How far a request's time may be off.
WINDOW = timedelta(minutes=15)


class Aliyun(Fake):
    """The far side of the gateway."""

    codes = {
        "auth_error": "SignatureDoesNotMatch",
        "balance": "isv.AMOUNT_NOT_ENOUGH",
        "bad_number": "isv.MOBILE_NUMBER_ILLEGAL",
        "too_frequent": "isv.BUSINESS_LIMIT_CONTROL",
        "busy": "Throttling.User",
    }
    form = r"OK|is[vp]\.[A-Za-z_]+|[A-Z][A-Za-z]+(\.[A-Za-z]+)*|[A-Z]+_[A-Z]+"
    accepted = "OK"
    unparsed = "isv.INVALID_PARAMETERS"

    key_id = "LTAI5tExampleKeyId000001"
    secret = "aExampleKeySecret00000000000001"
    sign_name = "闩锁"
    template = "SMS_154950909"

    @property
    def settings(self) -> dict[str, str]:
        """The account as Latchkey's settings, which are also its environment variables."""
        return {
            "ALIYUN_ACCESS_KEY_ID": self.key_id,
            "ALIYUN_ACCESS_KEY_SECRET": self.secret,
            "ALIYUN_SIGN_NAME": self.sign_name,
            "ALIYUN_TEMPLATE_CODE": self.template,
            "ALIYUN_BASE_URL": self.url,
        }

    def status(self, code: str) -> int:
        """Return 200 for what the SMS service says, and an error for what the front says."""
        return 200 if code == "OK" or code.startswith(("isv.", "isp.")) else 400

    def check_head(self, request: Request) -> None:
        """Check address and headers. Raises Violation."""
        headers = request.headers
        if request.method != "POST" or request.path != "/":
            raise Violation("InvalidAction.NotFound", f"{request.method} {request.path} is not a SendSms request")
        if headers.get("x-acs-action") != "SendSms":
            raise Violation("InvalidAction.NotFound", f"action {headers.get('x-acs-action')!r}")
        if headers.get("x-acs-version") != "2017-05-25":
            raise Violation("InvalidVersion", f"version {headers.get('x-acs-version')!r}")
        if headers.get("host") != urlsplit(self.url).netloc:
            raise Violation("InvalidParameter", f"host {headers.get('host')!r}")
        if headers.get("content-type") != "application/x-www-form-urlencoded":
            raise Violation("InvalidParameter", f"Content-Type is {headers.get('content-type')!r}")
        check_length(request, "InvalidParameter")
        try:
            when = datetime.strptime(headers.get("x-acs-date", ""), "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
        except ValueError:
            raise Violation("InvalidTimeStamp.Format", "x-acs-date is not ISO 8601 in UTC") from None
        if abs(datetime.now(UTC) - when) > WINDOW:
            raise Violation("InvalidTimeStamp.Expired", "x-acs-date is more than 15 minutes off")
        nonce = headers.get("x-acs-signature-nonce", "")
        if not nonce or self.used("nonce", nonce):
            raise Violation("SignatureNonceUsed", "x-acs-signature-nonce is missing or not new")

    def check_body(self, raw: bytes, request: Request) -> dict[str, Any]:
        """Check signature and body, and return the body. Raises Violation."""
        self._check_signature(request.headers, raw)
        fields = parse_qsl(raw.decode(), keep_blank_values=True, strict_parsing=True)
        body = dict(fields)
        allowed = {"PhoneNumbers", "SignName", "TemplateCode", "TemplateParam", "OutId", "SmsUpExtendCode"}
        if len(body) < len(fields) or set(body) - allowed:
            raise Violation("isv.INVALID_PARAMETERS", f"a field twice or unknown: {sorted(body)}")
        # As all examples of the page: of the mainland bare, abroad with the country's code and no plus.
        if not re.fullmatch(r"1[3-9][0-9]{9}|(?!86|0)[0-9]{7,15}", body.get("PhoneNumbers", "")):
            raise Violation("isv.MOBILE_NUMBER_ILLEGAL", "not a number")
        if body.get("SignName") != self.sign_name:
            raise Violation("isv.SMS_SIGNATURE_ILLEGAL", "no such signature")
        if body.get("TemplateCode") != self.template:
            raise Violation("isv.SMS_TEMPLATE_ILLEGAL", "no such template")
        try:
            params = json.loads(body.get("TemplateParam", ""))
        except ValueError:
            raise Violation("isv.INVALID_JSON_PARAM", "TemplateParam is not JSON") from None
        if not isinstance(params, dict) or set(params) != {"code"}:
            raise Violation("isv.TEMPLATE_MISSING_PARAMETERS", "the template has the one placeholder ${code}")
        if not isinstance(params["code"], str) or not re.fullmatch(r"[0-9A-Za-z]{4,6}", params["code"]):
            raise Violation("isv.TEMPLATE_PARAMS_ILLEGAL", "a code is a string of 4 to 6 letters and digits")
        return body

    def _check_signature(self, headers: Mapping[str, str], raw: bytes) -> None:
        match = re.fullmatch(
            r"ACS3-HMAC-SHA256 Credential=([^,]+),SignedHeaders=([^,]+),Signature=([0-9a-f]{64})",
            headers.get("authorization", ""),
        )
        if not match:
            raise Violation("IncompleteSignature", "Authorization has not the page's form")
        if match[1] != self.key_id:
            raise Violation("InvalidAccessKeyId.NotFound", "no such key")
        digest = hashlib.sha256(raw).hexdigest()
        if match[2].split(";") != SIGNED or headers.get("x-acs-content-sha256") != digest:
            raise Violation("SignatureDoesNotMatch", "not all headers are signed, or not this body")
        lines = "".join(f"{name}:{headers[name]}\n" for name in SIGNED)
        canonical = f"POST\n/\n\n{lines}\n{match[2]}\n{digest}"
        to_sign = f"ACS3-HMAC-SHA256\n{hashlib.sha256(canonical.encode()).hexdigest()}"
        right = hmac.new(self.secret.encode(), to_sign.encode(), hashlib.sha256).hexdigest()
        if not hmac.compare_digest(match[3], right):
            raise Violation("SignatureDoesNotMatch", "the signature is wrong")

    def accept(self, request: Request) -> str:
        """Take a conforming message, however often, unless its number has had enough."""
        body = request.body
        request.sid = f"{uuid4().int % 10**18:018}^0"
        code = json.loads(body["TemplateParam"])["code"]
        sms = SMS(body["PhoneNumbers"], code, "", body.get("OutId", ""), time.time(), request.sid)
        return "OK" if self.take([sms]) == "taken" else "isv.BUSINESS_LIMIT_CONTROL"

    def answer(self, request: Request, code: str) -> bytes:
        """Return JSON with the code."""
        answer = {"Code": code, "Message": "OK" if code == "OK" else told(request), "RequestId": str(uuid4()).upper()}
        if code == "OK":
            answer["BizId"] = request.sid or "900619746936498440^0"
        return json.dumps(answer, ensure_ascii=False).encode()

    def reports(self, *sms: SMS, delivered: bool = True) -> list[Post]:
        """Return one array for all of them."""
        entries = [
            {
                "phone_number": each.to,
                "send_time": "2026-11-22 10:00:00",
                "report_time": "2026-11-22 10:00:03",
                "success": delivered,
                "err_code": "DELIVERED" if delivered else "MK:0001",
                "err_msg": "用户接收成功" if delivered else "空号",
                "sms_size": "1",
                "biz_id": each.sid,
                "out_id": each.req_id,
            }
            for each in sms
        ]
        return [Post(json.dumps(entries, ensure_ascii=False).encode(), {"Content-Type": "application/json"})]
