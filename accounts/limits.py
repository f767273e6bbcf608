"""What one may ask for: limits for a number, a range of numbers, an address, a browser, and the whole site.

They are counted in Redis, in the same script that shuts the gate. The rows are the truth behind them: an emptied Redis
is filled from the table, so that a restart forgets no limit. A request that is accepted and then not sent, because
nobody may have an account for its number, counts like any other.
"""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from django.conf import settings
from django.db.models import Count, Max, Min
from django.db.models.functions import Now

from project import keys
from tasks import delivery, gate, pumping
from tasks.models import Delivery

if TYPE_CHECKING:
    from redis import Redis

logger = logging.getLogger(__name__)

HOUR = 3600
DAY = 86400
# Says that the counters are complete. An emptied Redis has lost it, and they are counted anew from the rows.
# So they are after a change of SECRET_KEY, which gives every counter another name: the mark is named by the key too.
WARM = f"limits:warm:{keys.hashed('limits', '')[:8]}"


@dataclass(frozen=True, slots=True)
class Counter:
    """One limit that a request counts on."""

    # Its name in the log.
    name: str
    key: str
    most: int
    # Seconds from its first request to a new beginning.
    life: int
    # From so many on, a visitor is asked to prove to be no robot. A number's own limits are too small for that.
    near: int


def counters(*, mobile: str, address: str, browser: str) -> list[Counter]:
    """Return every counter of a request. `mobile` is E.164, the others keyed hashes."""
    number = keys.hashed("mobile", mobile)
    none = 2**31
    return [
        Counter("number, hour", f"sent:hour:{number}", settings.SMS_PER_HOUR, HOUR, none),
        Counter("number, day", f"sent:day:{number}", settings.SMS_PER_DAY, DAY, none),
        _hourly("address", address, settings.SMS_PER_IP_HOUR),
        _hourly("browser", browser, settings.SMS_PER_SESSION_HOUR),
        _hourly("prefix", keys.hashed("prefix", mobile[: -pumping.DIGITS]), settings.SMS_PER_PREFIX_HOUR),
        _hourly("all", "", settings.SMS_BUDGET_HOUR),
    ]


def _hourly(name: str, whose: str, most: int) -> Counter:
    return Counter(f"{name}, hour", f"sent:{name}:{whose}", most, HOUR, math.ceil(most / 2))


def count_anew(client: Redis) -> None:
    """Fill counters and gates of an emptied Redis from the rows, so that a restart forgets no limit and no cooldown."""
    # By key: how many, and in how many seconds the first of them no longer counts.
    found: dict[str, tuple[int, int]] = {}
    for life in (DAY, HOUR):
        rows = Delivery.objects.filter(created_at__gt=delivery.ago(timedelta(seconds=life)))
        for entry in rows.values("mobile", "address", "browser").annotate(
            n=Count("pk"), first=Min("created_at"), now=Max(Now())
        ):
            left = max(1, life - int((entry["now"] - entry["first"]).total_seconds()))
            for counter in counters(mobile=entry["mobile"], address=entry["address"], browser=entry["browser"]):
                if counter.life == life:
                    n, sooner = found.get(counter.key, (0, left))
                    found[counter.key] = (n + entry["n"], min(sooner, left))
    running = Delivery.objects.filter(
        created_at__gt=delivery.ago(timedelta(seconds=HOUR)), resend_at__gt=Now()
    ).annotate(now=Now())
    # All or none: the mark never stands without the counters. NX: another process may be counting on already.
    with client.pipeline() as pipe:
        for row in running.order_by("-created_at"):
            left_ms = (row.resend_at - row.now) // timedelta(milliseconds=1) + 1
            pipe.set(gate.key(row.mobile), row.pk, px=left_ms, nx=True)
        for key, (n, left) in found.items():
            pipe.set(key, n, ex=left, nx=True)
        pipe.set(WARM, 1)
        pipe.execute()
    logger.warning("redis was empty: %d limits were counted anew from the table", len(found))
