"""What a site's own code may count on from Huey: revoking its tasks, and hearing of a code that could not be sent."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.support import services
from tests.support.numbers import number
from tests.support.provider import Provider
from tests.support.stack import Stack, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

OWN = "tests.tasks.own_site.settings"
# The ways in which Huey lets a site take a task back, and beside each a task that runs.
REVOKING = """
from datetime import datetime, timedelta, timezone
from huey.contrib.djhuey import HUEY, enqueue, restore, revoke, revoke_all, revoke_by_id
from tests.tasks.own_site.tasks import note, other, revoked_yearly, until, yearly
now = datetime.now(timezone.utc).replace(tzinfo=None)
hour = timedelta(hours=1)

# No results are kept, so calling a task returns nothing: it is revoked by what was enqueued.
def queued(word):
    task = note.s(word)
    assert enqueue(task) is None
    return task

revoke(queued('revoked by itself'))
revoke_by_id(queued('revoked by its id').id)
revoke(queued('revoked for an hour'), revoke_until=now + hour)
revoke(queued('revoked for one run'), revoke_once=True)
again = queued('runs: restored')
revoke(again)
restore(again)
revoke(queued('runs: revoked until an hour ago'), revoke_until=now - hour)
other.revoke()
other('revoked by its kind')
until.revoke(revoke_until=now - hour)
until('runs: its kind was revoked until an hour ago')
revoke_all(revoked_yearly)
# As Huey's scheduler does when it is time.
enqueue(revoked_yearly.s())
enqueue(yearly.s())
"""
RUNS = {"runs: restored", "runs: revoked until an hour ago", "runs: its kind was revoked until an hour ago", "yearly"}


def lines(stack: Stack, file: str) -> list[str]:
    """Return what the site's app has written down."""
    path = stack.folder / file
    return path.read_text().splitlines() if path.exists() else []


@pytest.fixture(params=["redis", "rabbitmq"])
def broker_url(request: pytest.FixtureRequest) -> str:
    """The address of each broker."""
    return services.rabbitmq() if request.param == "rabbitmq" else ""


@pytest.fixture
def own_site(broker_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A site with tasks of its own."""
    stack = Stack(tmp_path_factory.mktemp("own"), DJANGO_SETTINGS_MODULE=OWN, BROKER_URL=broker_url)
    with stack:
        yield stack
    if broker_url:
        services.delete_queues(broker_url, stack.settings["QUEUE_NAME"])


def test_a_task_that_a_site_has_revoked_does_not_run(own_site: Stack) -> None:
    own_site.workers[0].kill()
    own_site.manage("shell", "-v0", "-c", REVOKING)
    own_site.workers[0].start()
    wait_until(lambda: set(lines(own_site, "ran")) >= RUNS, 40, "not everything runs that is not revoked")
    restored, again = "runs: its kind is restored", "runs: its kind was revoked for one run"
    own_site.manage(
        "shell", "-v0", "-c",
        "from tests.tasks.own_site.tasks import once, other\n"
        "once.revoke(revoke_once=True); once('its kind is revoked for one run')\n"
        f"other.restore(); other('{restored}')",
    )  # fmt: skip
    wait_until(lambda: restored in lines(own_site, "ran"), 20)
    own_site.manage("shell", "-v0", "-c", f"from tests.tasks.own_site.tasks import once; once('{again}')")
    wait_until(lambda: again in lines(own_site, "ran"), 20)
    assert sorted(lines(own_site, "ran")) == sorted([*RUNS, restored, again])


@pytest.fixture(scope="module")
def failing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Stack, Provider]]:
    """A site whose provider can be told to fail, where only one number has an account."""
    settings: dict[str, Any] = {"DJANGO_SETTINGS_MODULE": OWN, "SIGN_UP": "0"}
    with Provider() as provider, Stack(tmp_path_factory.mktemp("failing"), provider=provider, **settings) as stack:
        yield stack, provider


def member(stack: Stack) -> str:
    """Make an account and return its number."""
    mobile = number()
    create = f"User.objects.create_user('member-{mobile[-6:]}', mobile='+86{mobile}')"
    stack.manage("shell", "-v0", "-c", f"from accounts.models import User; {create}")
    return mobile


def fail(stack: Stack, mobile: str) -> dict[str, Any]:
    """Ask for a code that cannot be sent, wait until that is over, and return its row."""
    assert stack.person().ask(mobile).status_code == 202

    def row() -> dict[str, Any]:
        return next(row for row in stack.deliveries() if row["mobile"] == f"+86{mobile}")

    wait_until(lambda: row()["state"] == "failed", 60, "the delivery did not fail")
    return row()


def reported(stack: Stack, row: dict[str, Any]) -> list[str]:
    """Return what Huey has reported of a delivery, when it has had the time to report it twice."""
    time.sleep(8)
    return [line for line in lines(stack, "errors") if row["id"][:8] in line]


def test_the_last_failed_attempt_is_an_error_that_huey_reports_once(failing: tuple[Stack, Provider]) -> None:
    stack, provider = failing
    mobile = member(stack)
    provider.script("busy", "busy", "busy", "busy")
    logged, retried = len(stack.logs()), len(lines(stack, "retries"))
    row = fail(stack, mobile)
    words = f"delivery {row['id'][:8]} has failed: no SMS was sent in 4 of 4 attempts, the last by yuntongxun: not_sent"
    assert reported(stack, row) == [f"send_sms_code tasks.sms.SMSNotSent: {words}"]
    assert row["attempts"] == 4
    assert len(lines(stack, "retries")) == retried + 3, "after each attempt but the last"
    # One line of the log, and nothing that says who it was.
    log = stack.logs()[logged:]
    assert log.count(words) == 1
    assert "Traceback" not in log
    assert mobile not in log


def test_what_an_error_tracker_keeps_holds_no_number_and_no_code(failing: tuple[Stack, Provider]) -> None:
    """T-24: error trackers keep the variables of each frame of a traceback."""
    stack, provider = failing
    mobile = member(stack)
    provider.script("balance")
    row = fail(stack, mobile)
    assert len(reported(stack, row)) == 1
    frames = "\n".join(lines(stack, "frames"))
    assert row["id"] in frames, "or this test means nothing"
    assert mobile not in frames
    assert "Delivery" not in frames
    assert "Claim" not in frames


@pytest.mark.parametrize("mode", ["bad_number", "too_frequent"])
def test_a_number_that_is_refused_is_no_error_of_the_site(failing: tuple[Stack, Provider], mode: str) -> None:
    stack, provider = failing
    mobile = member(stack)
    provider.script(mode)
    assert reported(stack, fail(stack, mobile)) == []


def test_a_decoy_fails_as_a_real_one_does(failing: tuple[Stack, Provider]) -> None:
    """T-11: who reads the log or the error tracker is told the same of a number without an account."""
    stack, provider = failing
    known, unknown = member(stack), number()
    provider.mode = "balance"
    try:
        told = []
        for mobile in (known, unknown):
            row = fail(stack, mobile)
            told.append([line.replace(row["id"][:8], "ID") for line in reported(stack, row)])
    finally:
        provider.mode = "ok"
    assert told[0] == told[1]
    assert len(told[0]) == 1
    assert unknown not in str([request.body for request in provider.requests]), "or this test means nothing"
