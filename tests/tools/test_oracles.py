"""Our requests beside those of the providers' own clients: same credentials, same message, same clock and nonce.

We send first, to a server that keeps the request as it came. The SDK is then given the clock and the nonce of our
request, and sends to the same server. Every difference between the two is listed here, with its reason.
"""

from __future__ import annotations

import base64
import json
import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote, urlencode

import pytest

from tasks import gateways
from tasks.gateways import Outcome
from tasks.gateways.aliyun import authorization as sign_aliyun
from tasks.gateways.tencent import authorization as sign_tencent
from tasks.gateways.twilio import sign
from tests.support.provider import Provider as FakeYuntongxun
from tests.support.providers.aliyun import Aliyun as FakeAliyun
from tests.support.providers.common import message, use
from tests.support.providers.tencent import Tencent as FakeTencent
from tests.support.providers.twilio import Twilio as FakeTwilio
from tests.support.recorder import Recorded, Recorder
from tests.tools.oracles import environment

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_django import Settings

    from tests.support.providers.fake import Fake

pytestmark = [pytest.mark.long, pytest.mark.timeout(400)]

SID = "SM" + "0" * 32
# What each provider answers to a message that it takes, and the id in it.
TAKEN: dict[str, tuple[dict[str, Any], str]] = {
    "twilio": ({"sid": SID, "status": "queued", "error_code": None}, SID),
    "tencent": (
        {"Response": {"SendStatusSet": [{"SerialNo": "5000:1", "Code": "Ok", "PhoneNumber": "+8613800138000"}]}},
        "5000:1",
    ),
    "aliyun": ({"Code": "OK", "BizId": "9^0", "RequestId": "r", "Message": "OK"}, "9^0"),
    "yuntongxun": ({"statusCode": "000000", "templateSMS": {"smsMessageSid": "a" * 32}}, "a" * 32),
}
# What the SDK's HTTP library says of itself, and its wish for a compressed answer: ours would have to unpack one.
LIBRARY = {"user-agent", "accept-encoding", "connection"}


@pytest.fixture(scope="module")
def sdk() -> Any:
    """The SDKs' environment."""
    problem = environment.install()
    if problem:
        # They come from PyPI, which not every machine reaches.
        pytest.skip(f"the providers' SDKs cannot be installed ({problem})")
    return environment.call


@contextmanager
def sent(fake: Fake, name: str, settings: Settings) -> Iterator[tuple[Recorder, Recorded]]:
    """Send a message by our gateway; give the server, for the SDK to send to as well, and our request."""
    answer, provider_id = TAKEN[name]
    with Recorder(json.dumps(answer).encode(), 201 if name == "twilio" else 200) as recorder:
        use(fake, settings)
        setattr(settings, f"{name.upper()}_BASE_URL", recorder.url)
        said = gateways.get(name).send(message(code="000042"))
        assert (said.outcome, said.provider_id) == (Outcome.ACCEPTED, provider_id), said
        [ours] = recorder.requests
        yield recorder, ours


def different(ours: Recorded, theirs: Recorded) -> set[str]:
    """Return the headers that only one of the two has, or that differ."""
    names = ours.headers.keys() | theirs.headers.keys()
    return {name for name in names - LIBRARY if ours.headers.get(name) != theirs.headers.get(name)}


@pytest.mark.parametrize("service", ["", "MG" + "0" * 32])
@pytest.mark.parametrize("secret", ["", "s" * 32])
def test_twilios_own_client_sends_the_same_bytes(sdk: Any, settings: Settings, service: str, secret: str) -> None:
    settings.TWILIO_MESSAGING_SERVICE_SID = service
    settings.TWILIO_RECEIPT_SECRET, settings.PUBLIC_ORIGIN = secret, "https://login.example.org"
    words = {
        "to": "To", "body": "Body", "from_": "From", "messaging_service_sid": "MessagingServiceSid",
        "status_callback": "StatusCallback", "validity_period": "ValidityPeriod",
    }  # fmt: skip
    with sent(FakeTwilio(), "twilio", settings) as (recorder, ours):
        fields = dict(parse_qsl(ours.body.decode()))
        given = {word: fields[name] for word, name in words.items() if name in fields}
        said = sdk("twilio", url=recorder.url, sid=FakeTwilio.sid, token=FakeTwilio.token, fields=given)
    assert ("StatusCallback" in fields) is bool(secret)
    assert ("MessagingServiceSid" in fields) is bool(service)
    assert said == SID
    theirs = recorder.requests[1]
    assert (ours.method, ours.target, ours.body) == (theirs.method, theirs.target, theirs.body)
    # The SDK's version and wishes; Authorization, Content-Type and Accept are the same.
    assert different(ours, theirs) == {"x-twilio-client", "accept-charset"}


def test_twilios_own_client_signs_reports_as_we_do_and_takes_ours_for_its_own(sdk: Any) -> None:
    url = "https://login.example.org/receipts/twilio/secret/?reference=" + "a" * 32
    form = {
        "MessageSid": SID,
        "MessageStatus": "undelivered",
        "ErrorCode": "30034",
        "To": "+8613800138000",
        "Ä": "闩锁",
    }
    assert sdk("twilio_signature", token=FakeTwilio.token, url=url, form=form) == sign(FakeTwilio.token, url, form)
    with FakeTwilio() as fake:
        post = fake.report(url, SID, "undelivered", "30034")
    signed = dict(parse_qsl(post.body.decode()))
    signature = post.headers["X-Twilio-Signature"]
    assert sdk("twilio_accepts", token=fake.token, url=url, form=signed, signature=signature) is True
    assert sdk("twilio_accepts", token=fake.token, url=url, form=signed, signature=signature[::-1]) is False


def test_twilios_own_client_finds_no_fault_with_our_provider_nor_it_with_the_client(sdk: Any) -> None:
    """The provider that all other tests use takes what the SDK sends, and the SDK reads its answer."""
    with FakeTwilio() as fake:
        fields = {"to": "+8613800138000", "from_": fake.number, "body": "000042 is your code", "validity_period": 300}
        said = sdk("twilio", url=fake.url, sid=fake.sid, token=fake.token, fields=fields)
    [sms] = fake.sent
    assert (said, sms.code, fake.violations) == (sms.sid, "000042", [])


def test_tencents_own_client_sends_the_same_body_and_signs_in_the_same_way(sdk: Any, settings: Settings) -> None:
    with sent(FakeTencent(), "tencent", settings) as (recorder, ours):
        timestamp = int(ours.headers["x-tc-timestamp"])
        said = sdk(
            "tencent", url=recorder.url, key_id=FakeTencent.key_id, key=FakeTencent.secret, region=FakeTencent.region,
            fields=json.loads(ours.body), timestamp=timestamp,
        )  # fmt: skip
    assert said == "5000:1"
    theirs = recorder.requests[1]
    assert (ours.method, ours.target, ours.body) == (theirs.method, theirs.target, theirs.body)
    assert different(ours, theirs) == {
        # The SDK's version, an id for the provider's tracing, and the language of its messages, which we never read.
        "x-tc-requestclient", "x-tc-traceid", "x-tc-language",
        # We follow the page on signatures: its charset, and X-TC-Action signed as well. So the signature differs ...
        "content-type", "authorization",
        # The SDK's HTTP library asks for any type.
        "accept",
    }  # fmt: skip
    # ... and is the same over the headers that the SDK signs.
    signed = {name: theirs.headers[name] for name in ("content-type", "host")}
    again = sign_tencent(FakeTencent.key_id, FakeTencent.secret, signed, theirs.body, timestamp=timestamp)
    assert again == theirs.headers["authorization"]


def test_aliyuns_own_client_sends_the_same_form_and_signs_in_the_same_way(sdk: Any, settings: Settings) -> None:
    """By the client's generic call, which takes the fields for the body."""
    ours, theirs = aliyun(sdk, settings, "aliyun_form")
    assert (ours.target, ours.body) == (theirs.target, theirs.body)
    # The SDK names where its credentials come from, and signs that, User-Agent and Accept as well. So the signature
    # differs ...
    assert different(ours, theirs) == {"x-acs-credentials-provider", "authorization"}
    # ... and is the same over the headers that the SDK signs.
    assert aliyun_signature(theirs) == theirs.headers["authorization"]


def test_aliyuns_own_client_has_the_same_fields_in_the_query(sdk: Any, settings: Settings) -> None:
    """By SendSms. We put them in the body: a query with a number and a code ends up in access logs."""
    ours, theirs = aliyun(sdk, settings, "aliyun")
    path, _, query = theirs.target.partition("?")
    assert (ours.target, parse_qsl(ours.body.decode())) == (path, parse_qsl(query))
    assert different(ours, theirs) == {
        "x-acs-credentials-provider", "authorization",
        # Of the empty body.
        "content-type", "content-length", "x-acs-content-sha256",
    }  # fmt: skip
    assert aliyun_signature(theirs, urlencode(parse_qsl(query), quote_via=quote)) == theirs.headers["authorization"]


def aliyun(sdk: Any, settings: Settings, call: str) -> tuple[Recorded, Recorded]:
    """Send by our gateway and by Aliyun's client; return both requests."""
    with sent(FakeAliyun(), "aliyun", settings) as (recorder, ours):
        said = sdk(
            call, url=recorder.url, key_id=FakeAliyun.key_id, key=FakeAliyun.secret,
            fields=dict(parse_qsl(ours.body.decode())), date=ours.headers["x-acs-date"],
            nonce=ours.headers["x-acs-signature-nonce"],
        )  # fmt: skip
    assert said == "9^0"
    theirs = recorder.requests[1]
    assert (ours.method, theirs.method) == ("POST", "POST")
    return ours, theirs


def aliyun_signature(request: Recorded, query: str = "") -> str:
    """Return what our function makes of a request of the SDK, with the headers that the SDK has signed."""
    [names] = re.findall("SignedHeaders=([^,]+)", request.headers["authorization"])
    signed = {name: request.headers[name] for name in names.split(";")}
    return sign_aliyun(FakeAliyun.key_id, FakeAliyun.secret, signed, request.body, query=query)


def test_yuntongxuns_own_client_sends_the_same_but_for_the_reference(sdk: Any, settings: Settings) -> None:
    with sent(FakeYuntongxun(), "yuntongxun", settings) as (recorder, ours):
        _sid, _colon, timestamp = base64.b64decode(ours.headers["authorization"]).decode().partition(":")
        fields = json.loads(ours.body)
        said = sdk(
            "yuntongxun", url=recorder.url, sid=settings.YUNTONGXUN_ACCOUNT_SID,
            token=settings.YUNTONGXUN_AUTH_TOKEN, app_id=settings.YUNTONGXUN_APP_ID, fields=fields, timestamp=timestamp,
        )  # fmt: skip
    assert said == "a" * 32
    theirs = recorder.requests[1]
    assert (ours.method, ours.target) == (theirs.method, theirs.target)
    # `reqId` makes a repeat harmless. The SDK does not know it; the provider's page does.
    reference = fields.pop("reqId")
    assert ours.body == theirs.body[:-1] + f', "reqId": "{reference}"}}'.encode()
    # Content-Length for the same reason. Accept-Charset says what Content-Type says already.
    assert different(ours, theirs) == {"content-length", "accept-charset"}
