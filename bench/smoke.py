"""`make bench-smoke`: is anything much slower than it was? Ratios and counts only, never times; a minute or so.

A figure holds when it is at 70 % of its target. One that does not is measured again, twice at most and in longer
rounds, because a machine that does something else for a second spoils a short one. The exit code is 1 when it still
does not.
"""

from __future__ import annotations

import shutil
import signal
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING, Protocol

# It decides what the environment of this process is.
import tests.support.environment  # noqa: F401
from bench import client, databases, report, sites
from bench.deliveries import Deliveries
from bench.figures import Pace, Requests
from bench.hashing import Hashing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bench.figures import Figure


class Paced(Protocol):
    """A group of figures, as far as it is used here."""

    pace: Pace


SHARE = 0.7
SHORT, AGAIN = Pace(rounds=3, seconds=1), Pace(rounds=5, seconds=3)
# Of the delivery figures the one that a machine with two cores holds while it does other things.
THREADS = (4,)
# Figures that are not at 70 % of their target, by how their names begin: what they hold instead, and why. Whoever makes
# one better makes its number better, or takes it out. docs/performance.md has the profiles.
NOT_YET: dict[str, tuple[float, str]] = {
    "POST /code/ accepted, requests/s, against the tutorial view": (
        1.1,
        "a row that survives a power cut, CSP, limits",
    ),
    "POST /code/ accepted, requests/s, against allauth": (2.2, "the same"),
    "GET /login/ for a new visitor": (0.26, "rendered for each visitor: no page is kept in production only"),
}


def main() -> int:
    """Measure and compare with the floors. Returns 1 when a figure does not hold, 2 when there is no wrk."""
    try:
        client.program()
    except client.Missing as missing:
        sys.stdout.write(f"{missing}\n")
        return 2
    signal.signal(signal.SIGTERM, _ended)
    folder = sites.OUT / "smoke"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    with ExitStack() as ends:
        running = sites.Sites(folder, ends, _say)
        figures = [figure for group, measure in _measures(running) for figure in _held(group, measure)]
    _say(report.table(figures))
    failed = [figure for figure in figures if not holds(figure)]
    for figure in failed:
        bound, why = floor(figure)
        _say(f"DOES NOT HOLD: {figure.name} is {figure.median:.3g}, {figure.bound} {bound:.3g} is held{why}")
    return 1 if failed else 0


def floor(figure: Figure) -> tuple[float, str]:
    """Return what a figure must hold, and, where this is not 70 % of its target, why not."""
    for name, (value, why) in NOT_YET.items():
        if figure.name.startswith(name):
            return value, f" ({why})"
    return (figure.target * SHARE if figure.bound == "at least" else figure.target / SHARE), ""


def holds(figure: Figure) -> bool:
    """Tell whether a figure is as good as it must be. Of times nothing is said: they are the machine's."""
    if figure.unit not in {"×", ""}:
        return True
    bound, _why = floor(figure)
    return figure.median >= bound if figure.bound == "at least" else figure.median <= bound


def _measures(running: sites.Sites) -> Iterator[tuple[Paced, str]]:
    """Return the figures that are looked at: whose they are, and what they are called there."""
    requests = Requests(running, SHORT)
    for name in ("accepted", "counted", "refused", "page"):
        yield requests, name
    yield Hashing(running, SHORT), "beside"
    if databases.has_postgresql():
        yield Deliveries(running, SHORT, threads=THREADS), "on_postgresql"


def _held(group: Paced, name: str) -> list[Figure]:
    """Measure, and again, for longer, if it does not hold. Raises client.Spoiled when it cannot be measured at all."""
    measure: Callable[[], list[Figure]] = getattr(group, name)
    _say((measure.__doc__ or "").splitlines()[0])
    for pace in (SHORT, AGAIN):
        group.pace = pace
        try:
            figures = measure()
        except client.Spoiled as problem:
            _say(f"  once more: {problem}")
            continue
        # What is counted is the same the next time.
        if all(holds(figure) or not figure.unit for figure in figures):
            return figures
        _say("  once more: " + ", ".join(f"{figure.median:.3g}{figure.unit}" for figure in figures))
    return measure()


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _ended(_number: int, _frame: object) -> None:
    raise SystemExit("ended by SIGTERM")


if __name__ == "__main__":
    sys.exit(main())
