"""The offline checker: from the record of a run it says which promise was broken, one line each.

I1  what was accepted has a row, and the row comes to an end in time
I2  every message on a handset, and every request to a provider, has an attempt's row of its own, written before it
I3  more than one message for a delivery: the row says so
I4  failed, expired, superseded: no message
I5  sent, delivered: a message
I6  a number has one delivery in a cooldown
I7  a code works once, and is guessed at five times at most
I8  who came in had a message with that code, asked for in that browser
I9  an open page equals the table within ten seconds
I10 no secret in a log, in Redis or in the queue
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from tests.tools.chaos.record import Arrived, Heard, Record, Row, Try

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

FINAL = frozenset({"sent", "delivered", "failed", "unknown", "expired", "superseded"})
NOTHING_LEFT = frozenset({"failed", "expired", "superseded"})
LEFT = frozenset({"sent", "delivered"})
# Seconds that an open page may differ from the table.
BEHIND = 10.0
# The browser of a session that was gone before anybody could look whose it was.
UNKNOWN = ""
# Guesses at one code.
TRIES = 5
# The provider's clock and the database's are one, but SQLite's has milliseconds only.
INEXACT = 0.01
# Of two requests for a number, Redis decides at one moment and the row is written at another.
GATE_TO_ROW = 0.25


@dataclass(frozen=True, slots=True)
class Violation:
    """One broken promise."""

    seed: int
    invariant: str
    kind: str
    text: str

    def __str__(self) -> str:
        """Say it in one line."""
        return f"seed {self.seed} {self.invariant} {self.kind}: {self.text}"


@dataclass(frozen=True, slots=True)
class Figures:
    """What one run comes to, for the table."""

    seed: int
    asked: int
    accepted: int
    rows: int
    messages: int
    lost: int
    silent_duplicates: int
    flagged_duplicates: int
    without_attempt: int
    states: dict[str, int]
    guesses: int
    signed_in: int
    pages: int
    slowest_page: float
    slowest_end: float
    kills: int
    faults: dict[str, int]
    modes: dict[str, int]
    violations: int


def check(record: Record) -> list[Violation]:
    """Return every broken promise of a run; an empty list is what everybody wants."""
    checks = (_ends, _written, _duplicates, _truth, _cooldown, _guesses, _pages, _secrets)
    return [Violation(record.seed, invariant, kind, text) for each in checks for invariant, kind, text in each(record)]


Finding = tuple[str, str, str]


def _ends(record: Record) -> Iterator[Finding]:
    """I1. A request without an answer is checked too: its row promises as much."""
    arrived = {message.reference for message in record.arrived}
    numbers = {message.to for message in record.arrived}
    for accepted in record.accepted:
        if _row_of(record, accepted.mobile, accepted.created_at):
            continue
        if record.keeps_rows or accepted.mobile not in numbers:
            yield "I1", "lost", f"{_masked(accepted.mobile)}, accepted at {accepted.at:.3f}, has no row"
    for row in record.rows:
        due = max(row.created_at, record.healed_at) + record.patience
        if row.state not in FINAL:
            got = "its message arrived" if row.id in arrived else "nothing arrived"
            yield "I1", "lost", f"delivery {_short(row.id)} is still {row.state} at the end; {got}"
        elif row.ended_at is not None and row.ended_at > due:
            yield "I1", "late", f"delivery {_short(row.id)} became {row.state} {row.ended_at - due:.1f} s too late"


def _written(record: Record) -> Iterator[Finding]:
    """I2."""
    tries: dict[tuple[str, str], list[Try]] = defaultdict(list)
    seen: set[tuple[str, int]] = set()
    for each in record.tries:
        tries[each.delivery, each.gateway].append(each)
        if (each.delivery, each.n) in seen:
            yield "I2", "twice", f"delivery {_short(each.delivery)} has attempt {each.n} twice"
        seen.add((each.delivery, each.n))
    yield from _covered("message", record.arrived, tries)
    yield from _covered("request", record.heard, tries)
    of_provider = {(message.gateway, message.provider_id) for message in record.arrived if message.provider_id}
    for each in record.tries:
        if each.outcome == "accepted" and each.provider_id and (each.gateway, each.provider_id) not in of_provider:
            yield "I2", "invented", f"attempt {_short(each.id)} is accepted, and the provider knows nothing of it"


def _covered(
    what: str, events: Sequence[Arrived] | Sequence[Heard], tries: dict[tuple[str, str], list[Try]]
) -> Iterator[Finding]:
    """Find events without an attempt of their own: the nth needs n attempts that began before it."""
    by_delivery: dict[tuple[str, str], list[float]] = defaultdict(list)
    for event in events:
        by_delivery[event.reference, event.gateway].append(event.at)
    for (reference, gateway), times in by_delivery.items():
        began = sorted(each.started_at for each in tries.get((reference, gateway), []))
        for n, at in enumerate(sorted(times)):
            if n >= len(began) or began[n] > at + INEXACT:
                yield "I2", f"{what} without an attempt", f"number {n + 1} of delivery {_short(reference)} by {gateway}"


def _duplicates(record: Record) -> Iterator[Finding]:
    """I3."""
    rows = {row.id: row for row in record.rows}
    for reference, messages in _by_reference(record).items():
        row = rows.get(reference)
        if len(messages) > 1 and not (row and row.possibly_duplicated):
            yield "I3", "silent duplicate", f"delivery {_short(reference)}: {len(messages)} messages, and no flag"
        if len({message.code for message in messages}) > 1:
            yield "I3", "two codes", f"delivery {_short(reference)} went out with different codes"
        if row is None and record.keeps_rows:
            yield "I2", "message without a row", f"delivery {_short(reference)}"


def _truth(record: Record) -> Iterator[Finding]:
    """I4 and I5."""
    messages = _by_reference(record)
    for row in record.rows:
        count = len(messages.get(row.id, []))
        if row.state in NOTHING_LEFT and count:
            yield "I4", "untrue", f"delivery {_short(row.id)} is {row.state}, but {count} messages arrived"
        if row.state in LEFT and not count:
            yield "I5", "untrue", f"delivery {_short(row.id)} is {row.state}, but nothing arrived"


def _cooldown(record: Record) -> Iterator[Finding]:
    """I6. A definite failure gives the rest of the cooldown back, which `resend_at` says."""
    by_number: dict[str, list[Row]] = defaultdict(list)
    for row in sorted(record.rows, key=lambda row: row.created_at):
        by_number[row.mobile].append(row)
    for rows in by_number.values():
        for first, second in pairwise(rows):
            free = min(first.created_at + record.cooldown, first.resend_at)
            if second.created_at < free - GATE_TO_ROW:
                after = f"{second.created_at - first.created_at:.3f} s after {_short(first.id)} ({first.state})"
                yield "I6", "too soon", f"delivery {_short(second.id)} came {after} for the same number"


def _guesses(record: Record) -> Iterator[Finding]:
    """I7 and I8."""
    counted: dict[tuple[str, float], int] = defaultdict(int)
    successes: dict[tuple[str, str], int] = defaultdict(int)
    for guess in record.guesses:
        if guess.word == "OK" or (guess.word == "SMS_CODE_WRONG" and guess.tries_left is not None):
            counted[guess.mobile, round(guess.created_at, 2)] += 1
        if guess.word != "OK":
            continue
        successes[guess.mobile, guess.code] += 1
        mine = [message for message in record.arrived if message.to == guess.mobile and message.code == guess.code]
        references = {message.reference for message in mine}
        asked = [row for row in record.rows if row.id in references and guess.browser in {row.browser, UNKNOWN}]
        who = f"{_masked(guess.mobile)} at {guess.began:.3f}"
        if not any(message.at <= guess.ended for message in mine):
            yield "I8", "from nowhere", f"{who} came in with a code that no message had"
        elif not asked:
            yield "I8", "not theirs", f"{who} came in with a code of another browser"
        elif all(row.state in NOTHING_LEFT for row in asked):
            yield "I8", "untrue", f"{who} came in, but delivery {_short(asked[0].id)} is {asked[0].state}"
    for (mobile, created_at), count in counted.items():
        if count > TRIES:
            yield "I7", "guessed", f"{count} guesses at the code of {_masked(mobile)} of {created_at:.2f} were counted"
    for (mobile, _code), count in successes.items():
        if count > 1:
            yield "I7", "used twice", f"one code of {_masked(mobile)} let in {count} times"


def _pages(record: Record) -> Iterator[Finding]:
    """I9."""
    for tab in record.tabs:
        if tab.behind > BEHIND:
            yield (
                "I9",
                "stale",
                f"{tab.name} differed from the table for {tab.behind:.1f} s: shown {tab.shown}, table {tab.table}",
            )


def _secrets(record: Record) -> Iterator[Finding]:
    """I10."""
    for leak in record.leaks:
        yield "I10", "leak", f"{leak.what} in {leak.where}"


def figures(record: Record, violations: Sequence[Violation]) -> Figures:
    """Count a run."""
    states: dict[str, int] = defaultdict(int)
    for row in record.rows:
        states[row.state] += 1
    several = {reference for reference, messages in _by_reference(record).items() if len(messages) > 1}
    flagged = {row.id for row in record.rows if row.possibly_duplicated}
    kinds = [violation.kind for violation in violations]
    return Figures(
        seed=record.seed,
        asked=record.asked,
        accepted=len(record.accepted),
        rows=len(record.rows),
        messages=len(record.arrived),
        lost=kinds.count("lost"),
        silent_duplicates=kinds.count("silent duplicate"),
        flagged_duplicates=len(several & flagged),
        without_attempt=kinds.count("message without an attempt") + kinds.count("message without a row"),
        states=dict(sorted(states.items())),
        guesses=len(record.guesses),
        signed_in=sum(guess.word == "OK" for guess in record.guesses),
        pages=len(record.tabs),
        slowest_page=round(max((tab.behind for tab in record.tabs), default=0.0), 1),
        slowest_end=round(
            max(
                (row.ended_at - max(row.created_at, record.healed_at) for row in record.rows if row.ended_at),
                default=0.0,
            ),
            1,
        ),
        kills=sum(count for name, count in record.faults.items() if "killed" in name or "emptied" in name),
        faults=dict(sorted(record.faults.items())),
        modes=dict(sorted(record.modes.items())),
        violations=len(violations),
    )


def _by_reference(record: Record) -> dict[str, list[Arrived]]:
    found: dict[str, list[Arrived]] = defaultdict(list)
    for message in record.arrived:
        found[message.reference].append(message)
    return found


def _row_of(record: Record, mobile: str, created_at: float) -> Row | None:
    """Return the delivery of a number that was made at that moment."""
    mine = (row for row in record.rows if row.mobile == mobile and abs(row.created_at - created_at) < INEXACT)
    return next(mine, None)


def _short(identifier: str) -> str:
    return identifier[:8]


def _masked(mobile: str) -> str:
    """Return a number as it may be told: the numbers are ours, but the lines end up in logs."""
    return f"*{mobile[-4:]}"
