"""`make profile`: where the time goes on the three hottest roads, as py-spy sees it from outside.

    python -m bench.profile              all three, a minute
    python -m bench.profile delivery     one: code, page or delivery

Of each, var/bench/profile-NAME.svg is the flame graph and profile-NAME.txt the functions by their own time. py-spy
looks at a process as a debugger does: on a Mac, and where Linux forbids it (kernel.yama.ptrace_scope), it needs root.
"""

from __future__ import annotations

import argparse
import contextlib
import shutil
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import ExitStack
from typing import TYPE_CHECKING

# It decides what the environment of this process is.
import tests.support.environment  # noqa: F401
from bench import client, sites
from bench.client import Road, drive
from bench.deliveries import Deliveries, Worker
from bench.figures import HTMX, PAGE, Pace

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.stack import Part

SECONDS = 10
# Samples a second. An odd number, so as not to beat in time with anything.
RATE = 199
# Functions in the text.
LINES = 40
THREADS = 16


def main() -> int:
    """Profile what the command line says. Returns 2 when wrk or py-spy is missing."""
    roads = {"code": code, "page": page, "delivery": delivery}
    parser = argparse.ArgumentParser(prog="python -m bench.profile", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("what", nargs="*", choices=[*roads, []], help="default: all")
    wanted = parser.parse_args().what or list(roads)
    folder = sites.OUT / "profiled"
    shutil.rmtree(folder, ignore_errors=True)
    with ExitStack() as ends:
        running = sites.Sites(folder, ends, print)
        try:
            client.program()
            sites.install()
        except (client.Missing, sites.NotInstalled) as problem:
            print(problem)
            return 2
        for name in wanted:
            roads[name](running)
    print(f"Profiles: {sites.OUT}/profile-*")
    return 0


def code(running: sites.Sites) -> None:
    """An accepted code request, in daphne; the worker stands still."""
    site = running.latchkey
    road = Road(site, "/code/", 202, "mobile=132%08d", "/login/", HTMX)
    with site.resting():
        drive(road, seconds=1)
        with spied(site.stack.webs[0], "code"):
            drive(road, seconds=SECONDS)


def page(running: sites.Sites) -> None:
    """GET /login/ of a new visitor, in daphne."""
    road = Road(running.latchkey, "/login/", 200, headers=PAGE)
    drive(road, seconds=1)
    with spied(running.latchkey.stack.webs[0], "page"):
        drive(road, seconds=SECONDS)


def delivery(running: sites.Sites) -> None:
    """A delivery, in a worker with 16 threads, its provider taking 100 ms; on SQLite."""
    group = Deliveries(running, Pace(rounds=1, seconds=SECONDS + 2))
    with group.site("profiled-deliveries", {}) as (stack, filler):
        worker = Worker(stack, THREADS, filler)
        with worker.running():
            sending = threading.Thread(target=worker.round, args=(SECONDS + 2,))
            sending.start()
            # The queue is filled first.
            time.sleep(3)
            with spied(worker.part, "delivery"):
                time.sleep(SECONDS)
            sending.join()


@contextlib.contextmanager
def spied(part: Part, name: str) -> Iterator[None]:
    """Profile a process meanwhile: who holds the interpreter, which is what there is one of."""
    raw = sites.OUT / f"profile-{name}.raw"
    spy = [str(sites.VENV / "bin" / "py-spy"), "record", "--pid", str(part.pid), "--rate", str(RATE), "--gil"]
    formats = [("flamegraph", sites.OUT / f"profile-{name}.svg"), ("raw", raw)]
    spies = [
        subprocess.Popen(
            [*spy, "--duration", str(SECONDS - 1), "--format", form, "--output", str(path)],
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        )
        for form, path in formats
    ]  # fmt: skip
    yield
    for each in spies:
        _out, said = each.communicate()
        if each.returncode:
            print(said.strip())
            raise SystemExit(2)
    (sites.OUT / f"profile-{name}.txt").write_text(table(raw.read_text()))
    raw.unlink()
    print(f"--- {name}\n{(sites.OUT / f'profile-{name}.txt').read_text()}")


def table(raw: str) -> str:
    """Return the functions of a raw profile (`a;b;c 12` a line) by what they took, by themselves and with all below."""
    own: Counter[str] = Counter()
    whole: Counter[str] = Counter()
    total = 0
    for line in raw.splitlines():
        stack, _, count = line.rpartition(" ")
        frames = stack.split(";")
        total += int(count)
        own[frames[-1]] += int(count)
        for frame in set(frames):
            whole[frame] += int(count)
    rows = [f"{count / total:6.1%} {whole[frame] / total:6.1%}  {frame}" for frame, count in own.most_common(LINES)]
    below = [f"       {count / total:6.1%}  {frame}" for frame, count in whole.most_common(LINES)]
    return "\n".join(["   own  whole  by own time", *rows, "", "        whole  with all that it calls", *below, ""])


if __name__ == "__main__":
    sys.exit(main())
