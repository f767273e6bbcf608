"""How long a message usually takes here from the carrier to the handset, as the carriers' own reports tell it.

Without enough reports there is no figure: a page says nothing rather than guess. Decoys are left out, for they only
repeat what real ones did; but whether the row that a page shows is one is not asked, so every page says the same.
"""

from __future__ import annotations

import time
from datetime import timedelta
from statistics import median

from tasks.clock import ago
from tasks.models import Delivery

# What counts: of the last real ones, not older than a day, those that were reported. Two bounds, as decoys lie between.
LATEST = 200
DAY = timedelta(days=1)
# Fewer are no habit.
ENOUGH = 10
# Seconds that a process keeps its figures, so that pages do not ask the database for each look.
MEMORY = 30.0
# Notably longer than usual: so many times, and at least so many seconds. The first is for a slow carrier, whose own
# times differ by seconds; the second for a fast one, where three times is a blink.
TIMES = 3
AT_LEAST = 5.0

_figures: dict[str, float] = {}
_until = 0.0


def seconds(gateway: str) -> float | None:
    """Return the usual seconds from sent to delivered by a gateway, None when nobody knows."""
    global _figures, _until
    now = time.monotonic()
    if now >= _until:
        # First, so that the other threads keep to the old figures meanwhile.
        _until = now + MEMORY
        _figures = _read()
    return _figures.get(gateway)


def too_long(usual: float) -> float:
    """Return after how many seconds a message is notably late."""
    return max(usual * TIMES, usual + AT_LEAST)


def _read() -> dict[str, float]:
    """Return the median of each gateway that has enough reports."""
    newest = Delivery.objects.filter(decoy=False, created_at__gt=ago(DAY)).order_by("-created_at")
    took: dict[str, list[float]] = {}
    for gateway, sent, delivered in newest.values_list("gateway", "sent_at", "delivered_at")[:LATEST]:
        if sent and delivered:
            # A report can overtake the answer to the send.
            took.setdefault(gateway, []).append(max(0.0, (delivered - sent).total_seconds()))
    return {gateway: median(each) for gateway, each in took.items() if len(each) >= ENOUGH}
