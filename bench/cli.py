"""`make bench`: Latchkey beside its peers, as ratios, in alternating rounds of one run.

    python -m bench            some eight minutes
    python -m bench --quick    the same figures in fewer and shorter rounds, two minutes

The table goes to stdout, latest.json and latest.svg to var/bench/. No figure is of any worth on a machine that does
something else meanwhile; the machine's load before the run stands in the JSON.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

# It decides what the environment of this process is.
import tests.environment  # noqa: F401
from bench import client, report, sites
from bench.figures import ACCOUNTS, Bench, Pace, Sites
from project import valkey

if TYPE_CHECKING:
    from pathlib import Path

FULL, QUICK = Pace(rounds=5, seconds=4), Pace(rounds=3, seconds=2)


def say(text: str) -> None:
    """Write a line at once, also into a pipe."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def main() -> int:
    """Measure, print and write. Returns 2 when there is no wrk."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="short rounds")
    pace = QUICK if parser.parse_args().quick else FULL
    try:
        client.program()
    except client.Missing as missing:
        say(str(missing))
        return 2
    signal.signal(signal.SIGTERM, _ended)
    load = os.getloadavg()[0]
    sites.OUT.mkdir(parents=True, exist_ok=True)
    folder = sites.OUT / "run"
    shutil.rmtree(folder, ignore_errors=True)
    with ExitStack() as ends:
        figures = Bench(_start(ends, folder), pace).all(say)
    say(f"\n{report.table(figures)}\n")
    report.write(figures, pace, load)
    say(f"Reports: {sites.OUT}")
    return 0


def _start(ends: ExitStack, folder: Path) -> Sites:
    """Start every site. A peer that cannot be installed is said to be missing."""
    latchkey = ends.enter_context(sites.Latchkey.running(folder / "latchkey"))
    address = urlsplit(valkey.url(latchkey.folder))

    def redis(database: int) -> str:
        return address._replace(path=f"/{database}").geturl()

    bare = ends.enter_context(sites.bare(folder / "bare", redis(1)))
    try:
        tutorial = ends.enter_context(sites.peer("tutorial", folder / "tutorial", redis(2)))
        allauth = ends.enter_context(sites.peer("allauth", folder / "allauth", redis(3), accounts=ACCOUNTS))
    except sites.NotInstalled as problem:
        say(f"Without the peers: {problem}")
        return Sites(latchkey, bare, None, None)
    return Sites(latchkey, bare, tutorial, allauth)


def _ended(_number: int, _frame: object) -> None:
    raise SystemExit("ended by SIGTERM")
