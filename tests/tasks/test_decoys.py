"""Who has an account cannot be found out by asking for codes: where no SMS is wanted, a decoy does all but send it."""

from __future__ import annotations

import itertools
import json
import re
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from accounts.models import User
from tasks import decoy, delivery, otp
from tasks.delivery import accept
from tasks.gateways import Answer, Outcome
from tasks.models import Delivery
from tests.support.numbers import number
from tests.support.person import leaves
from tests.support.provider import SMS, Provider
from tests.support.stack import Stack, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.person import Page, Person

SECRET = "a-secret-of-thirty-two-letters-00"
PER_ADDRESS = 3

addresses = (f"198.51.100.{n}" for n in itertools.count(1))


def take_time(sms: SMS) -> None:
    """Let the provider take so long for each SMS that a page can see it being sent, on a busy machine too."""
    time.sleep(1)


@dataclass
class Site:
    """A site where nobody can sign up, behind one proxy, with a provider that reports."""

    stack: Stack
    provider: Provider
    # Those who have an account.
    known: list[str] = field(default_factory=list)

    def newcomer(self) -> Person:
        """Return somebody with an address of their own."""
        headers: dict[str, Any] = {"X-Forwarded-For": next(addresses)}
        return self.stack.person(**headers)

    def member(self) -> str:
        """Return the number of an account that has asked for nothing yet."""
        return self.known.pop()

    def report(self, mobile: str) -> None:
        """Report as delivered what a number was sent last."""
        sms = [sms for sms in self.provider.sent if sms.to == mobile][-1]
        for post in self.provider.reports(sms):
            answer = httpx.post(
                f"{self.stack.url}/receipts/yuntongxun/{SECRET}/", content=post.body, headers=post.headers
            )
            assert answer.status_code == 200

    def asked_to_send_to(self, mobile: str) -> bool:
        """Tell whether the provider has heard of a number at all."""
        return mobile in json.dumps([request.body for request in self.provider.requests])


@pytest.fixture(scope="module")
def module_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The site that these tests share."""
    settings: dict[str, Any] = {
        "SIGN_UP": "0",
        "TRUSTED_PROXIES": "1",
        "SMS_PER_IP_HOUR": str(PER_ADDRESS),
        "YUNTONGXUN_RECEIPT_SECRET": SECRET,
    }
    with (
        Provider(on_sent=take_time) as provider,
        Stack(tmp_path_factory.mktemp("site"), provider=provider, **settings) as stack,
    ):
        site = Site(stack, provider)
        site.known = [number() for _ in range(8)]
        names = ", ".join(repr(mobile) for mobile in site.known)
        stack.manage(
            "shell", "-v0", "-c",
            "from accounts.models import User\n"
            f"for m in ({names}): User.objects.create_user(f'member-{{m[-4:]}}', mobile='+86' + m)\n"
            "User.objects.create_user('gone-away', mobile='+8613900000001', is_active=False)",
        )  # fmt: skip
        yield site


@pytest.fixture
def site(module_site: Site) -> Iterator[Site]:
    """The site, with its provider well."""
    yield module_site
    module_site.provider.mode = "ok"
    for key in module_site.stack.redis.scan_iter("*:circuit:*"):
        module_site.stack.redis.delete(key)


def plain(text: str) -> str:
    """Return what a visitor is told without what differs from one request to the next: number, times, tokens."""
    text = re.sub(r"1\d\d \*+ ?\d*", "NUMBER", text)
    text = re.sub(r"\d{4}-\d\d-\d\dT[\d:.]+\+00:00", "TIME", text)
    return re.sub(r"\b\d+ s\b|\"seconds\": ?\d+|data-seconds=\"\d+\"", "SECONDS", text)


def told(answer: httpx.Response) -> tuple[int, list[str], str]:
    """Return everything that an answer tells."""
    return answer.status_code, sorted(answer.headers), plain(answer.text)


def shown(page: Page) -> list[dict[str, str]]:
    """Return every #delivery that a tab has shown, but for the moments before a worker has looked."""
    found: list[dict[str, str]] = []
    for frame in page.frames:
        leaf = {name: plain(value) for name, value in leaves(frame).get("delivery", {}).items()}
        if leaf and leaf["data-state"] != "queued" and leaf not in found[-1:]:
            found.append(leaf)
    return found


def whole_story(site: Site, mobile: str, *, real: bool) -> dict[str, Any]:
    """Ask for a code, watch it until it is delivered, ask again, guess until it is burned; return all that is told."""
    person = site.newcomer()
    page = person.open()
    page.wait_for("connection", state="live")
    first = person.ask(mobile)
    page.wait_for("delivery", state="sent")
    if real:
        # A decoy is reported after as long, and its page has to see that it was sent, on a busy machine too.
        time.sleep(1)
        site.report(mobile)
    page.wait_for("delivery", state="delivered")
    again = person.ask(mobile)
    guesses = [person.enter("000000") for _ in range(6)]
    page.close()
    polled = person.http.get("/state/", headers={"Accept": "application/json"})
    fragments = person.http.get("/state/")
    return {
        "first": told(first),
        "again": told(again),
        "htmx": told(person.htmx("/code/", mobile=mobile)),
        "guesses": [told(guess) for guess in guesses],
        "polled": told(polled),
        "fragments": told(fragments)[:2],
        "history": [step for step in page.history if step[0] not in {"", "queued"}],
        "shown": shown(page),
        "late": told(site.newcomer().ask(mobile)),
    }


def test_a_number_without_an_account_is_answered_like_one_that_has_one(site: Site) -> None:
    """T-9, T-11: answers, the socket's sequence of states and polls are the same, and no SMS leaves for it."""
    known, unknown = site.member(), number()
    expected = whole_story(site, known, real=True)
    assert expected["first"][0] == 202
    assert expected["history"] == [("sending", 1), ("sent", 1), ("delivered", 1)], "or this test means nothing"
    assert site.asked_to_send_to(known), "or this test means nothing"
    for mobile in (unknown, "13900000001"):
        assert whole_story(site, mobile, real=False) == expected
        assert not site.asked_to_send_to(mobile)
    rows = {row["mobile"]: row["decoy"] for row in site.stack.deliveries()}
    assert (rows[f"+86{known}"], rows[f"+86{unknown}"], rows["+8613900000001"]) == (0, 1, 1)
    attempt = site.stack.attempts()[-1]
    assert (attempt["gateway"], attempt["outcome"], attempt["provider_code"]) == ("yuntongxun", "accepted", "DECOY")


def test_not_even_the_right_digits_of_a_decoy_sign_anybody_in(site: Site) -> None:
    """T-11: nobody was sent them, so who has them has guessed; the answer is that of any wrong guess."""
    person, mobile = site.newcomer(), number()
    person.ask(mobile)
    row = site.stack.wait_for_state("sent")
    digits = otp.digits(row["id"], row["purpose"], row["mobile"], site.stack.settings["SECRET_KEY"])
    answer = person.enter(digits)
    assert (answer.status_code, answer.json()["code"]) == (422, "SMS_CODE_WRONG")
    assert told(answer) == told_of_a_wrong_guess(site)
    assert person.username == ""


def told_of_a_wrong_guess(site: Site) -> tuple[int, list[str], str]:
    """Return what a member is told who mistypes."""
    person, mobile = site.newcomer(), site.member()
    person.ask(mobile)
    code = site.stack.phone.code_for(mobile)
    return told(person.enter(f"{(int(code) + 1) % 10**6:06}"))


def test_an_account_made_later_gets_its_code_by_the_next_request(site: Site) -> None:
    """A decoy is decided anew for each request."""
    mobile = number()
    site.newcomer().ask(mobile)
    site.stack.wait_for_state("sent")
    assert not site.asked_to_send_to(mobile)
    site.stack.user("newly-made", mobile=f"+86{mobile}")
    # The cooldown goes by.
    site.stack.rows("UPDATE tasks_delivery SET resend_at = created_at")
    for key in site.stack.redis.scan_iter("*:cooldown:*"):
        site.stack.redis.delete(key)
    person = site.newcomer()
    assert person.ask(mobile).status_code == 202
    assert person.enter(site.stack.phone.code_for(mobile)).json()["username"] == "newly-made"


def test_what_is_not_sent_counts_as_if_it_were(site: Site) -> None:
    """T-6: numbers without an account use an address's hour up, and then those with one are refused as well."""
    person = site.newcomer()
    for _ in range(PER_ADDRESS):
        assert person.ask(number()).status_code == 202
    refused = person.ask(site.member())
    assert (refused.status_code, refused.json()["code"]) == (429, "SMS_LIMIT")
    unknown = person.ask(number())
    assert told(unknown) == told(refused)


def test_while_the_provider_has_no_balance_decoys_fail_too(site: Site) -> None:
    """T-11: a decoy that always succeeds would stand out. The page says the same of both."""
    site.provider.mode = "balance"

    def told_on_failing(mobile: str) -> tuple[list[dict[str, str]], str]:
        person = site.newcomer()
        page = person.open()
        page.wait_for("connection", state="live")
        assert person.ask(mobile).status_code == 202
        page.wait_for("delivery", state="failed")
        page.wait_for("countdown", seconds="0")
        page.close()
        polled = person.http.get("/state/", headers={"Accept": "application/json"})
        return shown(page)[-1:], plain(polled.text)

    known, unknown = site.member(), number()
    assert told_on_failing(known) == told_on_failing(unknown)
    assert not site.asked_to_send_to(unknown)


def test_while_the_provider_is_busy_decoys_are_tried_again_until_it_is_not(site: Site) -> None:
    """T-11: the same road of states, and the provider still hears nothing of it."""
    site.provider.mode = "busy"
    known, unknown = site.member(), number()
    pages = []
    for mobile in (known, unknown):
        person = site.newcomer()
        page = person.open()
        page.wait_for("connection", state="live")
        person.ask(mobile)
        page.wait_for("delivery", state="retrying", attempt="2")
        pages.append(page)
    site.provider.mode = "ok"
    # Somebody else's SMS shows that it is well again, before the next attempts.
    site.newcomer().ask(site.member())
    for page in pages:
        page.wait_for("delivery", 20.0, state="sent", attempt="2")
        page.close()
    roads = [[step for step in page.history if step[0] in {"retrying", "sent"}] for page in pages]
    assert roads == [[("retrying", 2), ("sent", 2)]] * 2
    assert site.asked_to_send_to(known)
    assert not site.asked_to_send_to(unknown)


def test_an_operator_sees_which_delivery_was_a_decoy(site: Site) -> None:
    """Or nobody could answer the one who says that no SMS came."""
    person = site.newcomer()
    person.ask(number())
    row = site.stack.wait_for_state("sent")
    wait_until(lambda: f"delivery {row['id'][:8]} attempt 1 by yuntongxun: accepted (DECOY" in site.stack.logs())
    site.stack.user("operator", password="a long operator's word", is_staff=True, is_superuser=True)
    operator = site.newcomer()
    assert operator.login("operator", "a long operator's word").status_code == 200
    page = operator.get("/admin/tasks/delivery/?decoy__exact=1").text
    assert row["id"][:8] in page


# --- Who gets one, and for how long it stays one ---


@pytest.mark.parametrize(
    ("account", "sign_up", "due"),
    [
        ("none", True, False),
        ("none", False, True),
        ("active", True, False),
        ("active", False, False),
        ("inactive", True, True),
        ("inactive", False, True),
    ],
)
def test_an_sms_is_sent_where_its_code_could_sign_somebody_in(
    db: None, settings: Any, account: str, sign_up: bool, due: bool
) -> None:
    """T-9: and to nobody else, so that a deactivated account costs nothing either."""
    settings.SIGN_UP = sign_up
    if account != "none":
        User.objects.create_user("somebody", mobile="+8613800138000", is_active=account == "active")
    assert decoy.is_due("+8613800138000") is due


@pytest.mark.parametrize("begins_with_account", [True, False])
def test_a_delivery_stays_what_its_first_attempt_was(db: None, settings: Any, begins_with_account: bool) -> None:
    """T-11: an account that is made or lost between two attempts changes nothing of the delivery under way."""
    settings.SIGN_UP = False
    user = User.objects.create_user("somebody", mobile="+8613800138000", is_active=begins_with_account)
    wish: Any = {
        "mobile": "+8613800138000",
        "purpose": "login",
        "browser": "b" * 32,
        "address": "c" * 32,
        "language": "en",
    }
    row = accept.accept("a" * 32, **wish)
    for _ in range(2):
        claim = delivery.claim(row.pk)
        assert claim
        assert claim.delivery.decoy is not begins_with_account
        assert delivery.record(claim, Answer(Outcome.NOT_SENT)) == "retrying"
        Delivery.objects.update(due_at=row.created_at)
        user.is_active = not begins_with_account
        user.save()
