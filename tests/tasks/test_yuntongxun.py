"""The Yuntongxun gateway over real HTTP, against a provider of our own that checks like the real one."""

from __future__ import annotations

import base64
import hashlib
import json
import logging
import re
import socket
import ssl
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection, HTTPException
from ipaddress import IPv4Address
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tasks.gateways import Answer, Message, Outcome, Reason, http
from tasks.gateways.yuntongxun import CODES, Yuntongxun
from tests.support.provider import BEIJING, HUGE, Provider, moment

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pytest_django import Settings

# Seconds. Far above what a send may take, far below what the faults here would take without a limit.
GENEROUS = http.TOTAL + 4

NONE, NUMBER, WAIT, OPERATOR = Reason.NONE, Reason.NUMBER, Reason.WAIT, Reason.OPERATOR
ROUTE = Reason.ROUTE
ACCEPTED, NOT_SENT, REFUSED, UNKNOWN = Outcome.ACCEPTED, Outcome.NOT_SENT, Outcome.REFUSED, Outcome.UNKNOWN


@pytest.fixture
def provider(provider: Provider, settings: Settings) -> Provider:
    use(provider, settings)
    return provider


def use(provider: Provider, settings: Settings) -> None:
    for name, value in provider.settings.items():
        setattr(settings, name, value)


def message(to: str = "+8613800138000", code: str = "314159", reference: str = "") -> Message:
    text = f"{code} is your code"
    return Message(to=to, code=code, minutes=5, seconds=300, text=text, reference=reference or uuid4().hex)


def send(**changes: str) -> Answer:
    return Yuntongxun().send(message(**changes))


# A person asks for a code


def test_a_person_gets_the_code_they_asked_for(provider: Provider) -> None:
    reference = uuid4().hex
    answer = send(reference=reference)

    [sms] = provider.sent
    assert (sms.to, sms.code, sms.minutes, sms.req_id) == ("13800138000", "314159", "5", reference)
    assert provider.violations == []
    assert (answer.outcome, answer.reason, answer.provider_code) == (ACCEPTED, NONE, "000000")
    # A delivery report will name it by this.
    assert re.fullmatch(r"[0-9a-f]{32}", answer.provider_id)


def test_a_code_with_leading_zeros_arrives_whole(provider: Provider) -> None:
    send(code="000042")
    assert provider.sent[0].code == "000042"


def test_people_who_ask_at_the_same_moment_each_get_one_sms(provider: Provider) -> None:
    people = [f"+86138001380{n:02}" for n in range(32)]
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda to: send(to=to), people))
    assert {answer.outcome for answer in answers} == {ACCEPTED}
    assert sorted(sms.to for sms in provider.sent) == sorted(to.removeprefix("+86") for to in people)
    assert len({answer.provider_id for answer in answers}) == len(people)
    assert provider.violations == []


def test_the_next_send_uses_the_connection_again(provider: Provider) -> None:
    # Also after a refusal and after an error page: both were read to the end.
    provider.script("ok", "bad_number", "503", "ok")
    for _ in range(4):
        send()
    assert len({request.client for request in provider.requests}) == 1


def test_a_connection_that_the_provider_closed_meanwhile_costs_nobody_their_code(provider: Provider) -> None:
    send()
    with provider.down():
        pass
    assert send().outcome is ACCEPTED
    assert len({request.client for request in provider.requests}) == 2, "or this test means nothing"


@pytest.mark.parametrize(
    ("to", "written"),
    [
        ("+85251234567", "0085251234567"),
        ("+886912345678", "00886912345678"),
        ("+12015550123", "0012015550123"),
        # Italy's zero belongs to the number.
        ("+390612345678", "00390612345678"),
    ],
)
def test_a_number_abroad_is_written_with_its_country(provider: Provider, to: str, written: str) -> None:
    assert send(to=to).outcome is ACCEPTED
    assert provider.sent[0].to == written


@pytest.mark.parametrize("to", ["", "+", "hello", "13800138000", "+86"])
def test_what_is_not_a_number_in_e164_never_leaves(provider: Provider, to: str) -> None:
    answer = send(to=to)
    assert (answer.outcome, answer.reason) == (REFUSED, NUMBER)
    assert provider.requests == []


# The time in the signature


@pytest.mark.parametrize("zone", ["America/New_York", "UTC", "Asia/Tokyo"])
def test_a_server_anywhere_signs_with_the_time_of_beijing(
    provider: Provider, monkeypatch: pytest.MonkeyPatch, zone: str
) -> None:
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        assert send().outcome is ACCEPTED
    finally:
        monkeypatch.undo()
        time.tzset()
    [request] = provider.requests
    signed = moment(base64.b64decode(request.headers["authorization"]).decode().partition(":")[2])
    assert signed
    assert abs(signed - datetime.now(BEIJING)) < timedelta(minutes=1)


# The provider's own words. This list is the documentation's, written a second time: the gateway's table is checked
# against it, not against itself.

SAID: list[tuple[str, Outcome, Reason]] = [
    ("000000", ACCEPTED, NONE),
    ("160054 160056", ACCEPTED, NONE),
    ("111111 160016", NOT_SENT, NONE),
    (" ".join(str(code) for code in range(160001, 160011)), NOT_SENT, NONE),
    (" ".join(str(code) for code in range(111000, 111100)), UNKNOWN, NONE),
    ("160000 160050 160063 160064", UNKNOWN, NONE),
    ("160038 160039 160040 160041 160015 160021 160022", REFUSED, WAIT),
    ("160042 160034 160051 160068 160072 160073 160074 160044", REFUSED, NUMBER),
    ("160061 160062", REFUSED, ROUTE),
    ("112314", REFUSED, OPERATOR),
    (" ".join(str(code) for code in (*range(111100, 111111), 111113)), REFUSED, OPERATOR),
    (" ".join(str(code) for code in range(111128, 111144)), REFUSED, OPERATOR),
    (" ".join(str(code) for code in range(111169, 111183)), REFUSED, OPERATOR),
    ("160032 160036 160043 160052 160057 160033 160037 160049", REFUSED, OPERATOR),
    ("160053 160014 160055 113302", REFUSED, OPERATOR),
    (" ".join(str(code) for code in range(112300, 112312)), REFUSED, OPERATOR),
    # From the fuller lists of two public clients.
    ("160013 112316 112317 112319", REFUSED, NUMBER),
    ("160011 160012 160017 160018 160019 160020", REFUSED, OPERATOR),
    ("160030 160031 160035 160045 160046 160047 160048", REFUSED, OPERATOR),
    ("160058 160059 160060 160065 160066 160067 160069 160070 160071", REFUSED, OPERATOR),
    ("112312 112313 112315 112318 112323 112353", REFUSED, OPERATOR),
    ("112326", UNKNOWN, NONE),
    # In no list: nobody knows, and the operator reads the code.
    ("111112 111144 160075 172001 999999", UNKNOWN, OPERATOR),
]


@pytest.mark.parametrize(("codes", "outcome", "reason"), SAID, ids=[codes[:13] for codes, *_ in SAID])
def test_each_status_code_has_its_outcome(provider: Provider, codes: str, outcome: Outcome, reason: Reason) -> None:
    for code in codes.split():
        provider.script(code)
        answer = send()
        assert (answer.provider_code, answer.outcome, answer.reason) == (code, outcome, reason)
        assert answer.detail
    assert provider.violations == []


def test_no_status_code_is_left_out_of_the_test_above() -> None:
    assert CODES.keys() <= {code for codes, *_ in SAID for code in codes.split()}


def test_a_duplicate_that_the_provider_knows_is_a_message_that_arrived(provider: Provider) -> None:
    reference = uuid4().hex
    provider.script("accept_then_502", "ok")
    assert send(reference=reference).outcome is UNKNOWN

    answer = send(reference=reference)
    assert (answer.outcome, answer.provider_code) == (ACCEPTED, "160054")
    assert len(provider.sent) == 1, "the same reqId twice is one SMS"


def test_a_person_who_asks_too_soon_is_told_to_wait(provider: Provider) -> None:
    provider.cooldown = 60
    assert send().outcome is ACCEPTED
    answer = send()
    assert (answer.outcome, answer.reason, answer.provider_code) == (REFUSED, WAIT, "160038")
    assert send(to="+8613800138001").outcome is ACCEPTED


# Faults


@pytest.mark.parametrize(
    ("mode", "outcome", "reason", "arrives"),
    [
        ("busy", NOT_SENT, NONE, False),
        ("429", NOT_SENT, NONE, False),
        ("429:160038", REFUSED, WAIT, False),
        ("auth_error", REFUSED, OPERATOR, False),
        ("balance", REFUSED, OPERATOR, False),
        ("bad_number", REFUSED, NUMBER, False),
        ("too_frequent", REFUSED, WAIT, False),
        ("400", REFUSED, OPERATOR, False),
        ("401:111109", REFUSED, OPERATOR, False),
        ("403:160053", REFUSED, OPERATOR, False),
        ("404:160042", REFUSED, NUMBER, False),
        ("422:160042", REFUSED, NUMBER, False),
        ("500:111142", REFUSED, OPERATOR, False),
        ("503:160001", NOT_SENT, NONE, False),
        ("503", UNKNOWN, NONE, False),
        ("500", UNKNOWN, NONE, False),
        ("408", UNKNOWN, NONE, False),
        # Not the provider's own word: a wrong base URL, or a wall in front of it.
        ("401", UNKNOWN, OPERATOR, False),
        ("404", UNKNOWN, OPERATOR, False),
        ("redirect", UNKNOWN, OPERATOR, False),
        ("302:160042", UNKNOWN, OPERATOR, False),
        # "Accepted" under an error.
        ("500:000000", UNKNOWN, OPERATOR, False),
        ("accept_then_502", UNKNOWN, NONE, True),
        ("accept_then_garbage", UNKNOWN, NONE, True),
        ("accept_then_reset", UNKNOWN, NONE, True),
        ("reset", UNKNOWN, NONE, False),
        ("huge_body", UNKNOWN, NONE, True),
        ("endless_headers", UNKNOWN, NONE, True),
    ],
)
def test_each_fault_has_its_outcome(
    provider: Provider, mode: str, outcome: Outcome, reason: Reason, arrives: bool
) -> None:
    provider.script(mode)
    answer = send()
    assert (answer.outcome, answer.reason) == (outcome, reason)
    assert len(provider.sent) == arrives
    assert len(provider.requests) == 1, "one send is one request: repeating is not the gateway's to decide"
    assert provider.violations == []
    # And the next person is none the worse for it.
    assert send().outcome is ACCEPTED


@pytest.mark.parametrize(
    "body",
    [
        "",
        "null",
        "[]",
        "OK",
        "[" * 50_000,
        "9" * 50_000,
        '"000000"',
        "{}",
        '{"statusCode":0}',
        '{"statusCode":["000000"]}',
        '{"statusCode":" 000000"}',
        '{"statusCode":"000000\\n"}',
        '{"statusCode":"０００００００"}',
        '{"statusCode":"0"}',
        "<Response><statusCode>000000</statusCode></Response>",
    ],
    ids=range(15),
)
def test_an_answer_that_is_none_is_not_taken_for_one(provider: Provider, body: str) -> None:
    provider.script(f"200:{body}")
    answer = send()
    assert (answer.outcome, answer.reason, answer.provider_code) == (UNKNOWN, NONE, "")


@pytest.mark.parametrize("sms", ["null", "[]", '"x"', "{}", '{"smsMessageSid":7}', '{"smsMessageSid":"<b>"}'])
def test_a_success_without_a_usable_id_is_still_a_success(provider: Provider, sms: str) -> None:
    provider.script('200:{"statusCode":"000000","templateSMS":' + sms + "}")
    answer = send()
    assert (answer.outcome, answer.provider_id) == (ACCEPTED, "")


def test_a_redirect_is_not_followed(provider: Provider) -> None:
    provider.mode = "redirect"
    send()
    assert [request.path.partition("?")[0].rpartition("/")[2] for request in provider.requests] == ["TemplateSMS"]


def test_a_proxy_in_the_environment_is_not_asked(provider: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert send().outcome is ACCEPTED


def test_a_provider_that_is_down_has_got_nothing(provider: Provider) -> None:
    with provider.down():
        answer = send()
    assert (answer.outcome, answer.reason) == (NOT_SENT, NONE)
    assert send().outcome is ACCEPTED


def test_a_name_that_does_not_exist_has_got_nothing(settings: Settings, provider: Provider) -> None:
    settings.YUNTONGXUN_BASE_URL = "https://nowhere.invalid:8883"
    assert send().outcome is NOT_SENT


# Bounded time and memory


def test_a_provider_that_stalls_holds_a_worker_for_seconds_not_minutes(provider: Provider) -> None:
    # All at once, because each of them takes its full time. Left alone, the drips would last for half a minute.
    modes = ["hang", "accept_then_hang", "slow_drip", "slow_headers"]
    provider.script(*modes)
    references = {mode: uuid4().hex for mode in modes}
    with ThreadPoolExecutor(len(modes)) as pool:
        answers = list(pool.map(lambda mode: send(reference=references[mode]), modes))

    assert {answer.outcome for answer in answers} == {UNKNOWN}
    requests = {request.mode: request for request in provider.wait_for_ended(len(modes))}
    assert sorted(requests) == sorted(modes)
    for mode, request in requests.items():
        assert 3 < request.ended - request.at < GENEROUS, mode
    # The three that took it did: an outcome of "refused" would have been a lie.
    assert len(provider.sent) == 3


def test_a_name_server_that_is_silent_holds_nobody_up(provider: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    # The resolver is the system's, not ours: its silence is played by a stand-in.
    def silent(*_: object, **__: object) -> list[object]:
        time.sleep(15)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", silent)
    started = time.monotonic()
    assert send().outcome is NOT_SENT
    assert time.monotonic() - started < GENEROUS


def test_an_address_that_swallows_packets_holds_nobody_up(settings: Settings, provider: Provider) -> None:
    with ExitStack() as stack:
        # A listener that never accepts, and whose queue is full: the next connection gets no answer at all.
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(3):
            filler = stack.enter_context(socket.socket())
            filler.settimeout(0)
            filler.connect_ex(listener.getsockname())
        settings.YUNTONGXUN_BASE_URL = f"http://127.0.0.1:{listener.getsockname()[1]}"
        started = time.monotonic()
        assert send().outcome is NOT_SENT
        assert time.monotonic() - started < GENEROUS


@pytest.mark.parametrize("mode", ["huge_body", "endless_headers"])
def test_an_endless_answer_is_not_read_to_its_end(provider: Provider, mode: str) -> None:
    provider.script(mode)
    answer = send()
    assert answer.outcome is UNKNOWN
    [request] = provider.wait_for_ended(1)
    # Most of what was written sits in the kernel's buffers; we have kept 64 KB of it.
    assert request.written < HUGE / 2


def test_a_compressed_answer_is_not_unpacked(provider: Provider) -> None:
    send()
    assert "accept-encoding" not in provider.requests[0].headers


# Who is on the other side


def test_the_right_account_is_let_in_and_a_wrong_token_is_not(settings: Settings, provider: Provider) -> None:
    assert send().outcome is ACCEPTED
    settings.YUNTONGXUN_AUTH_TOKEN = "0" * 32
    answer = send()
    assert (answer.outcome, answer.reason, answer.provider_code) == (REFUSED, OPERATOR, "111109")
    assert len(provider.sent) == 1
    assert len(provider.violations) == 1, "the provider can find fault, so its silence elsewhere means something"


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("YUNTONGXUN_ACCOUNT_SID", "nobody", "111141"),
        ("YUNTONGXUN_ACCOUNT_SID", "../a b/?", "111141"),
        ("YUNTONGXUN_APP_ID", "other", "111181"),
        ("YUNTONGXUN_TEMPLATE_ID", "99", "160032"),
        ("YUNTONGXUN_TEMPLATE_ID", "one", "160057"),
    ],
)
def test_a_wrong_setting_is_the_operators_to_mend(
    settings: Settings, provider: Provider, name: str, value: str, code: str
) -> None:
    setattr(settings, name, value)
    answer = send()
    assert (answer.outcome, answer.reason, answer.provider_code) == (REFUSED, OPERATOR, code)
    assert provider.sent == []


def test_a_slash_at_the_end_of_the_base_url_does_no_harm(settings: Settings, provider: Provider) -> None:
    settings.YUNTONGXUN_BASE_URL = provider.url + "/"
    assert send().outcome is ACCEPTED
    assert provider.violations == []


@pytest.mark.parametrize("name", ["ACCOUNT_SID", "AUTH_TOKEN", "APP_ID", "TEMPLATE_ID", "BASE_URL"])
def test_a_missing_setting_is_an_answer_not_an_exception(settings: Settings, provider: Provider, name: str) -> None:
    delattr(settings, f"YUNTONGXUN_{name}")
    answer = send()
    assert (answer.outcome, answer.reason) == (REFUSED, OPERATOR)
    assert provider.requests == []


@pytest.mark.parametrize("base", ["", "provider", "ftp://provider", "http://", "http://[", "https://例子.invalid"])
def test_a_nonsensical_base_url_is_an_answer_not_an_exception(
    settings: Settings, provider: Provider, base: str
) -> None:
    settings.YUNTONGXUN_BASE_URL = base
    assert send().outcome in {NOT_SENT, REFUSED, UNKNOWN}


@pytest.mark.parametrize("reference", ["x", "a" * 33, "a" * 31 + "-", "ａ" * 32, "a" * 32 + "\n"])
def test_a_message_that_could_not_be_repeated_safely_never_leaves(provider: Provider, reference: str) -> None:
    answer = send(reference=reference)
    assert (answer.outcome, answer.reason) == (REFUSED, OPERATOR)
    assert provider.requests == []


def test_an_impostor_with_a_certificate_of_his_own_gets_nothing(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    certificate = make_certificate(tmp_path)
    with Provider(tls=serve_with(certificate)) as impostor:
        use(impostor, settings)
        answer = send()
        assert (answer.outcome, answer.provider_code) == (NOT_SENT, "")
        assert impostor.requests == []

        # Once we trust it, the very same server is fine: it was the certificate.
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        http.pool.cache_clear()
        try:
            assert send().outcome is ACCEPTED
            # A good certificate for another name is not good enough.
            settings.YUNTONGXUN_BASE_URL = impostor.url.replace("127.0.0.1", "localhost")
            assert send().outcome is NOT_SENT
        finally:
            http.pool.cache_clear()
        assert len(impostor.requests) == 1


def test_a_server_without_tls_where_tls_was_expected_gets_nothing(settings: Settings, provider: Provider) -> None:
    settings.YUNTONGXUN_BASE_URL = provider.url.replace("http:", "https:")
    assert send().outcome is NOT_SENT
    assert provider.requests == []


def make_certificate(folder: Path) -> Path:
    """Write a certificate for 127.0.0.1, signed by nobody, with its key behind it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "impostor")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM) + key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = folder / "certificate.pem"
    path.write_bytes(pem)
    return path


def serve_with(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


# Secrets


@pytest.mark.parametrize(
    "mode", ["ok", "bad_number", "999999", "503", "400", "reset", "accept_then_garbage", "huge_body", "redirect"]
)
def test_nothing_secret_is_written_down(provider: Provider, caplog: pytest.LogCaptureFixture, mode: str) -> None:
    caplog.set_level(logging.DEBUG)
    for name in ("", "httpcore", "httpx", "tasks"):
        caplog.set_level(logging.DEBUG, name)
    provider.script(mode)
    answer = send(to="+8613912345678", code="271828")

    [request] = provider.requests
    assert request.path.count("sig=") == 1, "or this test means nothing"
    written = caplog.text + repr(answer) + "".join(str(record.__dict__) for record in caplog.records)
    secrets = [
        provider.auth_token,
        request.headers["authorization"],
        request.path.rpartition("sig=")[2],
        "13912345678",
        "271828",
    ]
    for secret in secrets:
        assert secret not in written


def test_an_unforeseen_fault_is_logged_without_what_it_says(
    settings: Settings, provider: Provider, caplog: pytest.LogCaptureFixture
) -> None:
    class Odd(str):
        """A setting that fails with the token in its mouth."""

        def rstrip(self, *_: object) -> str:
            raise RuntimeError(f"it was {provider.auth_token}")

    settings.YUNTONGXUN_BASE_URL = Odd(provider.url)
    answer = send()
    assert (answer.outcome, answer.reason) == (REFUSED, OPERATOR)
    assert "RuntimeError at " in caplog.text, "the operator learns what and where"
    assert provider.auth_token not in caplog.text + repr(answer)


# The provider itself, for the tests that lean on it


def by_hand(
    provider: Provider,
    *,
    method: str = "POST",
    version: str = "2013-12-26",
    sid: str = "",
    age: timedelta = timedelta(0),
    stamp: str = "",
    sig: Callable[[str], str] = str,
    headers: dict[str, str | None] | None = None,
    raw: bytes | None = None,
    **fields: object,
) -> str:
    """Send a request without our gateway, right but for what is named, and return the status code."""
    sid = sid or provider.account_sid
    stamp = stamp or (datetime.now(BEIJING) - age).strftime("%Y%m%d%H%M%S")
    right = hashlib.md5(f"{sid}{provider.auth_token}{stamp}".encode()).hexdigest().upper()
    body: dict[str, object] = {
        "to": "13800138000",
        "appId": provider.app_id,
        "templateId": provider.template_id,
        "datas": ["123456", "5"],
    }
    content = json.dumps(body | fields).encode() if raw is None else raw
    sent: dict[str, str | None] = {
        "Accept": "application/json",
        "Content-Type": "application/json;charset=utf-8",
        "Content-Length": str(len(content)),
        "Authorization": base64.b64encode(f"{sid}:{stamp}".encode()).decode(),
    }
    connection = HTTPConnection("127.0.0.1", provider.port, timeout=10)
    connection.putrequest(
        method, f"/{version}/Accounts/{sid}/SMS/TemplateSMS?sig={sig(right)}", skip_accept_encoding=True
    )
    for name, value in (sent | (headers or {})).items():
        if value is not None:
            connection.putheader(name, value)
    try:
        connection.endheaders(content)
        answer: dict[str, str] = json.loads(connection.getresponse().read())
    finally:
        connection.close()
    return answer["statusCode"]


def basic(text: str) -> dict[str, str | None]:
    return {"Authorization": base64.b64encode(text.encode()).decode()}


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"method": "PUT"}, "111100"),
        ({"version": "2014-01-01"}, "111110"),
        ({"sid": "nobody"}, "111141"),
        ({"sig": lambda _: ""}, "111108"),
        ({"sig": str.lower}, "111109"),
        ({"sig": lambda right: right[:-1]}, "111109"),
        ({"stamp": "20261122"}, "111113"),
        ({"stamp": "20261322000000"}, "111113"),
        ({"age": timedelta(hours=25)}, "111106"),
        ({"age": timedelta(hours=-25)}, "111106"),
        ({"headers": {"Authorization": None}}, "111101"),
        ({"headers": {"Authorization": "Basic abc"}}, "111102"),
        ({"headers": basic("no colon")}, "111103"),
        ({"headers": basic(":20261122000000")}, "111104"),
        ({"headers": basic("sid:")}, "111105"),
        ({"headers": basic(f"other:{datetime.now(BEIJING):%Y%m%d%H%M%S}")}, "111107"),
        ({"headers": {"Accept": "*/*"}}, "160031"),
        ({"headers": {"Content-Type": "application/json"}}, "160031"),
        ({"headers": {"Content-Length": None}}, "160031"),
        ({"headers": {"Content-Length": "70000"}}, "160031"),
        ({"raw": b""}, "160030"),
        ({"raw": b"to=13800138000"}, "160031"),
        ({"raw": b"[]"}, "160031"),
        ({"to": ""}, "160044"),
        ({"to": 13800138000}, "160031"),
        ({"to": "+8613800138000"}, "160042"),
        ({"to": "8613800138000"}, "160042"),
        ({"to": "13800138000,13800138000"}, "160045"),
        ({"to": ",".join(str(13800138000 + n) for n in range(201))}, "160048"),
        ({"to": "0085251234567,0085251234568"}, "160059"),
        ({"appId": ""}, "111169"),
        ({"appId": "other"}, "111181"),
        ({"templateId": 1}, "160031"),
        ({"templateId": "2"}, "160032"),
        ({"datas": "123456"}, "160052"),
        ({"datas": ["123456", 5]}, "160052"),
        ({"datas": ["123456"]}, "160052"),
        ({"datas": ["123456", "five"]}, "160069"),
        ({"reqId": "a" * 33}, "160055"),
        ({"reqId": "a-b"}, "160031"),
        ({"subAppend": "12345"}, "160065"),
        ({"callback": "x"}, "160031"),
    ],
    # The changes hold times and functions, whose names differ from one process of a test run to the next.
    ids=lambda value: value if isinstance(value, str) else "+".join(value),
)
def test_the_provider_finds_what_is_wrong_with_a_request(change: dict[str, Any], code: str) -> None:
    with Provider() as provider:
        assert by_hand(provider, **change) == code
        assert len(provider.violations) == 1
        assert provider.sent == []


def test_the_provider_takes_what_is_right() -> None:
    with Provider() as provider:
        hours = timedelta(hours=23)
        assert by_hand(provider) == "000000"
        assert by_hand(provider, age=hours) == by_hand(provider, age=-hours) == "000000"
        assert by_hand(provider, to=",".join(str(13800138000 + n) for n in range(200))) == "000000"
        assert by_hand(provider, to="0085251234567", reqId="a", subAppend="1234") == "000000"
        assert by_hand(provider, reqId="a") == "160054"
        assert len(provider.sent) == 204
        assert provider.violations == []


def test_the_provider_stops_at_once_whatever_hangs() -> None:
    with Provider() as provider, ThreadPoolExecutor(4) as pool:
        provider.mode = "hang"
        with socket.create_connection(("127.0.0.1", provider.port), timeout=10) as idle:
            hanging = [pool.submit(by_hand, provider) for _ in range(4)]
            deadline = time.monotonic() + 10
            while len(provider.requests) < 4 and time.monotonic() < deadline:
                time.sleep(0.01)
            started = time.monotonic()
            provider.stop()
            assert time.monotonic() - started < 3
            for each in hanging:
                assert isinstance(each.exception(timeout=10), (HTTPException, OSError))
            assert idle.recv(1) == b""


@pytest.mark.parametrize("mode", ["", "OK", "16003", "900", "accept", "60:000000"])
def test_a_mode_that_the_provider_does_not_know_is_refused(mode: str) -> None:
    with pytest.raises(ValueError, match="no mode"):
        Provider().script(mode)
