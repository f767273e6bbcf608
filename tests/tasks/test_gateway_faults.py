"""What every gateway has to get right whatever its format, held against each provider that we run ourselves."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple
from uuid import uuid4

import pytest

from tasks import gateways
from tasks.gateways import Answer, Outcome, Reason, aliyun, http, status_codes, tencent, twilio, yuntongxun
from tasks.routing import circuit_breaker
from tests.support.providers.aliyun import Aliyun
from tests.support.providers.common import (
    ACCEPTED,
    FAULTS,
    NONE,
    NONSENSE,
    NOT_SENT,
    NUMBER,
    OPERATOR,
    REFUSED,
    STALLS,
    UNKNOWN,
    message,
    nothing_secret,
    use,
)
from tests.support.providers.tencent import Tencent
from tests.support.providers.twilio import Twilio

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_django import Settings


class Site(NamedTuple):
    """A gateway and its provider."""

    name: str
    provider: Aliyun | Tencent | Twilio
    # What nobody may read, and what the gateway cannot do without.
    secret: str
    needs: list[str]

    def send(self, **changes: str) -> Answer:
        """Send a message as the worker does."""
        return gateways.get(self.name).send(message(**changes))


@pytest.fixture(params=["aliyun", "tencent", "twilio"])
def site(request: pytest.FixtureRequest, settings: Settings) -> Iterator[Site]:
    """Each provider in turn."""
    match request.param:
        case "aliyun":
            with Aliyun() as aliyun:
                use(aliyun, settings)
                needs = ["ACCESS_KEY_ID", "ACCESS_KEY_SECRET", "SIGN_NAME", "TEMPLATE_CODE"]
                yield Site("aliyun", aliyun, aliyun.secret, needs)
        case "tencent":
            with Tencent() as tencent:
                use(tencent, settings)
                needs = ["SECRET_ID", "SECRET_KEY", "SDK_APP_ID", "TEMPLATE_ID", "REGION"]
                yield Site("tencent", tencent, tencent.secret, needs)
        case _:
            with Twilio() as twilio:
                use(twilio, settings)
                needs = ["ACCOUNT_SID", "AUTH_TOKEN", "FROM", "MESSAGING_SERVICE_SID"]
                yield Site("twilio", twilio, twilio.token, needs)


@pytest.mark.parametrize(("mode", "outcome", "reason", "arrives"), FAULTS)
def test_each_fault_has_its_outcome(site: Site, mode: str, outcome: Outcome, reason: Reason, arrives: bool) -> None:
    site.provider.script(mode)
    answer = site.send()
    assert (answer.outcome, answer.reason) == (outcome, reason)
    assert len(site.provider.sent) == arrives
    assert len(site.provider.requests) == 1, "one send is one request: repeating is not the gateway's to decide"
    assert site.provider.violations == []
    # And the next person is none the worse for it.
    assert site.send().outcome is ACCEPTED


@pytest.mark.parametrize("body", NONSENSE, ids=range(len(NONSENSE)))
def test_an_answer_that_is_none_is_not_taken_for_one(site: Site, body: str) -> None:
    site.provider.script(f"200:{body}")
    answer = site.send()
    assert (answer.outcome, answer.reason, answer.provider_code) == (UNKNOWN, NONE, "")


def test_a_provider_that_stalls_holds_a_worker_for_seconds_not_minutes(site: Site) -> None:
    site.provider.script(*STALLS)
    started = time.monotonic()
    with ThreadPoolExecutor(len(STALLS)) as pool:
        answers = list(pool.map(lambda _: site.send(), STALLS))
    assert {answer.outcome for answer in answers} == {UNKNOWN}
    assert time.monotonic() - started < http.TOTAL + 4
    assert len(site.provider.sent) == 3, "a refusal would have been a lie"


def test_a_provider_that_is_down_has_got_nothing(site: Site) -> None:
    with site.provider.down():
        assert site.send().outcome is NOT_SENT
    assert site.send().outcome is ACCEPTED


def test_a_repeat_is_a_second_sms(site: Site) -> None:
    """So the gateway does not call itself idempotent."""
    reference = uuid4().hex
    site.send(reference=reference)
    site.send(reference=reference)
    assert len(site.provider.sent) == 2
    assert not gateways.get(site.name).idempotent


@pytest.mark.parametrize("to", ["", "+", "hello", "13800138000", "+86"])
def test_what_is_not_a_number_in_e164_never_leaves(site: Site, to: str) -> None:
    answer = site.send(to=to)
    assert (answer.outcome, answer.reason) == (REFUSED, NUMBER)
    assert site.provider.requests == []


def test_a_missing_setting_is_an_answer_not_an_exception(site: Site, settings: Settings) -> None:
    for need in site.needs:
        name = f"{site.name.upper()}_{need}"
        kept = getattr(settings, name)
        delattr(settings, name)
        answer = site.send()
        assert (answer.outcome, answer.reason) == (REFUSED, OPERATOR), name
        setattr(settings, name, kept)
    assert site.provider.requests == []


@pytest.mark.parametrize("base", ["", "provider", "ftp://provider", "http://[", "https://例子.invalid"])
def test_a_nonsensical_base_url_is_an_answer_not_an_exception(site: Site, settings: Settings, base: str) -> None:
    setattr(settings, f"{site.name.upper()}_BASE_URL", base)
    assert site.send().outcome in {NOT_SENT, REFUSED, UNKNOWN}


@pytest.mark.parametrize("mode", ["ok", "bad_number", "auth_error", "503", "400", "reset", "accept_then_garbage"])
def test_nothing_secret_is_written_down(site: Site, caplog: pytest.LogCaptureFixture, mode: str) -> None:
    site.provider.script(mode)
    with nothing_secret(caplog, site.secret, "13912345678", "8613912345678", "271828") as said:
        said.append(site.send(to="+8613912345678", code="271828"))
    assert site.provider.requests[0].headers["authorization"] not in caplog.text


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("tencent", "UnsupportedOperation.UnsupportedRegion"),
        ("tencent", "UnsupportedOperation.ContainDomesticAndInternationalPhoneNumber"),
        ("tencent", "FailedOperation.PhoneNumberInBlacklist"),
        ("twilio", "21408"),
        ("twilio", "21612"),
        ("aliyun", "isv.DOMESTIC_NUMBER_NOT_SUPPORTED"),
        ("yuntongxun", "160061"),
    ],
)
def test_a_route_that_does_not_serve_a_number_is_no_fault_of_the_provider(name: str, code: str) -> None:
    """Another gateway is asked, and people with other numbers do not lose this one."""
    meanings = {"tencent": tencent.CODES, "twilio": twilio.CODES, "aliyun": aliyun.CODES}
    meaning = status_codes.look_up(meanings.get(name, yuntongxun.CODES), code)
    assert (meaning.outcome, meaning.reason) == (REFUSED, Reason.ROUTE)
    assert not circuit_breaker.is_fault(Answer(meaning.outcome, meaning.reason))
