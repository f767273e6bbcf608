"""What one may ask for: limits for a number, a range of numbers, an address, a browser, and the whole site.

Each is a window that slides, as the carriers' own do: a sorted set in Redis holds the ids of the requests that count
and when each came, and is looked at in the same script that shuts the gate. The rows are the truth behind them: an
emptied Redis is filled from the table, so that a restart forgets no limit. What was certainly not sent is taken out
again. A request that is accepted and then not sent, because nobody may have an account for its number, counts like any
other.

A browser that has signed in with the number before (`own`) is counted apart from everybody else, so that no stranger
can use up what its owner needs (OWASP, device cookies).
"""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from django.conf import settings
from django.db.models.functions import Now

from project import keys, redis
from tasks import cooldown
from tasks.clock import ago
from tasks.models import Delivery

if TYPE_CHECKING:
    from redis import Redis

logger = logging.getLogger(__name__)

HOUR_SECONDS = 3600
DAY_SECONDS = 86400
# A range is what carriers rent out: all numbers that differ in their last four digits only.
RANGE_DIGITS = 4
# Requests an hour from one address for each that may be sent. What is given back does not count against the others, so
# this is what ends a flood while the provider refuses everything.
REQUESTS_PER_SMS = 5
# The limit of what nobody limits.
NONE = 2**31
# Says that the counters are complete. An emptied Redis has lost it, and they are counted anew from the rows.
# So they are after a change of SECRET_KEY, which gives every counter another name: the mark is named by the key too.
WARM = redis.key("counted", "warm", keys.hashed("limits", "")[:8])


@dataclass(frozen=True, slots=True)
class Counter:
    """One limit that a request counts on."""

    # Its name in the log.
    name: str
    key: str
    most: int
    # How long a request counts.
    life_seconds: int
    # From so many on, a visitor is asked to prove to be no robot.
    near: int
    # Whether a request that was certainly not sent is taken out again.
    returns: bool = True


def counters(*, mobile: str, address: str, browser: str, own: bool) -> list[Counter]:
    """Return every counter of a request. `mobile` is E.164, `address` and `browser` are keyed hashes.

    `own` says that the browser has signed in with this number before.
    """
    who = "own" if own else "any"
    number = keys.hashed("mobile", mobile)
    number_range = keys.hashed("prefix", mobile[:-RANGE_DIGITS])
    budget = settings.SMS_BUDGET_HOUR
    most = budget if own else budget - settings.SMS_BUDGET_RESERVE
    # Strangers prove from the second request for one number on; its owner's browser has proved enough.
    second = NONE if own else 1
    return [
        Counter("number, hour", _key(who, "hour", number), settings.SMS_PER_HOUR, HOUR_SECONDS, second),
        Counter("number, day", _key(who, "day", number), settings.SMS_PER_DAY, DAY_SECONDS, NONE),
        _hourly("address", _key(who, "address", address), settings.SMS_PER_IP_HOUR),
        _hourly("browser", _key(who, "browser", browser), settings.SMS_PER_SESSION_HOUR),
        _hourly("prefix", _key(who, "prefix", number_range), settings.SMS_PER_PREFIX_HOUR),
        Counter("all, hour", _key("all"), most, HOUR_SECONDS, math.ceil(budget / 2)),
        Counter(
            "requests of the address, hour",
            _key(who, "requests", address),
            settings.SMS_PER_IP_HOUR * REQUESTS_PER_SMS,
            HOUR_SECONDS,
            NONE,
            returns=False,
        ),
    ]


def _key(*parts: str) -> str:
    return redis.key("counted", *parts)


def _hourly(name: str, key: str, most: int) -> Counter:
    return Counter(f"{name}, hour", key, most, HOUR_SECONDS, math.ceil(most / 2))


def of_row(row: Delivery) -> list[Counter]:
    """Return the counters of a request by its row."""
    return counters(mobile=row.mobile, address=row.address, browser=row.browser, own=row.own)


def give_back(row: Delivery) -> None:
    """Count a request no more that was certainly not sent. Never raises: it stops counting by itself, too.

    The row first: it is what an emptied Redis is filled from.
    """
    Delivery.objects.filter(pk=row.pk).update(counted=False)
    take_out(row.pk, [counter for counter in of_row(row) if counter.returns])


def forgive(mobile: str) -> int:
    """Count nothing of the last day for a number any more, open its gate, and return how many requests that were.

    An operator says so, or its owner has shown that it is theirs. Raises redis.Unavailable or django.db.Error.
    """
    rows = list(Delivery.objects.filter(mobile=mobile, counted=True, created_at__gt=ago(timedelta(days=1))))
    Delivery.objects.filter(pk__in=[row.pk for row in rows]).update(counted=False, resend_at=Now())
    redis.client().delete(cooldown.key(mobile))
    for row in rows:
        take_out(row.pk, of_row(row))
    return len(rows)


def take_out(delivery_id: str, of: list[Counter]) -> None:
    """Take a request out of some counters. Never raises."""
    try:
        with redis.client().pipeline(transaction=False) as pipe:
            for counter in of:
                pipe.zrem(counter.key, delivery_id)
            pipe.execute()
    except redis.Unavailable as error:
        logger.warning("delivery %s still counts: redis %s", delivery_id[:8], type(error).__name__)


def count_anew(client: Redis) -> None:
    """Fill counters and gates of an emptied Redis from the rows, so that a restart forgets no limit and no cooldown."""
    now_ms = _now_ms(client)
    # By key: the requests, and how many milliseconds ago each was.
    found: dict[str, dict[str, int]] = {}
    lives: dict[str, int] = {}
    rows = Delivery.objects.filter(created_at__gt=ago(timedelta(days=1))).annotate(now=Now())
    for row in rows.only("mobile", "address", "browser", "own", "counted", "created_at").iterator():
        age_ms = (row.now - row.created_at) // timedelta(milliseconds=1)
        for counter in of_row(row):
            if age_ms < counter.life_seconds * 1000 and (row.counted or not counter.returns):
                found.setdefault(counter.key, {})[row.pk] = now_ms - age_ms
                lives[counter.key] = counter.life_seconds
    running = Delivery.objects.filter(created_at__gt=ago(timedelta(hours=1)), resend_at__gt=Now()).annotate(now=Now())
    # All or none: the mark never stands without the counters. Another process may be counting on already, which does
    # no harm: a request counts once whoever adds it.
    with client.pipeline() as pipe:
        for row in running.order_by("-created_at"):
            left_ms = (row.resend_at - row.now) // timedelta(milliseconds=1) + 1
            pipe.set(cooldown.key(row.mobile), row.pk, px=left_ms, nx=True)
        for key, requests in found.items():
            pipe.zadd(key, requests)
            pipe.expire(key, lives[key])
        pipe.set(WARM, 1)
        pipe.execute()
    logger.warning("redis was empty: %d limits were counted anew from the table", len(found))


def _now_ms(client: Redis) -> int:
    seconds, micro = client.time()
    return int(seconds) * 1000 + int(micro) // 1000
