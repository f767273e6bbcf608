"""How many of the SMS that were sent signed their visitor in, by region and by range of numbers.

Fraudsters who are paid for each SMS to a range of numbers have programs request them. Nobody reads those SMS, so
pumping shows as many sent and few used (T-6). Counted from the rows, so a restart forgets nothing.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

import phonenumbers
from django.db.models import Count, Exists, OuterRef, Q
from django.db.models.functions import Length, Substr

from project import keys, redis
from tasks import delivery
from tasks.delivery import HOUR
from tasks.gateways import Outcome
from tasks.limits import RANGE_DIGITS
from tasks.models import Attempt, Delivery

logger = logging.getLogger(__name__)

DAY = timedelta(days=1)
# Fewer SMS in an hour are no evidence.
MIN_SENT = 10
# People use most of the codes that they request. A smaller share is suspicious.
MIN_USED_SHARE = 0.2
# A range is warned of once in this time.
WARN_EVERY_SECONDS = 3600


@dataclass(frozen=True, slots=True)
class Figures:
    """SMS to a region or a range of numbers in some time."""

    # "CN", or "+861390001xxxx". Empty for the whole site.
    name: str = ""
    # SMS that a provider accepted, which are paid for, and those of them whose code was used. One that was sent twice
    # counts once.
    sent: int = 0
    used: int = 0
    # The same, for expired codes only: the others may still be used.
    over: int = 0
    over_used: int = 0

    @property
    def ratio(self) -> float | None:
        """The share that was used, None if nothing was sent."""
        return self.used / self.sent if self.sent else None

    @property
    def suspicious(self) -> bool:
        """Whether too few were used to have been requested by people."""
        return self.over >= MIN_SENT and self.over_used < MIN_USED_SHARE * self.over


@dataclass(frozen=True, slots=True)
class Requests:
    """Accepted requests in some time. The limits count these, whether an SMS was sent or not."""

    all: int
    # Of those, for numbers that must not receive an SMS.
    decoys: int


def requests(age: timedelta) -> Requests:
    """Count the requests that are younger than `age`."""
    rows = Delivery.objects.filter(created_at__gt=delivery.ago(age))
    return Requests(**rows.aggregate(all=Count("pk"), decoys=Count("pk", filter=Q(decoy=True))))


def ranges(age: timedelta) -> list[Figures]:
    """Return the figures of every range with an SMS younger than `age`, most first. No name is a whole number."""
    # Not a join: SQLite would start from all attempts instead of from the index on the time.
    taken = Exists(Attempt.objects.filter(delivery=OuterRef("pk"), outcome=Outcome.ACCEPTED))
    rows = Delivery.objects.filter(taken, created_at__gt=delivery.ago(age), decoy=False)
    used = Q(used_at__isnull=False)
    over = Q(created_at__lte=delivery.ago(delivery.code_life()))
    found = rows.values(prefix=Substr("mobile", 1, Length("mobile") - RANGE_DIGITS)).annotate(
        sent=Count("pk"),
        used=Count("pk", filter=used),
        over=Count("pk", filter=over),
        over_used=Count("pk", filter=used & over),
    )
    return _most_first(
        Figures(row["prefix"] + "x" * RANGE_DIGITS, row["sent"], row["used"], row["over"], row["over_used"])
        for row in found
    )


def regions(of: list[Figures]) -> list[Figures]:
    """Return the ranges' figures by region, most first."""
    found: defaultdict[str, list[Figures]] = defaultdict(list)
    for each in of:
        found[_region(each.name)].append(each)
    return _most_first(total(members, name) for name, members in found.items())


def total(of: Iterable[Figures], name: str = "") -> Figures:
    sums = [sum(column) for column in zip(*((f.sent, f.used, f.over, f.over_used) for f in of), strict=True)]
    return Figures(name, *sums)


def watch() -> int:
    """Warn once an hour of every range and region that is suspicious in the last hour. Return how many.

    Every worker does this. Redis is the referee; without it each of them warns, which does no harm.
    """
    hour = ranges(HOUR)
    told = 0
    for each in [*hour, *regions(hour)]:
        if each.suspicious and _is_news(each.name):
            logger.warning(
                "SMS pumping? %d SMS to %s in the last hour, and %d of the %d whose code is over were used",
                each.sent,
                each.name,
                each.over_used,
                each.over,
            )
            told += 1
    return told


def _is_news(name: str) -> bool:
    try:
        told = redis.key("pumping", keys.hashed("range", name))
        return bool(redis.client().set(told, 1, nx=True, ex=WARN_EVERY_SECONDS))
    except redis.Unavailable:
        return True


def _most_first(figures: Iterable[Figures]) -> list[Figures]:
    return sorted(figures, key=lambda each: (-each.sent, each.name))


def _region(name: str) -> str:
    """Return the two letters of a range's region, which does not depend on the hidden digits."""
    number = phonenumbers.parse(name.replace("x", "0"))
    return phonenumbers.region_code_for_number(number) or "?"
