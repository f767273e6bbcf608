"""Delivery reports in each provider's own format, read by its gateway. What becomes of them is in test_receipts.py."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl
from uuid import uuid4

import pytest
from django.http.request import HttpHeaders

from tasks import gateways
from tasks.gateways import Forged, Reason, Receipt, Reporting, twilio
from tests.support.provider import Provider
from tests.support.providers.aliyun import Aliyun
from tests.support.providers.common import message, use
from tests.support.providers.fake import Post
from tests.support.providers.tencent import Tencent
from tests.support.providers.twilio import Twilio

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_django import Settings

    from tests.support.providers.fake import SMS, Fake

FAKES: dict[str, type[Fake]] = {"yuntongxun": Provider, "aliyun": Aliyun, "tencent": Tencent, "twilio": Twilio}
ORIGIN = "https://login.example.org"
SECRET = "0123456789abcdefghijklmnopqrstuv"


def url(name: str) -> str:
    return f"{ORIGIN}/receipts/{name}/{SECRET}/"


def read(name: str, post: Post, at: str = "") -> list[Receipt]:
    """Hand a report to the gateway as the view does."""
    gateway = gateways.get(name)
    assert isinstance(gateway, Reporting)
    kind = post.headers.get("Content-Type", "")
    form = dict(parse_qsl(post.body.decode(), keep_blank_values=True)) if kind.startswith("application/x-www") else {}
    headers = HttpHeaders({f"HTTP_{header.upper().replace('-', '_')}": value for header, value in post.headers.items()})
    return gateway.receipts(post.body, form, at or url(name), headers)


@pytest.fixture(params=FAKES)
def name(request: pytest.FixtureRequest, settings: Settings) -> str:
    settings.PUBLIC_ORIGIN = ORIGIN
    settings.TWILIO_RECEIPT_SECRET = SECRET
    param: str = request.param
    return param


@pytest.mark.parametrize("delivered", [True, False])
def test_a_report_finds_the_message_that_it_is_about(name: str, settings: Settings, delivered: bool) -> None:
    reference = uuid4().hex
    with FAKES[name]() as provider:
        use(provider, settings)
        answer = gateways.get(name).send(message(reference=reference))
        [sms] = provider.sent
        [post] = provider.reports(sms, delivered=delivered)
    [receipt] = read(name, post, sms.callback)
    assert receipt.delivered is delivered
    assert receipt.provider_id == answer.provider_id != ""
    # Where the provider gives it back, or calls an address that we have put it into.
    assert receipt.reference == (reference if name != "tencent" else "")
    assert receipt.provider_code


def test_a_report_may_come_before_the_answer(name: str, settings: Settings) -> None:
    early: list[Receipt] = []

    def report(sms: SMS) -> None:
        [post] = provider.reports(sms)
        early.extend(read(name, post, sms.callback))

    with FAKES[name](on_sent=report) as provider:
        use(provider, settings)
        answer = gateways.get(name).send(message())
    assert [receipt.provider_id for receipt in early] == [answer.provider_id]


@pytest.mark.parametrize("name", ["aliyun", "tencent"], indirect=True)
def test_one_report_may_tell_of_many(name: str, settings: Settings) -> None:
    with FAKES[name]() as provider:
        use(provider, settings)
        answers = [gateways.get(name).send(message(to=f"+86138001380{n:02}")) for n in range(20)]
        [good] = provider.reports(*provider.sent[:15])
        [bad] = provider.reports(*provider.sent[15:], delivered=False)
    entries = json.loads(good.body) + json.loads(bad.body)
    receipts = read(name, good._replace(body=json.dumps(entries).encode()))
    assert [receipt.provider_id for receipt in receipts] == [answer.provider_id for answer in answers]
    assert [receipt.delivered for receipt in receipts] == [True] * 15 + [False] * 5


def test_each_provider_hears_what_it_wants_to_hear() -> None:
    said = {name: gateways.get(name).receipt_reply for name in FAKES}  # type: ignore[attr-defined]
    assert json.loads(said["aliyun"][1]) == {"code": 0, "msg": "接收成功"}
    assert json.loads(said["tencent"][1]) == {"result": 0, "errmsg": "OK"}
    assert said["twilio"] == ("text/xml", "")
    assert said["yuntongxun"] == ("text/plain", "success")


# Reports that are none


@pytest.mark.parametrize(
    "body", [b"", b"null", b"{}", b"7", b'"x"', b"[7]", b"[[]]", b"[" * 50_000, b"\xff", b"[{}", b"a=1"], ids=range(11)
)
def test_what_has_not_the_form_of_a_report_is_refused(name: str, body: bytes) -> None:
    with pytest.raises(Forged):
        read(name, Post(body, {"Content-Type": "application/json"}))


CHANGES: list[tuple[str, Callable[[dict[str, object]], object]]] = [
    ("aliyun", lambda entry: entry.update(success="true")),
    ("aliyun", lambda entry: entry.update(success=1)),
    ("aliyun", lambda entry: entry.pop("success")),
    ("aliyun", lambda entry: entry.update(biz_id="<b>", out_id="67890")),
    ("aliyun", lambda entry: entry.update(biz_id=7, out_id=None)),
    ("tencent", lambda entry: entry.update(report_status="PENDING")),
    ("tencent", lambda entry: entry.update(report_status=None)),
    ("tencent", lambda entry: entry.update(report_status=["SUCCESS"])),
    ("tencent", lambda entry: entry.update(sid="")),
    ("tencent", lambda entry: entry.update(sid="x" * 65)),
    # What somebody sent to us.
    ("yuntongxun", lambda entry: entry.update(smsType="0")),
    ("yuntongxun", lambda entry: entry.update(status=None)),
    ("yuntongxun", lambda entry: entry.update(status="")),
    ("yuntongxun", lambda entry: entry.update(content="", reqId="123")),
]


@pytest.mark.parametrize(("name", "change"), CHANGES, indirect=["name"], ids=range(len(CHANGES)))
def test_what_says_neither_delivered_nor_failed_of_a_message_is_passed_over(
    name: str, settings: Settings, change: Callable[[dict[str, object]], object]
) -> None:
    with FAKES[name]() as provider:
        use(provider, settings)
        gateways.get(name).send(message())
        [post] = provider.reports(*provider.sent)
    assert len(read(name, post)) == 1, "or this test means nothing"
    body = json.loads(post.body)
    change(body["Request"] if name == "yuntongxun" else body[0])
    assert read(name, post._replace(body=json.dumps(body).encode())) == []


def test_a_carriers_word_that_is_no_word_is_left_out(settings: Settings) -> None:
    body = [{"success": False, "biz_id": "1^0", "err_code": "<script>", "out_id": "9" * 31}]
    assert read("aliyun", Post(json.dumps(body).encode(), {})) == [Receipt(delivered=False, provider_id="1^0")]


@pytest.mark.parametrize("name", ["aliyun", "tencent"], indirect=True)
@pytest.mark.parametrize("odd", [7, None, "x", [], {}, {"biz_id": "<b>"}])
def test_an_odd_entry_does_not_cost_the_others(
    name: str, settings: Settings, caplog: pytest.LogCaptureFixture, odd: object
) -> None:
    """The provider would report the same array again, odd entry and all."""
    with FAKES[name]() as provider:
        use(provider, settings)
        answer = gateways.get(name).send(message())
        [post] = provider.reports(*provider.sent)
    receipts = read(name, post._replace(body=json.dumps([odd, *json.loads(post.body), odd]).encode()))
    assert [receipt.provider_id for receipt in receipts] == [answer.provider_id]
    assert "2 entries of a report were skipped" in caplog.text


XML = """<?xml version="1.0" encoding="UTF-8"?>
<Request><action>SMSArrived</action><smsType>1</smsType><apiVersion>2013-12-26</apiVersion>
<content>4121908f3d1b4edb9210f0eb4742f62c</content><fromNum>13912345678</fromNum><deliverCode> DELIVRD </deliverCode>
<status>0</status><reqId>0123456789abcdef0123456789abcdef</reqId></Request>"""


def test_yuntongxun_may_report_in_xml() -> None:
    right = Receipt(
        delivered=True,
        provider_id="4121908f3d1b4edb9210f0eb4742f62c",
        reference="0123456789abcdef0123456789abcdef",
        provider_code="DELIVRD",
    )
    assert read("yuntongxun", Post(XML.encode(), {"Content-Type": "text/xml"})) == [right]
    failed = XML.replace("<status>0", "<status>1")
    assert [each.delivered for each in read("yuntongxun", Post(failed.encode(), {}))] == [False]
    assert read("yuntongxun", Post(XML.replace("<smsType>1", "<smsType>0").encode(), {})) == []


BOMB = '<!DOCTYPE a [<!ENTITY b "SMSArrived">]>'


@pytest.mark.parametrize(
    "body",
    [
        XML[:-1].encode(),
        XML.replace("Request", "Response").encode(),
        XML.replace("SMSArrived", "CallAuth").encode(),
        XML.replace("<Request>", f"{BOMB}<Request>").replace("SMSArrived", "&b;").encode(),
        XML.replace("UTF-8", "UTF-16").encode("utf-16"),
        b"<Request/>",
        b"<" * 50_000,
        b"<Request>" * 50_000,
    ],
    ids=range(8),
)
def test_xml_that_is_no_report_is_refused(body: bytes) -> None:
    with pytest.raises(Forged):
        read("yuntongxun", Post(body, {"Content-Type": "text/xml"}))


@pytest.mark.parametrize(("status", "delivered"), [(0, [True]), (1, [False]), (True, []), (0.0, []), ([0], [])])
def test_yuntongxun_may_write_a_status_as_a_number(status: object, delivered: list[bool]) -> None:
    body = {"Request": {"action": "SMSArrived", "smsType": 1, "content": "1" * 32, "status": status}}
    assert [each.delivered for each in read("yuntongxun", Post(json.dumps(body).encode(), {}))] == delivered


def test_another_callback_of_yuntongxun_is_refused() -> None:
    with pytest.raises(Forged):
        read("yuntongxun", Post(b'{"Request":{"action":"CallAuth","smsType":"1"}}', {}))


# Twilio signs


def test_the_signature_is_that_of_the_providers_own_example() -> None:
    """The example of twilio.com/docs/usage/webhooks/webhooks-security, which its libraries test themselves with."""
    form = {
        "Digits": "1234",
        "To": "+18005551212",
        "From": "+14158675309",
        "Caller": "+14158675309",
        "CallSid": "CA1234567890ABCDE",
    }
    assert twilio.sign("12345", "https://mycompany.com/myapp.php?foo=1&bar=2", form) == "RSOYDt4T1cUTdK1PDd93/VVr8B8="


@pytest.fixture
def signer(settings: Settings) -> Twilio:
    signer = Twilio()
    use(signer, settings)
    return signer


SID = "SM" + "0" * 32


@pytest.mark.parametrize(
    ("status", "delivered"),
    [
        ("delivered", True),
        ("read", True),
        ("undelivered", False),
        ("failed", False),
        ("canceled", False),
        ("accepted", None),
        ("queued", None),
        ("sending", None),
        ("sent", None),
        ("something_new", None),
        ("", None),
    ],
)
def test_each_status_is_an_end_or_is_passed_over(signer: Twilio, status: str, delivered: bool | None) -> None:
    receipts = read("twilio", signer.report(url("twilio"), SID, status))
    assert [receipt.delivered for receipt in receipts] == ([] if delivered is None else [delivered])


@pytest.mark.parametrize("signature", ["", "x", "ä", "RSOYDt4T1cUTdK1PDd93/VVr8B8="])
def test_a_stranger_who_knows_the_path_cannot_sign(signer: Twilio, signature: str) -> None:
    """T-94."""
    post = signer.report(url("twilio"), SID, "delivered")
    assert read("twilio", post), "or this test means nothing"
    post.headers["X-Twilio-Signature"] = signature
    with pytest.raises(Forged):
        read("twilio", post)


def test_a_report_without_a_signature_is_refused(signer: Twilio) -> None:
    """T-94."""
    post = signer.report(url("twilio"), SID, "delivered")
    del post.headers["X-Twilio-Signature"]
    with pytest.raises(Forged):
        read("twilio", post)


def test_a_report_that_was_changed_on_its_way_is_refused(signer: Twilio) -> None:
    """T-94."""
    post = signer.report(url("twilio"), SID, "failed")
    for body in (post.body.replace(b"failed", b"delivered"), post.body + b"&More=1", post.body.replace(b"SM0", b"SM1")):
        with pytest.raises(Forged):
            read("twilio", post._replace(body=body))


def test_a_report_for_another_address_is_refused(signer: Twilio) -> None:
    post = signer.report(url("twilio"), SID, "delivered")
    for at in (url("twilio") + "?x=1", url("twilio").replace("https", "http"), url("twilio").replace("login", "www")):
        with pytest.raises(Forged):
            read("twilio", post, at)


@pytest.mark.parametrize(
    ("origin", "signed"),
    [
        ("https://login.example.org", "https://login.example.org:443"),
        ("https://login.example.org:8443", "https://login.example.org"),
        ("https://login.example.org:8443", "https://login.example.org:8443"),
    ],
)
def test_a_port_that_the_provider_leaves_out_or_adds_does_no_harm(signer: Twilio, origin: str, signed: str) -> None:
    path = f"/receipts/twilio/{SECRET}/"
    assert read("twilio", signer.report(signed + path, SID, "delivered"), origin + path)


def test_another_accounts_token_does_not_do(signer: Twilio) -> None:
    """T-94."""
    with pytest.raises(Forged):
        read("twilio", signer.report(url("twilio"), SID, "delivered", token="0" * 32))


def test_without_a_token_of_ours_nobody_can_sign(signer: Twilio, settings: Settings) -> None:
    """An empty key is one that everybody has."""
    settings.TWILIO_AUTH_TOKEN = ""
    post = signer.report(url("twilio"), SID, "delivered")
    form = dict(parse_qsl(post.body.decode(), keep_blank_values=True))
    post.headers["X-Twilio-Signature"] = twilio.sign("", url("twilio"), form)
    with pytest.raises(Forged):
        read("twilio", post)


@pytest.mark.parametrize("sid", ["", "SM", "CA" + "0" * 32, SID + "\n"])
def test_a_signed_callback_about_something_else_is_refused(signer: Twilio, sid: str) -> None:
    with pytest.raises(Forged):
        read("twilio", signer.report(url("twilio"), sid, "delivered"))


@pytest.mark.parametrize(
    ("name", "code", "reason"),
    [
        ("twilio", "30005", Reason.NUMBER),
        ("twilio", "30003", Reason.NONE),
        ("twilio", "30007", Reason.OPERATOR),
        ("twilio", "21408", Reason.ROUTE),
        # Twilio's status stands there when a report has no error.
        ("twilio", "undelivered", Reason.NUMBER),
        ("aliyun", "isv.AMOUNT_NOT_ENOUGH", Reason.OPERATOR),
        ("aliyun", "MK:0001", Reason.NUMBER),
        ("tencent", "FailedOperation.InsufficientBalanceInSmsPackage", Reason.OPERATOR),
        ("tencent", "UNDELIV", Reason.NUMBER),
        ("yuntongxun", "160039", Reason.WAIT),
        ("yuntongxun", "", Reason.NUMBER),
        # It sends no reports.
        ("phone", "30007", Reason.NUMBER),
    ],
)
def test_a_reports_code_is_read_by_the_gateways_own_table(name: str, code: str, reason: Reason) -> None:
    assert gateways.report_reason(name, code) is reason
