"""How long a message usually takes from the provider to the handset, by the providers' delivery reports.

Without enough reports there is no figure, and the page shows none. Decoys are left out, as they only repeat real
deliveries; pages of decoys show the same figure as all others.
"""

from __future__ import annotations

import time
from datetime import timedelta
from statistics import median

from tasks.clock import ago
from tasks.models import Delivery

# Of the last real deliveries of a day, those with a report count. Two bounds, as many decoys may lie in between.
LATEST = 200
DAY = timedelta(days=1)
# Fewer reports give no figure.
ENOUGH = 10
# How long a process keeps its figures, so that a page does not query them each time.
READ_EVERY_SECONDS = 30.0
# A message is late after three times the usual time, but at least five seconds more: a fast provider varies that much.
LATE_FACTOR = 3
LATE_AT_LEAST_SECONDS = 5.0

_figures: dict[str, float] = {}
_until = 0.0


def seconds(gateway: str) -> float | None:
    """Return the usual seconds from sent to delivered by a gateway, None without enough reports."""
    global _figures, _until
    now = time.monotonic()
    if now >= _until:
        # Before reading, so that other threads use the old figures meanwhile.
        _until = now + READ_EVERY_SECONDS
        _figures = _read()
    return _figures.get(gateway)


def too_long(usual: float) -> float:
    """Return after how many seconds a message is late."""
    return max(usual * LATE_FACTOR, usual + LATE_AT_LEAST_SECONDS)


def _read() -> dict[str, float]:
    """Return the median seconds of each gateway that has enough reports."""
    newest = Delivery.objects.filter(decoy=False, created_at__gt=ago(DAY)).order_by("-created_at")
    took: dict[str, list[float]] = {}
    for gateway, sent, delivered in newest.values_list("gateway", "sent_at", "delivered_at")[:LATEST]:
        if sent and delivered:
            # A report can overtake the answer to the send.
            took.setdefault(gateway, []).append(max(0.0, (delivered - sent).total_seconds()))
    return {gateway: median(each) for gateway, each in took.items() if len(each) >= ENOUGH}
