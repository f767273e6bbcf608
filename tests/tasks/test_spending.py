"""What the rows tell an operator of SMS that nobody uses, and for how long the rows are kept."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from datetime import timedelta
from io import StringIO
from typing import TYPE_CHECKING, Any

import pytest
from django.core.management import call_command
from django.utils import timezone

from project import redis
from project.run import valkey
from tasks import periodic, pumping
from tasks.gateways import Outcome
from tasks.models import Attempt, Delivery, Report, State, random_id
from tests.support.stack import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
# A range that is rented for pumping, one of people, and one abroad.
RENTED, PEOPLE, ABROAD = "+861391234", "+861381111", "+8526123"


def told(
    prefix: str, count: int, *, used: int = 0, age: timedelta = HOUR / 2, outcome: str = "accepted", **fields: Any
) -> list[Delivery]:
    """Write deliveries to so many numbers of a range, each with an attempt; the codes of the first ones were used."""
    now = timezone.now()
    rows = [
        Delivery(
            id=random_id(), mobile=f"{prefix}{n:04}", purpose="login", browser="b" * 32, address="a" * 32,
            language="en", created_at=now - age, resend_at=now - age, used_at=now - age if n < used else None,
            **{"state": State.SENT, **fields},
        )
        for n in range(count)
    ]  # fmt: skip
    Delivery.objects.bulk_create(rows)
    ended = now - age
    Attempt.objects.bulk_create(
        Attempt(delivery=row, n=1, gateway="yuntongxun", outcome=outcome, started_at=ended, ended_at=ended)
        for row in rows
    )
    return rows


def spending(*words: str) -> str:
    """Return what `manage.py spending` says."""
    said = StringIO()
    call_command("spending", *words, stdout=said)
    return said.getvalue()


@pytest.fixture
def site(db: None, settings: Any) -> Iterator[None]:
    """A Valkey of this process, empty."""
    valkey.ensure(settings.VAR_DIR)
    redis.client().flushdb()
    yield
    redis.client().flushdb()


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return what was warned of since this was last asked."""
    said = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    caplog.clear()
    return said


# --- Sent, and used ---


def test_the_operator_sees_what_was_sent_to_each_range_and_how_much_of_it_was_used(db: None, settings: Any) -> None:
    """T-6: by range, by region and in all, in the last hour and the last day."""
    settings.SMS_BUDGET_HOUR = 150
    told(RENTED, 40, used=1)
    told(PEOPLE, 20, used=15)
    told(PEOPLE, 5, used=5, age=DAY / 2)
    told(ABROAD, 4, used=2)
    # What is no SMS: refused by the provider, not sent at all, too long ago.
    told("+861370000", 7, outcome=Outcome.REFUSED, state=State.FAILED)
    told("+861360000", 3, decoy=True)
    told("+861350000", 9, age=DAY * 2)
    said = json.loads(spending("--json"))
    assert said["hour"] == {"sent": 64, "used": 18, "ratio": 18 / 64, "requests": 74, "decoys": 3}
    assert said["day"] == {"sent": 69, "used": 23, "ratio": 23 / 69, "requests": 79, "decoys": 3}
    assert said["budget"] == {"used": 74, "limit": 150}
    assert [(line["name"], line["hour"]["sent"], line["day"]["sent"]) for line in said["regions"]] == [
        ("CN", 60, 65),
        ("HK", 4, 4),
    ]
    assert [(line["name"], line["suspicious"], line["hour"]["used"]) for line in said["ranges"]] == [
        ("+861391234xxxx", True, 1),
        ("+861381111xxxx", False, 15),
        ("+8526123xxxx", False, 2),
    ]
    words = spending()
    assert "64 SMS sent, 18 used (28%)" in words
    assert "74 of SMS_BUDGET_HOUR=150" in words
    marked = [line.split()[1] for line in words.splitlines() if line.startswith("!")]
    assert marked == ["+861391234xxxx"]


def test_a_site_that_has_sent_nothing_has_nothing_to_show(db: None) -> None:
    assert "0 SMS sent, 0 used;" in spending()
    assert json.loads(spending("--json"))["hour"]["ratio"] is None


@pytest.mark.parametrize(
    ("count", "used", "age", "suspicious"),
    [
        (pumping.MIN_SENT, 0, HOUR / 2, True),
        (pumping.MIN_SENT, 1, HOUR / 2, True),
        (pumping.MIN_SENT, 2, HOUR / 2, False),
        (pumping.MIN_SENT - 1, 0, HOUR / 2, False),
        (50, 0, timedelta(minutes=1), False),
        (50, 0, HOUR * 2, False),
    ],
    ids=["none", "one in ten", "two in ten", "too few", "codes still open", "long ago"],
)
def test_much_sent_and_little_used_is_suspicious(
    db: None, count: int, used: int, age: timedelta, suspicious: bool
) -> None:
    """T-6: ten or more in an hour, less than a fifth of them used, and only those that had their time."""
    told(RENTED, count, used=used, age=age)
    assert any(each.suspicious for each in pumping.ranges(HOUR)) is suspicious


def test_a_range_that_nobody_reads_is_warned_of_once_and_without_a_number(
    site: None, caplog: pytest.LogCaptureFixture
) -> None:
    """T-6: one line an hour for each, however many workers look."""
    rows = told(RENTED, 30)
    told("+861371234", 12, used=1)
    told(PEOPLE, 60, used=55)
    for _ in range(3):
        periodic.watch_spending.call_local()
    said = warnings(caplog)
    assert said == [
        "SMS pumping? 30 SMS to +861391234xxxx in the last hour, and 0 of the 30 whose code is over were used",
        "SMS pumping? 12 SMS to +861371234xxxx in the last hour, and 1 of the 12 whose code is over were used",
    ]
    assert not any(row.mobile in line for line in said for row in rows)
    assert not any(RENTED in str(key) for key in redis.client().scan_iter("*"))
    # An hour goes by, and it goes on.
    redis.client().flushdb()
    periodic.watch_spending.call_local()
    assert len(warnings(caplog)) == 2


def test_pumping_that_is_spread_over_many_ranges_shows_in_the_region(
    site: None, caplog: pytest.LogCaptureFixture
) -> None:
    """T-6: nine here and nine there are nothing; a whole country that reads no SMS is."""
    for prefix in ("+8526123", "+8526124", "+8526125"):
        told(prefix, pumping.MIN_SENT - 1)
    told(PEOPLE, 20, used=15)
    assert pumping.watch() == 1
    (said,) = warnings(caplog)
    assert "27 SMS to HK in the last hour" in said


# --- How long the rows are kept ---


def test_what_is_too_old_is_forgotten_with_all_that_hangs_on_it(db: None, settings: Any) -> None:
    """Numbers stand in rows no longer than SMS_KEEP_DAYS; what is younger or not over stays."""
    settings.SMS_KEEP_DAYS = 30
    told(RENTED, periodic.BATCH + 5, age=DAY * 30 + HOUR)
    kept = [
        *told(PEOPLE, 3, age=DAY * 30 - HOUR),
        *told(PEOPLE, 1, age=DAY * 40, state=State.QUEUED),
        *told(PEOPLE, 1, age=DAY * 40, state=State.SENDING),
    ]
    for days, sid in ((31, "old"), (29, "young")):
        Report.objects.create(
            gateway="yuntongxun", provider_id=sid, delivered=True, received_at=timezone.now() - DAY * days
        )
    periodic.forget.call_local()
    assert set(Delivery.objects.values_list("pk", flat=True)) == {row.pk for row in kept}
    assert set(Attempt.objects.values_list("delivery", flat=True)) == {row.pk for row in kept}
    assert [report.provider_id for report in Report.objects.all()] == ["young"]
    periodic.forget.call_local()
    assert Delivery.objects.count() == len(kept)


def test_zero_days_keep_everything(db: None, settings: Any) -> None:
    settings.SMS_KEEP_DAYS = 0
    told(RENTED, 3, age=DAY * 4000)
    periodic.forget.call_local()
    assert Delivery.objects.count() == 3


@pytest.mark.parametrize("days", ["1", "-1", "a week"])
def test_a_day_is_too_short_because_limits_are_counted_from_rows(days: str, tmp_path: Any) -> None:
    """T-7: what was sent today and yesterday is never deleted."""
    done = subprocess.run(
        [sys.executable, "manage.py", "check"], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
        env={"DEBUG": "1", "ENV_FILE": "", "VAR_DIR": str(tmp_path), "SMS_KEEP_DAYS": days, "PATH": ""},
    )  # fmt: skip
    assert done.returncode != 0
    assert done.stderr.strip().splitlines()[-1].startswith("SMS_KEEP_DAYS is ")
