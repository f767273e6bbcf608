"""All that was seen of one run, from outside and in the tables. The checker reads this and nothing else."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

# Every time is Unix time in seconds, by the one clock of the machine.


@dataclass(frozen=True, slots=True)
class Accepted:
    """One answer 202. The creation of its row follows from `expires_at` in the answer."""

    at: float
    mobile: str
    created_at: float


@dataclass(frozen=True, slots=True)
class Row:
    """A delivery as the table has it in the end."""

    id: str
    mobile: str
    browser: str
    state: str
    attempts: int
    possibly_duplicated: bool
    created_at: float
    resend_at: float
    used: bool = False
    guesses: int = 0
    # When it was first seen in a state that is final.
    ended_at: float | None = None


@dataclass(frozen=True, slots=True)
class Try:
    """An attempt as the table has it in the end."""

    id: str
    delivery: str
    n: int
    gateway: str
    outcome: str
    started_at: float
    provider_id: str = ""


@dataclass(frozen=True, slots=True)
class Arrived:
    """One message on one handset, from the provider's ledger."""

    at: float
    to: str
    code: str = field(repr=False)
    # Our delivery's id, as the provider was given it.
    reference: str
    gateway: str
    provider_id: str = ""


@dataclass(frozen=True, slots=True)
class Heard:
    """One request that a provider has read, whatever it made of it."""

    at: float
    reference: str
    gateway: str


@dataclass(frozen=True, slots=True)
class Guess:
    """One code that was typed, and the answer; `word` is empty when none came."""

    began: float
    ended: float
    mobile: str
    browser: str
    code: str = field(repr=False)
    word: str
    tries_left: int | None
    # The creation of the row that this browser last had a 202 for.
    created_at: float


@dataclass(frozen=True, slots=True)
class Tab:
    """One open page after the healing: how long it once differed from the table without a break."""

    name: str
    behind: float
    shown: tuple[str, int]
    table: tuple[str, int]


@dataclass(frozen=True, slots=True)
class Leak:
    """A secret where none may be. The secret itself is not told again."""

    what: str
    where: str


@dataclass(slots=True)
class Record:
    """One run."""

    seed: int
    # Seconds, as the site was configured.
    cooldown: float
    # Seconds from the later of acceptance and healing within which a delivery must be over.
    patience: float
    # Of the gateways in use, those that know a repeat by its reference.
    idempotent: frozenset[str] = frozenset()
    # False for a sender that has no tables to look into.
    keeps_rows: bool = True
    healed_at: float = 0.0
    ended_at: float = 0.0
    asked: int = 0
    answers: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    modes: Counter[str] = field(default_factory=Counter)
    accepted: list[Accepted] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    tries: list[Try] = field(default_factory=list)
    arrived: list[Arrived] = field(default_factory=list)
    heard: list[Heard] = field(default_factory=list)
    guesses: list[Guess] = field(default_factory=list)
    tabs: list[Tab] = field(default_factory=list)
    leaks: list[Leak] = field(default_factory=list)
