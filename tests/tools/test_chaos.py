"""A short chaos run: everything is killed, hung and cut under a small crowd, and every promise is kept.

`make chaos` is the long one. One seed again: `python -m tests.tools.chaos --seed 101`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.support.numbers import number
from tests.tools.chaos.checker import BEHIND, check, figures
from tests.tools.chaos.plans import SHORT
from tests.tools.chaos.run import run

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.support.stack import Stack


def test_whatever_is_killed_what_was_accepted_is_resolved_and_nothing_is_sent_twice_in_silence(tmp_path: Path) -> None:
    """The matrix of delivery under faults, seeded. The checker's own tests are in tests/tools/test_checker.py."""
    record, complaints = run(SHORT, tmp_path / "site")
    got = figures(record, check(record))
    assert got.accepted >= 8, f"or this means nothing: {record.answers}"
    assert got.messages >= 4, record.modes
    assert got.kills >= 2, record.faults
    assert got.pages >= 8
    assert [str(violation) for violation in check(record)] == []
    assert complaints == []


def test_a_page_whose_push_was_lost_is_true_again_within_ten_seconds(make_stack: Callable[..., Stack]) -> None:
    """Also when it shows an end already: a report, or a worker that was taken for dead, may still move it."""
    stack = make_stack()
    person, mobile = stack.person(), number()
    page = person.open()
    assert person.ask(mobile).status_code == 202
    page.wait_for("delivery", state="sent")
    # A report, and nobody pushes.
    stack.rows("UPDATE tasks_delivery SET state = 'delivered' WHERE mobile = ?", f"+86{mobile}")
    page.wait_for("delivery", BEHIND, state="delivered")
