"""`make bench`: Latchkey beside its peers, as ratios, in alternating rounds of one run.

    python -m bench            half an hour
    python -m bench --quick    the same figures in fewer and shorter rounds, ten minutes
    python -m bench --only requests    one group of them; may be given more than once

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

# It decides what the environment of this process is.
import tests.support.environment  # noqa: F401
from bench import client, report, sites
from bench.clicks import Clicks
from bench.comeback import Comeback
from bench.deliveries import Deliveries
from bench.figures import Pace, Requests
from bench.growth import Growth
from bench.hashing import Hashing
from bench.memory import Memory
from bench.pushes import Pushes
from bench.queues import Queues
from bench.servers import Servers
from bench.starts import Starts
from bench.ticks import Ticks

if TYPE_CHECKING:
    from collections.abc import Callable

    from bench.figures import Figure, Group

FULL, QUICK = Pace(rounds=5, seconds=4), Pace(rounds=3, seconds=2)
# In the order in which they are measured.
GROUPS: dict[str, Callable[[sites.Sites, Pace], Group]] = {
    "requests": Requests,
    "clicks": Clicks,
    "pushes": Pushes,
    "ticks": Ticks,
    "memory": Memory,
    "comeback": Comeback,
    "hashing": Hashing,
    "deliveries": Deliveries,
    "queues": Queues,
    "growth": Growth,
    "servers": Servers,
    "starts": Starts,
}


def say(text: str) -> None:
    """Write a line at once, also into a pipe."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def main() -> int:
    """Measure, print and write. Returns 2 when there is no wrk."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="short rounds")
    parser.add_argument("--only", action="append", choices=GROUPS, metavar="NAME", help=", ".join(GROUPS))
    options = parser.parse_args()
    pace = QUICK if options.quick else FULL
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
        running = sites.Sites(folder, ends, say)
        figures: list[Figure] = []
        for name in options.only or GROUPS:
            for measure in GROUPS[name](running, pace).measures():
                say((measure.__doc__ or "").splitlines()[0])
                figures += measure()
    say(f"\n{report.table(figures)}\n")
    report.write(figures, pace, load)
    say(f"Reports: {sites.OUT}")
    return 0


def _ended(_number: int, _frame: object) -> None:
    raise SystemExit("ended by SIGTERM")
