"""Two sites in one Redis: what one of them does, counts and locks is none of the other's business."""

from __future__ import annotations

import secrets
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
from redis import Redis

from project.run import valkey
from tests.support.numbers import number
from tests.support.stack import ROOT, Stack, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

BUDGET = 2
# As docs/operators.md gives them to a site that shares its Redis.
RIGHTS = "~latchkey:* ~huey.*.latchkey &latchkey*"
# What tells two sites apart, and what their keys begin with.
APART = {
    "by KEY_PREFIX": [{"KEY_PREFIX": name, "QUEUE_NAME": ""} for name in ("one", "other")],
    "by QUEUE_NAME": [{"KEY_PREFIX": "", "QUEUE_NAME": name} for name in ("one", "ot-her")],
}
# Five faults of a provider, as a worker learns of them.
BREAK = """
from tasks.gateways import Answer, Outcome
from tasks.routing import circuit_breaker
for _ in range(circuit_breaker.FAULTS):
    circuit_breaker.note("phone", Answer(Outcome.NOT_SENT))
"""
LOOK = "from tasks.routing import circuit_breaker; print('open:', circuit_breaker.is_open('phone'))"


@pytest.fixture(scope="module", params=APART, ids=str)
def sites(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Stack]]:
    """Two sites with one Redis database and, as a copy of a site has it, one SECRET_KEY. None may touch the other's."""
    folder = tmp_path_factory.mktemp("shared")
    valkey.ensure(folder)
    admin: Any = Redis.from_url(valkey.url(folder))
    address = urlsplit(valkey.url(folder))
    for name in ("one", "other"):
        rights = RIGHTS.replace("latchkey", name).split()
        assert admin.execute_command(
            "ACL", "SETUSER", name, "on", ">secret", *rights, "+@all", "-@admin", "-@dangerous"
        )
    urls = [f"redis://{name}:secret@{address.hostname}:{address.port}/0" for name in ("one", "other")]
    shared: dict[str, Any] = {
        "SECRET_KEY": secrets.token_urlsafe(40),
        "SMS_BUDGET_HOUR": str(BUDGET),
        "SMS_BUDGET_RESERVE": "0",
    }
    with ExitStack() as ends:
        names = APART[request.param]
        yield [
            ends.enter_context(Stack(folder / f"site{n}", REDIS_URL=urls[n], **(shared | names[n]))) for n in range(2)
        ]
    valkey.owned.pop(folder / "valkey").server.kill()


def test_no_site_uses_up_what_is_the_others(sites: list[Stack]) -> None:
    """The budget of an hour, a number's cooldown, and what is known of a provider."""
    one, other = sites
    numbers = [number() for _ in range(BUDGET)]
    for mobile in numbers:
        assert one.person().ask(mobile).status_code == 202
        assert one.phone.code_for(mobile)
    assert one.person().ask(number()).json()["code"] == "SMS_LIMIT", "or this test means nothing"
    for mobile in numbers:
        assert other.person().ask(mobile).status_code == 202
        assert other.phone.code_for(mobile)
    assert len(other.deliveries()) == BUDGET
    one.manage("shell", "-c", BREAK)
    assert "open: True" in one.manage("shell", "-c", LOOK), "or this test means nothing"
    assert "open: False" in other.manage("shell", "-c", LOOK)


def test_no_page_is_told_of_the_other_site(sites: list[Stack]) -> None:
    """The self-test's group has one name on every site."""
    one, other = sites
    mine, theirs = one.person(), other.person()
    page = theirs.open("/ws/dev/queue/")
    page.wait_for("connection", state="live")
    assert mine.htmx("/dev/queue/").status_code == 200
    wait_until(lambda: one.redis.exists("one:selftest"), 10, "or this test means nothing")
    page.drain(3)
    assert page.leaves["selftest"]["data-state"] == "idle"


def test_all_that_a_site_keeps_begins_with_its_prefix(sites: list[Stack]) -> None:
    """Keys, channels and the queue: what another program keeps in the same database can have any other name."""
    page = ROOT.joinpath("docs", "operators.md").read_text()
    assert all(f"`{right}" in page or f"{right}`" in page for right in RIGHTS.split()), (
        "docs/operators.md says otherwise"
    )
    for site in sites:
        # Refused or not: it is counted, or was before.
        assert site.person().ask(number()).status_code in {202, 429}
    found = {str(key) for key in sites[0].redis.scan_iter("*")}
    found |= {str(channel) for channel in sites[0].redis.pubsub_channels("*")}
    assert {name for name in found if "counted" in name}, "or this test means nothing"
    for name in found:
        mine = name.startswith(("one:", "one__", "onespecific."))
        theirs = name.startswith(("other:", "other__", "otherspecific."))
        assert mine or theirs or name.removeprefix("huey.").split(".")[-1] in {"one", "other"}, name


def test_an_operator_of_one_site_can_check_its_queue(sites: list[Stack]) -> None:
    """With the rights that docs/operators.md gives it: the command's own queue has a name that they reach."""
    for site in sites:
        assert "Redis works: there and back" in site.manage("check_queue")
