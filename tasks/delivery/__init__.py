"""A delivery's way from accepted to resolved. Every step is a conditional UPDATE: one player wins, the others stop.

The queue's notification may be lost, doubled, late or forged: whoever comes looks at the row and claims it, or leaves.

    accept, withdraw   how the row comes to be, and how its visitor takes it back
    claiming           the right to make one attempt
    recording          how an attempt ended
    transitions        which answer leads to which state
    recovery           what the sweeper looks for
    queries            what the web asks; delivery_times, how long a message usually takes
"""

from __future__ import annotations

from tasks.clock import ago, ahead
from tasks.delivery.claiming import LEASE, Claim, NotWritten, claim
from tasks.delivery.events import ACCEPTED, CHANGED, group
from tasks.delivery.queries import HOUR, count_guess, latest, mark_used, move
from tasks.delivery.recording import give_up, record, reported, why
from tasks.delivery.transitions import MAX_ATTEMPTS, RETRY_DELAY, UNFINISHED, code_life, stopped, useful_life

__all__ = [
    "ACCEPTED",
    "CHANGED",
    "HOUR",
    "LEASE",
    "MAX_ATTEMPTS",
    "RETRY_DELAY",
    "UNFINISHED",
    "Claim",
    "NotWritten",
    "ago",
    "ahead",
    "claim",
    "code_life",
    "count_guess",
    "give_up",
    "group",
    "latest",
    "mark_used",
    "move",
    "record",
    "reported",
    "stopped",
    "useful_life",
    "why",
]
