"""A delivery from accepted to resolved. Every step is a conditional UPDATE: one player wins, the others stop.

A notification of the queue may be lost, repeated, late or forged. A worker that gets one reads the row, and claims it
or does nothing.

    accept, withdraw   the row of an accepted request, and its withdrawal
    claiming           the right to make one attempt
    recording          the end of an attempt
    transitions        the states, and which answer leads to which
    recovery           lost notifications, dead workers, late deliveries
    queries            the newest delivery of a browser, guesses at its code
    delivery_times     how long a message usually takes
    events             the events for the open pages
"""

from __future__ import annotations

from tasks.clock import ago, ahead
from tasks.delivery.claiming import LEASE, Claim, NotWritten, claim
from tasks.delivery.events import ACCEPTED, CHANGED, group
from tasks.delivery.queries import HOUR, count_guess, count_repeat, latest, mark_used, move
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
    "count_repeat",
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
