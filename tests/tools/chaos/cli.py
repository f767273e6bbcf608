"""`make chaos`: run the plans one after another, say what came of each, and end with 1 if a promise was broken.

    python -m tests.tools.chaos                  all plans
    python -m tests.tools.chaos --seed 3         one of them again
    python -m tests.tools.chaos --keep           keep each run's folder, with the logs of every part

The table goes to stdout, everything else to var/chaos/.
"""

from __future__ import annotations

import argparse
import faulthandler
import json
import shutil
import signal
import sys
import time
from dataclasses import asdict, fields
from datetime import UTC, datetime
from pathlib import Path

from tests.tools.chaos.checker import Figures, check, figures
from tests.tools.chaos.plans import LONG, SHORT, Plan
from tests.tools.chaos.record import Record
from tests.tools.chaos.run import run

# Seconds for one run, all in all.
LONGEST = 240
OUT = Path(__file__).resolve().parents[3] / "var" / "chaos"
HEAD = (
    f"{'seed':>4}  {'broker':8} {'database':10} {'gateways':17} {'policy':6} {'accepted':>8} {'messages':>8} "
    f"{'kills':>5} {'faults':>6} {'lost':>4} {'silent':>6} {'flagged':>7} {'no row':>6} {'page s':>6} {'end s':>5} "
    f"{'broken':>6} {'took s':>6}"
)


def _end(number: int, _frame: object) -> None:
    """End as if by Ctrl-C: every part is stopped on the way out."""
    faulthandler.dump_traceback()
    raise SystemExit(f"ended by {signal.Signals(number).name}")


def line(plan: Plan, got: Figures, took: float) -> str:
    """Return one row of the table."""
    return (
        f"{got.seed:>4}  {plan} {got.accepted:>8} {got.messages:>8} {got.kills:>5} {sum(got.faults.values()):>6} "
        f"{got.lost:>4} {got.silent_duplicates:>6} {got.flagged_duplicates:>7} {got.without_attempt:>6} "
        f"{got.slowest_page:>6} {got.slowest_end:>5} {got.violations:>6} {took:>6.0f}"
    )


def main() -> int:
    """Run and report."""
    parser = argparse.ArgumentParser(prog="python -m tests.tools.chaos", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seed", type=int, action="append", help="only the plan with this seed; may be given again")
    parser.add_argument("--keep", action="store_true", help="keep the folder of every run, and not only of broken ones")
    options = parser.parse_args()
    plans = [plan for plan in (*LONG, SHORT) if plan.seed in options.seed] if options.seed else list(LONG)
    if not plans:
        parser.error(f"no such seed; there are {', '.join(str(plan.seed) for plan in (*LONG, SHORT))}")
    signal.signal(signal.SIGALRM, _end)
    signal.signal(signal.SIGTERM, _end)
    faulthandler.register(signal.SIGUSR1)
    say(HEAD)
    OUT.mkdir(parents=True, exist_ok=True)
    results, broken = [], []
    for plan in plans:
        folder = OUT / f"seed-{plan.seed}"
        shutil.rmtree(folder, ignore_errors=True)
        began = time.monotonic()
        # Nothing here takes so long; if it does, all is cleared away all the same.
        signal.alarm(LONGEST)
        record, complaints = run(plan, folder)
        signal.alarm(0)
        violations = check(record)
        took = time.monotonic() - began
        got = figures(record, violations)
        say(line(plan, got, took))
        lines = [*map(str, violations), *(f"seed {plan.seed}: {complaint}" for complaint in complaints)]
        for each in lines:
            say(f"      {each}")
        broken += lines
        results.append({**asdict(plan), **asdict(got), "answers": dict(record.answers), "took": took, "broken": lines})
        if lines or options.keep:
            (folder / "record.json").write_text(told(record))
        else:
            shutil.rmtree(folder, ignore_errors=True)
    say(total(results))
    when = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    path = OUT / f"{when}.json"
    path.write_text(json.dumps({"at": when, "runs": results}, indent=1))
    say(f"All figures: {path}")
    return 1 if broken else 0


def told(record: Record) -> str:
    """Return a record as JSON, for whoever wants to know why."""
    # Field by field: asdict makes something else of a Counter.
    named = {each.name: getattr(record, each.name) for each in fields(record)}
    return json.dumps(named, indent=1, default=lambda v: sorted(v) if isinstance(v, frozenset) else asdict(v))


def total(results: list[dict[str, object]]) -> str:
    """Return the last line of the table."""

    def add(name: str) -> int:
        return sum(value for result in results if isinstance(value := result[name], int))

    return (
        f"{len(results)} seeds: {add('accepted')} accepted, {add('messages')} messages, {add('kills')} kills, "
        f"{add('lost')} lost, {add('silent_duplicates')} silent duplicates, "
        f"{add('flagged_duplicates')} flagged duplicates, {add('without_attempt')} messages without an attempt, "
        f"{add('violations')} broken promises"
    )


def say(text: str) -> None:
    """Write a line at once, also into a pipe."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
