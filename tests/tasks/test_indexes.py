"""What is asked again and again never reads a whole table, however long a site has run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.support.stack import ROOT, Stack

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# Everything that happens with each request, each delivery and each round of the sweeper, in a process of the site.
ASK = r"""
import json, sys
import django
django.setup()
from django.db import connection
from django.test import Client
from accounts.throttling import failed_attempts
from accounts.backends import find
from project import redis
from tasks import delivery, limits, receipts, sms
from tasks.delivery import delivery_times, recovery
from tasks.gateways import Answer, Outcome, Receipt
from tasks.models import Delivery

browser = Client(headers={"Host": "127.0.0.1", "HX-Request": "true"})
seen = {}

def watch(name, call):
    def hear(execute, sql, params, many, context):
        if sql.startswith(("SELECT", "UPDATE", "DELETE", "INSERT")):
            seen[sql] = (name, params)
        return execute(sql, params, many, context)

    with connection.execute_wrapper(hear):
        return call()

def code(mobile):
    answer = browser.post("/code/", {"mobile": mobile})
    assert answer.status_code == 202, answer.status_code
    return Delivery.objects.latest("created_at")

watch("page", lambda: browser.get("/login/"))
row = watch("code", lambda: code("13800000001"))
claim = watch("claim", lambda: delivery.claim(row.pk))
watch("record", lambda: delivery.record(claim, Answer(Outcome.ACCEPTED, provider_id="abc")))
watch("report", lambda: receipts.take("phone", Receipt(delivered=True, provider_id="abc")))
row = watch("again", lambda: code("13800000002"))
claim = delivery.claim(row.pk)
watch("failure", lambda: delivery.record(claim, Answer(Outcome.NOT_SENT)))
Delivery.objects.filter(pk=row.pk).update(due_at="2026-01-01")
claim = watch("claim again", lambda: delivery.claim(row.pk))
watch("give up", lambda: delivery.give_up(claim))
watch("state", lambda: browser.get("/state/"))
watch("wrong code", lambda: browser.post("/login/code/", {"code": "000000"}))
watch("right code", lambda: browser.post("/login/code/", {"code": row.code}))
watch("password", lambda: browser.post("/login/", {"username": "nobody", "password": "long enough for it"}))
watch("mobile", lambda: find("+8613800000001"))
watch("overdue", lambda: recovery.overdue(10))
watch("expire", recovery.expire)
watch("give back", recovery.release_limits)
watch("reclaim", recovery.reclaim)
watch("oldest", recovery.oldest_waiting)
watch("usual", delivery_times._read)
watch("limits", lambda: limits.count_anew(redis.client()))

plans = {}
with connection.cursor() as cursor:
    # With the values apart, as they are in earnest: SQLite plans without knowing them.
    for sql, (name, params) in seen.items():
        cursor.execute("EXPLAIN QUERY PLAN " + sql, params)
        plans[sql] = [name, [row[3] for row in cursor.fetchall()]]
json.dump(plans, sys.stdout)
"""


@pytest.fixture(scope="module")
def plans(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, list[str]]]:
    """How SQLite finds what it is asked for: of each statement, the plan's lines."""
    folder: Path = tmp_path_factory.mktemp("indexes")
    with Stack(folder, workers=0) as site:
        done = subprocess.run(
            [sys.executable, "-c", ASK], cwd=ROOT, env={**site.environment, "PYTHONPATH": os.fspath(ROOT)},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        yield {f"{name}: {sql}": plan for sql, (name, plan) in json.loads(done.stdout).items()}


def test_no_hot_question_reads_a_whole_table(plans: dict[str, list[str]]) -> None:
    assert len(plans) > 30, "or this test means nothing"
    whole = {
        sql: line
        for sql, plan in plans.items()
        for line in plan
        if line.startswith("SCAN") and "INDEX" not in line and "CONSTANT ROW" not in line
    }
    assert not whole, "\n".join(f"{line}\n  {sql}" for sql, line in whole.items())


def test_what_is_too_late_is_not_looked_for_among_all_that_is_old(plans: dict[str, list[str]]) -> None:
    """Nearly every row is old. Those that wait are few."""
    (plan,) = [plan for sql, plan in plans.items() if sql.startswith("expire: SELECT")]
    assert "delivery_state" in plan[0], plan
