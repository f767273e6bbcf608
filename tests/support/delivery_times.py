"""Days of reported deliveries, and one more report."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx

if TYPE_CHECKING:
    from tests.support.provider import Provider
    from tests.support.stack import Stack


SECRET = "a-secret-of-thirty-two-letters-00"
GATEWAY = "yuntongxun"
# As many reports as make a habit.
ENOUGH = 10


def moment(seconds_ago: float) -> str:
    """Return SQL for a moment in the past, as Django writes it."""
    return f"strftime('%Y-%m-%d %H:%M:%f', 'now', '-{seconds_ago} seconds')"


def history(stack: Stack, count: int, took: float, *, ago: float = 600, gateway: str = GATEWAY, decoy: int = 0) -> None:
    """Write so many deliveries that were reported after so many seconds: what a site has after some days of life."""
    columns = [column["name"] for column in stack.rows("PRAGMA table_info(tasks_delivery)")]
    values = {
        "id": "lower(hex(randomblob(16)))",
        "state": "'delivered'",
        "gateway": f"'{gateway}'",
        "decoy": str(decoy),
        "created_at": moment(ago),
        "sent_at": moment(ago),
        "delivered_at": moment(ago - took),
    }
    chosen = ", ".join(values.get(column, column) for column in columns)
    for _ in range(count):
        stack.rows(f"INSERT INTO tasks_delivery ({', '.join(columns)}) SELECT {chosen} FROM tasks_delivery LIMIT 1")


def report(stack: Stack, provider: Provider) -> None:
    """Report the last SMS as delivered."""
    for post in provider.reports(provider.sent[-1]):
        answer = httpx.post(f"{stack.url}/receipts/{GATEWAY}/{SECRET}/", content=post.body, headers=post.headers)
        assert answer.status_code == 200
