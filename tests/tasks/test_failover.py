"""More than one provider: who is tried first, who takes over and when nobody may."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import httpx
import pytest

from tasks import delivery
from tasks.routing import circuit_breaker
from tests.support.numbers import number
from tests.support.provider import Provider
from tests.support.providers.aliyun import Aliyun
from tests.support.providers.fake import Request
from tests.support.stack import Stack, wait_until

SECRET = "a-secret-of-thirty-two-letters-00"

if TYPE_CHECKING:
    from collections.abc import Iterator


class WaitingAliyun(Aliyun):
    """Answers when it is told to, so that a page can see what is said meanwhile."""

    def __init__(self) -> None:
        super().__init__()
        self.answers = threading.Event()
        self.answers.set()

    def begin(self, request: Request) -> None:
        """Note the request, then wait for the word, but less long than a gateway does."""
        super().begin(request)
        self.answers.wait(4)


class Site:
    """A site with two providers: Yuntongxun first, Aliyun behind it."""

    def __init__(self, stack: Stack, first: Provider, second: WaitingAliyun) -> None:
        """Take the three."""
        self.stack, self.first, self.second = stack, first, second

    def gateways(self) -> list[str]:
        """Return by whom the newest delivery was tried, in order."""
        newest = self.stack.deliveries()[-1]["id"]
        return [attempt["gateway"] for attempt in self.stack.attempts() if attempt["delivery_id"] == newest]

    def send(self) -> str:
        """Send a code to a new number, and return its delivery's id."""
        assert self.stack.person().ask(number()).status_code == 202
        delivery_id: str = self.stack.wait_for_state("sent")["id"]
        return delivery_id

    def report(self, delivery_id: str, code: str = "") -> None:
        """Report a message of the first provider as failed with this code, or else as delivered."""
        [sms] = [sms for sms in self.first.sent if sms.req_id == delivery_id]
        [post] = self.first.reports(sms, delivered=not code)
        body = post.body.replace(b"UNDELIV", code.encode())
        address = f"{self.stack.url}/receipts/yuntongxun/{SECRET}/"
        assert httpx.post(address, content=body, headers=post.headers, timeout=30).status_code == 200


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The site that these tests share."""
    with Provider() as first, WaitingAliyun() as second:
        settings = {**first.settings, **second.settings, "SMS_GATEWAYS": "yuntongxun,aliyun", "SMS_REGIONS": "CN,HK"}
        settings |= {"SMS_ROUTES": "HK:aliyun", "YUNTONGXUN_RECEIPT_SECRET": SECRET, "ADMIN": "1"}
        with Stack(tmp_path_factory.mktemp("site"), **settings) as stack:  # type: ignore[arg-type]
            yield Site(stack, first, second)


@pytest.fixture
def site(parts: Site) -> Iterator[Site]:
    """The site, with both providers well again and no circuit open."""
    yield parts
    parts.first.mode = parts.second.mode = "ok"
    parts.second.answers.set()
    for key in parts.stack.redis.scan_iter("*:circuit:*"):
        parts.stack.redis.delete(key)


def test_a_healthy_first_provider_is_the_only_one_asked(site: Site) -> None:
    site.stack.person().ask(number())
    site.stack.wait_for_state("sent")
    assert site.gateways() == ["yuntongxun"]


@pytest.mark.parametrize("fault", ["balance", "auth_error"])
def test_a_provider_that_will_not_work_for_us_is_passed_by_at_once(site: Site, fault: str) -> None:
    """The page says that another route is being tried, and the visitor does not wait five seconds for it."""
    site.first.mode = fault
    site.second.answers.clear()
    person = site.stack.person()
    page = person.open()
    page.wait_for("connection", state="live")
    person.ask(number())
    wait_until(
        lambda: page.receive(0.5) and any("another" in frame for frame in page.frames), 10,
        "the page never spoke of another route",
    )  # fmt: skip
    site.second.answers.set()
    page.wait_for("delivery", 20, state="sent", attempt="2")
    assert site.gateways() == ["yuntongxun", "aliyun"]


def test_a_number_that_is_refused_is_no_reason_to_ask_another_provider(site: Site) -> None:
    site.first.mode = "bad_number"
    site.stack.person().ask(number())
    site.stack.wait_for_state("failed")
    assert site.gateways() == ["yuntongxun"]


def test_nobody_else_is_asked_after_a_send_that_nobody_is_sure_of(site: Site) -> None:
    """The second provider's SMS could be a second SMS. The first knows a repeat by its reference."""
    site.first.script("accept_then_502", "balance")
    site.stack.person().ask(number())
    site.stack.wait_for_state("unknown", 40)
    assert set(site.gateways()) == {"yuntongxun"}


def test_a_provider_that_keeps_failing_rests_and_the_operator_sees_it(site: Site) -> None:
    site.first.mode = "auth_error"
    for _ in range(5):
        site.stack.person().ask(number())
        site.stack.wait_for_state("sent")
        assert site.gateways() == ["yuntongxun", "aliyun"]
    asked = len(site.first.requests)
    site.stack.person().ask(number())
    site.stack.wait_for_state("sent")
    assert site.gateways() == ["aliyun"]
    assert len(site.first.requests) == asked
    said = site.stack.manage("gateways")
    assert "yuntongxun: circuit open" in said
    assert "aliyun: circuit closed" in said


def test_a_provider_that_has_rested_is_tried_again_and_comes_back(site: Site) -> None:
    site.first.mode = "auth_error"
    for _ in range(5):
        site.stack.person().ask(number())
        site.stack.wait_for_state("sent")
    assert site.stack.redis.exists("latchkey:circuit:yuntongxun:open"), "or this test means nothing"
    # Time passes.
    site.stack.redis.delete("latchkey:circuit:yuntongxun:open")
    site.first.mode = "ok"
    site.stack.person().ask(number())
    site.stack.wait_for_state("sent")
    assert site.gateways() == ["yuntongxun"]
    assert not site.stack.redis.exists("latchkey:circuit:yuntongxun:faults")


# The account has no balance. Found out after the message was accepted, it is in a report.
NO_BALANCE = "160014"


def test_a_provider_that_accepts_everything_and_delivers_nothing_rests_as_well(site: Site) -> None:
    for _ in range(circuit_breaker.REPORTS):
        delivery_id = site.send()
        assert site.gateways() == ["yuntongxun"]
        site.report(delivery_id, NO_BALANCE)
    site.send()
    assert site.gateways() == ["aliyun"]
    said = site.stack.manage("gateways")
    assert "yuntongxun: circuit open" in said
    assert f"{circuit_breaker.REPORTS} in reports" in said
    assert "gateway yuntongxun reported 5 failures in a row" in site.stack.logs()


def test_a_delivered_message_between_such_reports_keeps_the_provider(site: Site) -> None:
    for _ in range(circuit_breaker.REPORTS - 1):
        site.report(site.send(), NO_BALANCE)
    site.report(site.send())
    site.report(site.send(), NO_BALANCE)
    site.send()
    assert site.gateways() == ["yuntongxun"]


@pytest.mark.parametrize("code", ["UNDELIV", "160050", "160061"])
def test_reports_that_blame_a_handset_or_a_country_do_not_count_for_the_circuit(site: Site, code: str) -> None:
    for _ in range(circuit_breaker.REPORTS):
        site.report(site.send(), code)
    site.send()
    assert site.gateways() == ["yuntongxun"]


def test_the_same_report_again_is_counted_once(site: Site) -> None:
    delivery_id = site.send()
    for _ in range(circuit_breaker.REPORTS):
        site.report(delivery_id, NO_BALANCE)
    site.send()
    assert site.gateways() == ["yuntongxun"]


def test_the_code_of_a_report_is_in_the_log_and_in_the_admin(site: Site) -> None:
    delivery_id = site.send()
    site.report(delivery_id, NO_BALANCE)
    assert f"delivery {delivery_id[:8]} attempt 1 by yuntongxun: reported failed ({NO_BALANCE}, operator)\n" in (
        site.stack.logs()
    )
    site.stack.user("operator", password="a long enough password", is_staff=True, is_superuser=True)
    operator = site.stack.person()
    operator.login("operator", "a long enough password")
    page = operator.get(f"/admin/tasks/delivery/{delivery_id}/change/").text
    assert f"failed ({NO_BALANCE}, operator)" in page


def test_when_every_provider_is_down_the_first_whose_turn_it_is_gets_another_try(site: Site) -> None:
    site.first.mode = site.second.mode = "503"
    for name in ("yuntongxun", "aliyun"):
        site.stack.redis.set(f"latchkey:circuit:{name}:open", 5, ex=60)
    site.first.mode = "ok"
    site.stack.person().ask(number())
    site.stack.wait_for_state("sent")
    assert site.gateways() == ["yuntongxun"]


def test_a_region_has_a_route_of_its_own(site: Site) -> None:
    site.stack.person().ask("+852 5123 4567")
    site.stack.wait_for_state("sent")
    assert site.gateways() == ["aliyun"]


def test_a_dead_first_provider_costs_the_visitor_seconds_and_not_the_code(site: Site) -> None:
    """The second provider is asked at once, from the first sign-in on: no circuit has to open before."""
    with site.first.down():
        for _ in range(2):
            began = time.monotonic()
            site.stack.person().ask(number())
            site.stack.wait_for_state("sent")
            assert site.gateways() == ["yuntongxun", "aliyun"]
            assert time.monotonic() - began < delivery.RETRY_DELAY.total_seconds()
    assert "by yuntongxun: not_sent (no connection (ConnectError)), now retrying" in site.stack.logs()


def test_after_the_last_provider_the_first_is_asked_again(site: Site) -> None:
    site.first.script("busy")
    site.second.script("busy")
    site.stack.person().ask(number())
    site.stack.wait_for_state("sent")
    assert site.gateways() == ["yuntongxun", "aliyun", "yuntongxun"]


def test_a_provider_that_refused_is_not_asked_again_when_the_next_is_only_busy(site: Site) -> None:
    site.first.script("balance")
    site.second.script("busy")
    site.stack.person().ask(number())
    site.stack.wait_for_state("sent")
    assert site.gateways() == ["yuntongxun", "aliyun", "aliyun"]
    site.first.script("busy")
    site.second.script("balance")
    site.stack.person().ask(number())
    site.stack.wait_for_state("sent")
    assert site.gateways() == ["yuntongxun", "aliyun", "yuntongxun"]


def test_four_attempts_are_all_there_are_however_many_providers(site: Site) -> None:
    site.first.script("busy", "busy")
    site.second.script("busy", "busy")
    site.stack.person().ask(number())
    site.stack.wait_for_state("failed")
    assert site.gateways() == ["yuntongxun", "aliyun"] * 2
