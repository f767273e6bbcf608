"""Providers' answers: any status and bytes are an Answer, and never "accepted" without the provider's own word."""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple

from hypothesis import strategies as st

from tasks.gateways import Answer, Message, Outcome, aliyun, http, tencent, twilio, yuntongxun
from tests.tools.fuzz.forms import json_values
from tests.tools.fuzz.receipts import odd
from tests.tools.fuzz.target import Target

TO = "+8613800138000"
MESSAGE = Message(to=TO, code="246810", minutes=5, seconds=300, text="", reference="a" * 32)
SID = "SM" + "a" * 32
GOOD: dict[str, dict[str, Any]] = {
    "yuntongxun": {"statusCode": "000000", "templateSMS": {"smsMessageSid": "b" * 32}},
    "aliyun": {"Code": "OK", "BizId": "900619746936498440^0", "Message": "OK"},
    "tencent": {"Response": {"SendStatusSet": [{"PhoneNumber": TO, "Code": "Ok", "SerialNo": "2640:123"}]}},
    "twilio": {"sid": SID, "status": "queued", "error_code": None},
}
# A code of each that is none of success.
BAD = ["160042", "isv.BUSINESS_LIMIT_CONTROL", "FailedOperation.ContainSensitiveWord", 21211, "OK ", "ok", "0", 0, ""]
STATUSES = [200, 201, 202, 299, 300, 302, 400, 401, 404, 408, 429, 500, 503, 100, 0, 999]


class Case(NamedTuple):
    """Whose answer, and what it is."""

    name: str
    status: int
    body: bytes


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Make an answer: a good one, a spoiled one, any JSON, or any bytes."""
    name = draw(st.sampled_from(sorted(GOOD)))
    status = draw(st.one_of(st.just(200), st.sampled_from(STATUSES)))
    kind = draw(st.integers(0, 3))
    if kind == 0:
        return Case(name, status, draw(st.binary(max_size=200)))
    if kind == 1:
        return Case(name, status, json.dumps(draw(json_values)).encode())
    answer = json.loads(json.dumps(GOOD[name]))
    if kind == 2:
        spoil(draw, answer)
    return Case(name, status, json.dumps(answer).encode("utf-8", "surrogatepass"))


def spoil(draw: st.DrawFn, value: Any) -> None:
    """Replace or remove something, somewhere in a tree."""
    names: list[Any] = list(value) if isinstance(value, dict) else list(range(len(value)))
    if not names:
        return
    name = draw(st.sampled_from(names))
    if isinstance(value[name], dict | list) and draw(st.booleans()):
        spoil(draw, value[name])
    elif draw(st.booleans()) or isinstance(value, list):
        value[name] = draw(st.one_of(odd, st.sampled_from(BAD)))
    else:
        del value[name]


def read(name: str, reply: http.Reply) -> Answer:
    """Read an answer with its own gateway, without the net that `send` has below it."""
    match name:
        case "yuntongxun":
            return yuntongxun._read(reply)
        case "aliyun":
            return aliyun._read(reply)
        case "tencent":
            return tencent._read(reply, MESSAGE)
        case _:
            return twilio._read(reply)


def is_said(name: str, body: bytes) -> bool:
    """Tell whether a body has the provider's word for success, by a reading of our own."""
    try:
        said = json.loads(body)
        match name:
            case "yuntongxun":
                return said["statusCode"] in {"000000", "160054", "160056"}
            case "aliyun":
                return bool(said["Code"] == "OK")
            case "tencent":
                response = said["Response"]
                ours = [one for one in response["SendStatusSet"] if isinstance(one, dict) and one["PhoneNumber"] == TO]
                return ours[0]["Code"] in {"Ok", "ok", "OK"} and not isinstance(response.get("Error"), dict)
            case _:
                good = {"queued", "accepted", "scheduled", "sending", "sent", "delivered"}
                return re.fullmatch(r"(SM|MM)[0-9a-f]{32}", said["sid"]) is not None and said["status"] in good
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError):
        return False


def any_answer(case: Case) -> None:
    """T-73: an Answer that fits its columns; accepted only when it was said, and refused only when something was."""
    answer = read(case.name, http.Reply(case.status, case.body))
    assert isinstance(answer, Answer)
    if answer.outcome is Outcome.ACCEPTED:
        assert 200 <= case.status < 300, "accepted under a status of error"
        assert is_said(case.name, case.body), "accepted, and nobody said so"
    if answer.outcome is Outcome.REFUSED or (answer.outcome is Outcome.NOT_SENT and case.status != 429):
        assert answer.provider_code, "certain of what nobody said"
    assert re.fullmatch(r"[0-9A-Za-z^:_-]{0,64}", answer.provider_id, re.ASCII)
    assert re.fullmatch(r"[0-9A-Za-z_.-]{0,64}", answer.provider_code, re.ASCII)
    assert answer.detail.isprintable()
    assert len(answer.detail) < 200


def any_bytes(data: bytes) -> None:
    """As any_answer, for atheris: the first two bytes choose the provider and the status."""
    if len(data) > 2:
        any_answer(Case(sorted(GOOD)[data[0] % 4], STATUSES[data[1] % len(STATUSES)], data[2:]))


SEEDS = tuple(bytes([n, 0]) + json.dumps(GOOD[name]).encode() for n, name in enumerate(sorted(GOOD)))
TARGETS = (Target("answers", cases(), any_answer, raw=any_bytes, seeds=SEEDS),)
