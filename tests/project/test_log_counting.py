"""Equal lines of an outage are counted together, and none is lost."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from project import log
from tests.support.numbers import number
from tests.support.stack import ROOT

if TYPE_CHECKING:
    from tests.support.stack import Stack


def logged(stack: Stack, code: str) -> list[str]:
    """Run code in a process of the site, and return the lines that it has logged until its end."""
    done = subprocess.run(
        [sys.executable, "manage.py", "shell", "-v0", "-c", f"import logging, time\n{code}"],
        cwd=ROOT, env=stack.environment, capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    return [line.split(" ", 2)[2] for line in done.stderr.splitlines() if re.match(r"\d{4}-", line)]


def test_lines_of_a_kind_are_written_at_first_and_counted_then(stack: Stack) -> None:
    """With the last of them, so that its words are found; at the end of the process at the latest."""
    lines = logged(stack, "for n in range(100): logging.getLogger('tasks.x').warning('delivery %d waits', n)")
    assert lines[:-1] == [f"WARNING tasks.x: delivery {n} waits" for n in range(log.LINES_AT_ONCE)]
    rest = 100 - log.LINES_AT_ONCE - 1
    assert lines[-1] == f"WARNING tasks.x: delivery 99 waits (and {rest} more like this in 0 s)"


def test_the_count_is_written_when_its_time_is_over(stack: Stack) -> None:
    code = """
for n in range(20): logging.getLogger('project.x').error('lost')
time.sleep(11)
logging.getLogger('project.x').error('lost')
"""
    lines = logged(stack, code)
    assert lines[: log.LINES_AT_ONCE] == ["ERROR project.x: lost"] * log.LINES_AT_ONCE
    assert lines[log.LINES_AT_ONCE :] == [
        f"ERROR project.x: lost (and {19 - log.LINES_AT_ONCE} more like this in 10 s)",
        "ERROR project.x: lost",
    ]


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("accounts.x", "info('kept')"),
        ("another", "warning('kept')"),
        ("tasks.x", "error('%s', f'kept {n}')"),
        ("tasks.x", "error('kept', exc_info=ValueError())"),
    ],
)
def test_what_is_no_warning_of_ours_or_differs_is_written_each_time(stack: Stack, name: str, call: str) -> None:
    lines = logged(stack, f"for n in range(20): logging.getLogger({name!r}).{call}")
    assert len([line for line in lines if "kept" in line]) == 20


def test_a_line_in_the_middle_of_others_is_written_at_once_and_cannot_be_forged(stack: Stack) -> None:
    code = """
for n in range(20):
    logging.getLogger('tasks.x').warning('from %s', 'a\\nb')
    if n == 10: logging.getLogger('tasks.y').warning('another')
"""
    lines = logged(stack, code)
    assert lines[log.LINES_AT_ONCE] == "WARNING tasks.y: another"
    assert lines[-1].startswith("WARNING tasks.x: from a\\nb (and ")


def test_another_reason_is_written_at_once(stack: Stack) -> None:
    """The log names the reason of an outage: one that follows another is not hidden in its count."""
    code = """
for n in range(20): logging.getLogger('accounts.x').warning('code refused: %s, %08x', 'redis OOM', n)
logging.getLogger('accounts.x').warning('code refused: %s, %08x', 'redis READONLY', 1)
"""
    lines = logged(stack, code)
    assert lines[log.LINES_AT_ONCE] == "WARNING accounts.x: code refused: redis READONLY, 00000001"
    assert len(lines) == log.LINES_AT_ONCE + 2


def test_every_line_of_a_worker_has_the_same_format(stack: Stack) -> None:
    """Huey's own as well: it gives itself a handler, with a format of its own."""
    stack.person().ask(number())
    stack.wait_for_state("sent")
    lines = [line for line in stack.workers[0].text().splitlines() if not line.startswith("    ")]
    assert [line for line in lines if " huey" in line], "or this test means nothing"
    ours = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} [A-Z]+ [\w.]+: .+")
    assert [line for line in lines if not ours.fullmatch(line)] == []
