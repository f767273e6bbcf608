"""How many codes may be requested: limits for a number, a range of numbers, an IP address, a browser, and the site.

Each limit is a sliding window, like the carriers' own: a sorted set in Redis holds the ids of the requests that count
and when each came. `accounts/codes/issue.lua` checks them and starts the cooldown in one step. The rows are the truth
behind them: an emptied Redis is filled from the table, so a restart forgets no limit. A request of which certainly
nothing was sent is taken out again; a decoy counts like any other request.

A known device, a browser that has signed in with the number before (`own`), is counted apart from everybody else, so
that no stranger can use up what the owner needs (OWASP, device cookies).
"""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from django.conf import settings
from django.db.models.functions import Now

from project import keys, outage, redis
from tasks import cooldown
from tasks.clock import ago
from tasks.models import Delivery

if TYPE_CHECKING:
    from redis import Redis

logger = logging.getLogger(__name__)

HOUR_SECONDS = 3600
DAY_SECONDS = 86400
# Carriers rent out ranges of numbers that differ in their last four digits only.
RANGE_DIGITS = 4
# Requests an hour from one IP address for each SMS that it may have. This ends a flood while a provider refuses
# everything: requests that are taken out of the other counters stay in this one.
REQUESTS_PER_SMS = 5
# A limit that is never reached.
NEVER_REACHED = 2**31
# Marks the counters as complete. An emptied Redis has lost the mark, and they are counted anew from the rows. A change
# of SECRET_KEY gives every counter another name, and therefore the mark as well.
WARM = redis.key("counted", "warm", keys.hashed("limits", "")[:8])


@dataclass(frozen=True, slots=True)
class Counter:
    """One limit, and the requests that count towards it."""

    # For the log.
    name: str
    key: str
    most: int
    # How long a request counts.
    life_seconds: int
    # The count from which on a visitor has to solve a proof of work.
    near: int
    # Whether a request of which certainly nothing was sent is taken out again.
    returns: bool = True


def counters(*, mobile: str, address: str, browser: str, own: bool) -> list[Counter]:
    """Return the counters of a request. `mobile` is E.164, `address` and `browser` are keyed hashes.

    `own` says that the browser is a known device: it has signed in with this number before.
    """
    who = "own" if own else "any"
    number = keys.hashed("mobile", mobile)
    number_range = keys.hashed("prefix", mobile[:-RANGE_DIGITS])
    budget = settings.SMS_BUDGET_HOUR
    most = budget if own else budget - settings.SMS_BUDGET_RESERVE
    # Strangers solve a proof of work from the second request for one number on, known devices never for that.
    second = NEVER_REACHED if own else 1
    return [
        Counter("number, hour", _key(who, "hour", number), settings.SMS_PER_HOUR, HOUR_SECONDS, second),
        Counter("number, day", _key(who, "day", number), settings.SMS_PER_DAY, DAY_SECONDS, NEVER_REACHED),
        _hourly("address", _key(who, "address", address), settings.SMS_PER_IP_HOUR),
        _hourly("browser", _key(who, "browser", browser), settings.SMS_PER_SESSION_HOUR),
        _hourly("prefix", _key(who, "prefix", number_range), settings.SMS_PER_PREFIX_HOUR),
        Counter("all, hour", _key("all"), most, HOUR_SECONDS, math.ceil(budget / 2)),
        Counter(
            "requests of the address, hour",
            _key(who, "requests", address),
            settings.SMS_PER_IP_HOUR * REQUESTS_PER_SMS,
            HOUR_SECONDS,
            NEVER_REACHED,
            returns=False,
        ),
    ]


def _key(*parts: str) -> str:
    return redis.key("counted", *parts)


def _hourly(name: str, key: str, most: int) -> Counter:
    return Counter(f"{name}, hour", key, most, HOUR_SECONDS, math.ceil(most / 2))


def of_row(row: Delivery) -> list[Counter]:
    """Return the counters of a request, given its row."""
    return counters(mobile=row.mobile, address=row.address, browser=row.browser, own=row.own)


def release(row: Delivery) -> None:
    """Stop counting a request of which certainly nothing was sent. A failing Redis is only logged.

    The row is changed first: an emptied Redis is filled from it.
    """
    Delivery.objects.filter(pk=row.pk).update(counted=False)
    take_out(row.pk, [counter for counter in of_row(row) if counter.returns])


def forgive(mobile: str) -> int:
    """Stop counting a number's requests of the last day, end its cooldown, and return how many requests there were.

    For an operator, or after the owner has signed in. Raises redis.Unavailable or django.db.Error.
    """
    rows = list(Delivery.objects.filter(mobile=mobile, counted=True, created_at__gt=ago(timedelta(days=1))))
    Delivery.objects.filter(pk__in=[row.pk for row in rows]).update(counted=False, resend_at=Now())
    redis.client().delete(cooldown.key(mobile))
    for row in rows:
        take_out(row.pk, of_row(row))
    return len(rows)


def forgive_all() -> int:
    """Stop counting every request, end every cooldown, and return how many requests counted.

    For a developer: in production it would let a flood in. Raises redis.Unavailable or django.db.Error.
    """
    Delivery.objects.filter(resend_at__gt=Now()).update(resend_at=Now())
    counted = Delivery.objects.filter(counted=True).update(counted=False)
    client = redis.client()
    names = {*client.scan_iter(_key("*")), *client.scan_iter(cooldown.all_keys())}
    # Without its mark Redis would count them anew.
    names.discard(WARM.encode())
    if names:
        client.delete(*names)
    return counted


def take_out(delivery_id: str, of: list[Counter]) -> None:
    """Take a request out of these counters. Never raises: its window ends anyway."""
    try:
        with redis.client().pipeline(transaction=False) as pipe:
            for counter in of:
                pipe.zrem(counter.key, delivery_id)
            pipe.execute()
    except redis.Unavailable as error:
        logger.warning("delivery %s still counts: %s", delivery_id[:8], outage.name(error))


def count_anew(client: Redis) -> None:
    """Fill an emptied Redis with the counters and cooldowns that the rows tell of."""
    now_ms = _now_ms(client)
    # Key of a counter -> id of a request -> when it came, in ms.
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
    # One transaction: the mark is never there without the counters. Another process may do the same at the same time:
    # a request counts once, whoever adds it.
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
