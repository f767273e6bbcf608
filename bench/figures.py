"""The figures, each with its target. A ratio is of two roads in the same round; what is kept is every round's."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

from bench import counts
from bench.client import Load, Road, Spoiled, drive

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from bench.sites import Sites

HTMX = {"HX-Request": "true", "Accept": "*/*"}
PAGE = {"Accept": "text/html", "Accept-Language": "en"}
# The share of accepted requests whose task must be found in the queue.
LEAST_ENQUEUED = 0.8


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table."""

    name: str
    target: float
    bound: Literal["at least", "at most"]
    # One value a round.
    values: list[float]
    unit: str = "×"
    # What the values were made of, for the reader of the JSON.
    details: Mapping[str, Any] = field(default_factory=dict)

    @property
    def median(self) -> float:
        """The middle round."""
        return statistics.median(self.values)

    @property
    def reached(self) -> bool:
        """Tell whether the middle round is as good as the target."""
        return self.median >= self.target if self.bound == "at least" else self.median <= self.target


@dataclass(frozen=True, slots=True)
class Pace:
    """How long to measure."""

    rounds: int
    seconds: int


class Group(Protocol):
    """Figures that belong together: `--only` runs a group by itself."""

    def measures(self) -> Sequence[Callable[[], list[Figure]]]:
        """Return what to measure. Each says in its docstring's first line what it is, and is told before it begins."""
        ...


def contest(roads: Mapping[str, Road], pace: Pace, *, resting: bool, connections: int = 32) -> dict[str, list[Load]]:
    """Drive each road once a round, in one order and the next time in the other, and return what each round came to.

    `resting` says that the workers stand still meanwhile. A first round only warms up. Raises Spoiled, also when a site
    only said that it would send something.
    """
    found: dict[str, list[Load]] = {name: [] for name in roads}
    for n in range(-1, pace.rounds):
        for name in list(roads) if n % 2 else reversed(list(roads)):
            with roads[name].site.resting(really=resting):
                load = drive(roads[name], seconds=pace.seconds if n >= 0 else 1, connections=connections)
                # Those that a worker had taken before it stood still are not there.
                if resting and roads[name].enqueues and roads[name].site.waiting < load.answers * LEAST_ENQUEUED:
                    raise Spoiled(f"{name}: {load.answers} accepted, {roads[name].site.waiting} in the queue")
            if n >= 0:
                found[name].append(load)
    return found


def _ratio(
    name: str, target: float, found: Mapping[str, list[Load]], ours: str, theirs: str, *, of: str = "per_second"
) -> Figure:
    pairs = [(getattr(one, of), getattr(other, of)) for one, other in zip(found[ours], found[theirs], strict=True)]
    return Figure(
        name,
        target,
        "at least" if of == "per_second" else "at most",
        [one / other for one, other in pairs],
        details={"of": of, ours: [one for one, _ in pairs], theirs: [other for _, other in pairs]},
    )


class Requests:
    """What HTTP costs, beside the peers."""

    def __init__(self, sites: Sites, pace: Pace) -> None:
        """Take what runs, and lay the roads."""
        self.sites, self.pace = sites, pace
        form = "mobile=138%08d"
        self.roads = {"latchkey": Road(sites.latchkey, "/code/", 202, form, "/login/", HTMX, enqueues=True)}
        if sites.tutorial:
            self.roads["tutorial"] = Road(sites.tutorial, "/code/", 202, form, "/login/", HTMX, enqueues=True)
        if sites.allauth:
            # Each time a visitor's first request: who has one open is sent to its page, and nothing is done.
            path = "/accounts/login/code/"
            self.roads["allauth"] = Road(sites.allauth, path, 302, "phone=%%2B86138%08d", path, PAGE, enqueues=True)

    def measures(self) -> Sequence[Callable[[], list[Figure]]]:
        """Return everything, in order."""
        return (self.accepted, self.at_work, self.counted, self.refused, self.page, self.lone)

    def accepted(self) -> list[Figure]:
        """POST /code/ accepted, daphne by itself: the workers stand still."""
        found = contest(self.roads, self.pace, resting=True)
        return self._against_peers("POST /code/ accepted, requests/s", found)

    def at_work(self) -> list[Figure]:
        """POST /code/ accepted, with each site's worker on the same cores."""
        found = contest(self.roads, self.pace, resting=False)
        return self._against_peers("the same, worker at work", found)

    def _against_peers(self, name: str, found: Mapping[str, list[Load]]) -> list[Figure]:
        targets = {"tutorial": ("the tutorial view", 1.8), "allauth": ("allauth", 4.0)}
        return [
            _ratio(f"{name}, against {called}", target, found, "latchkey", peer)
            for peer, (called, target) in targets.items()
            if peer in found
        ]

    def counted(self) -> list[Figure]:
        """What an accepted POST /code/ asks of Redis and the database."""
        commands, statements = counts.of_redis(self.sites.latchkey), counts.of_database(self.sites.latchkey)
        return [
            Figure("round trips to Redis of an accepted POST /code/", 1, "at most", [len(commands)], "",
                   {"commands": commands}),
            Figure("SQL statements of it, besides the session's read", 2, "at most", [len(statements)], "",
                   {"statements": statements}),
        ]  # fmt: skip

    def refused(self) -> list[Figure]:
        """POST /code/ inside the cooldown, against an accepted one."""
        accepted = self.roads["latchkey"]
        # The smoke test may come here again before it is over.
        if self.sites.latchkey.stack.person().ask("13500000000").status_code not in {202, 429}:
            raise Spoiled("the cooldown does not run")
        refused = Road(self.sites.latchkey, "/code/", 429, "mobile=135%08d", "/login/", HTMX, step=0)
        found = contest({"refused": refused, "accepted": accepted}, self.pace, resting=True)
        return [_ratio("POST /code/ inside the cooldown, against an accepted one", 1.0, found, "refused", "accepted")]

    def page(self) -> list[Figure]:
        """GET /login/ for a new visitor, against Django's template view."""
        ours = Road(self.sites.latchkey, "/login/", 200, headers=PAGE)
        bare = Road(self.sites.bare, "/login/", 200, headers=PAGE)
        found = contest({"latchkey": ours, "bare": bare}, self.pace, resting=True)
        return [_ratio("GET /login/ for a new visitor, against a bare template view", 0.8, found, "latchkey", "bare")]

    def lone(self) -> list[Figure]:
        """POST /code/ of one visitor at a time, against allauth's."""
        roads = {name: self.roads[name] for name in ("latchkey", "allauth") if name in self.roads}
        if "allauth" not in roads:
            return []
        # One connection makes few requests, and one in a hundred of them is asked for.
        pace = Pace(self.pace.rounds, self.pace.seconds * 2)
        found = contest(roads, pace, resting=True, connections=1)
        return [
            _ratio("POST /code/ of a lone visitor, p50, against allauth", 0.5, found, "latchkey", "allauth", of="p50"),
            _ratio("POST /code/ of a lone visitor, p99, against allauth", 0.25, found, "latchkey", "allauth", of="p99"),
        ]
