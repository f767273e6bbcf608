"""Delivery reports: any bytes, with any form and headers, are a list of receipts or Forged, and nothing else."""

from __future__ import annotations

import json
import re
from typing import NamedTuple
from urllib.parse import urlencode

from django.http import QueryDict
from django.http.request import HttpHeaders
from django.test import override_settings
from hypothesis import strategies as st

from tasks import gateways
from tasks.gateways import Forged, Receipt, Reporting, twilio
from tests.tools.fuzz.forms import json_values
from tests.tools.fuzz.target import Target

NAMES = ("yuntongxun", "aliyun", "tencent", "twilio")
TOKEN = "a token of the fuzzer's own"
URL = "https://login.example.org/receipts/twilio/0123456789abcdef/"
# Reports as they should be; the strategy spoils them.
YUNTONGXUN = {
    "Request": {
        "action": "SMSArrived", "smsType": "1", "status": "0", "content": "a" * 32, "reqId": "b" * 32,
        "deliverCode": "DELIVRD",
    }
}  # fmt: skip
ALIYUN = [{"success": True, "biz_id": "900619746936498440^0", "out_id": "c" * 32, "err_code": "DELIVRD"}]
TENCENT = [{"report_status": "SUCCESS", "sid": "2640:123", "errmsg": "DELIVRD"}]
TWILIO = {"MessageSid": "SM" + "d" * 32, "MessageStatus": "delivered", "ErrorCode": "0"}
JSON = tuple(json.dumps(report).encode() for report in (YUNTONGXUN, ALIYUN, TENCENT))
SEEDS = (*JSON, urlencode(TWILIO).encode())
odd = st.one_of(
    json_values, st.sampled_from(["", "0", "\x00", "a" * 70, "a" * 33, "１", "<b>", "FAIL", "delivered", 1, True, None])
)


class Post(NamedTuple):
    """What somebody posts to the address for reports."""

    body: bytes
    query: str
    headers: dict[str, str]
    # Signed as Twilio would, so that what lies behind the signature is reached.
    signed: bool


@st.composite
def spoiled(draw: st.DrawFn) -> bytes:
    """Make a report of one of the dialects, with some of its values replaced or gone."""
    report = json.loads(draw(st.sampled_from(JSON)))
    inner = report["Request"] if isinstance(report, dict) else report[0]
    for name in draw(st.lists(st.sampled_from(sorted(inner)), max_size=3)):
        if draw(st.booleans()):
            inner.pop(name, None)
        else:
            inner[name] = draw(odd)
    return json.dumps(report, ensure_ascii=draw(st.booleans())).encode("utf-8", "surrogatepass")


forms = st.dictionaries(st.sampled_from([*TWILIO, "x", "é"]), st.text(max_size=40)).map(
    lambda made: urlencode({**TWILIO, **made}, errors="replace").encode()
)
posts = st.builds(
    Post,
    st.one_of(st.binary(max_size=200), spoiled(), json_values.map(lambda made: json.dumps(made).encode()), forms),
    st.one_of(st.just(""), st.text(max_size=20), st.just("reference=" + "e" * 32)),
    st.dictionaries(st.sampled_from(["X-Twilio-Signature", "Host"]), st.characters(max_codepoint=255).map(str)),
    st.booleans(),
)


def any_post(post: Post) -> None:
    """T-94: no sender can do more than be refused, and what gets through fits its columns."""
    form = {name: str(value) for name, value in QueryDict(post.body).items()} if post.body.count(b"&") < 50 else {}
    url = URL + (f"?{post.query}" if post.query else "")
    given = dict(post.headers)
    if post.signed:
        given["X-Twilio-Signature"] = twilio.sign(TOKEN, url, form)
    headers = HttpHeaders({f"HTTP_{name.upper().replace('-', '_')}": value for name, value in given.items()})
    for name in NAMES:
        gateway = gateways.get(name)
        assert isinstance(gateway, Reporting)
        with override_settings(TWILIO_AUTH_TOKEN=TOKEN):
            try:
                found = gateway.receipts(post.body, form, url, headers)
            except Forged:
                continue
        assert name != "twilio" or post.signed, "an unsigned report was taken"
        for receipt in found:
            fits(receipt)


def fits(receipt: Receipt) -> None:
    """See that a receipt can be kept, looked for and shown."""
    assert isinstance(receipt.delivered, bool)
    assert receipt.provider_id or receipt.reference
    assert re.fullmatch(r"[0-9A-Za-z^:_-]{0,64}", receipt.provider_id, re.ASCII)
    assert re.fullmatch(r"([0-9A-Za-z]{32})?", receipt.reference, re.ASCII)
    assert re.fullmatch(r"[0-9A-Za-z_:.-]{0,64}", receipt.provider_code, re.ASCII)


def any_bytes(data: bytes) -> None:
    """As any_post, for atheris: the first byte says whether it is signed."""
    any_post(Post(data[1:], "", {}, bool(data[:1] > b"\x7f")))


TARGETS = (
    Target("receipts", posts, any_post, raw=any_bytes, seeds=tuple(b"\xff" + seed for seed in SEEDS)),
)  # fmt: skip
