"""How many of the SMS that were sent let somebody in, by region and by range of numbers.

Who is paid for each SMS to a range of numbers has it asked for by programs. Nobody reads those SMS, so that is how
pumping shows (T-6): much is sent, little is used. Counted from the rows, so no restart forgets it.
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
# Fewer SMS in an hour say nothing.
FEW = 10
# Where people ask, most codes are used. Less than this share is not people.
SHARE = 0.2
# Seconds for which nothing more is said of a range.
TOLD = 3600


@dataclass(frozen=True, slots=True)
class Figures:
    """What was sent to a region or a range of numbers in some time."""

    # "CN", or "+861390001xxxx". Empty for the whole site.
    name: str = ""
    # SMS that a provider took, which is what is paid for, and those of them whose code let somebody in. One that went
    # out twice is one.
    sent: int = 0
    used: int = 0
    # The same of those only whose code is over: the others may still be used.
    over: int = 0
    over_used: int = 0

    @property
    def ratio(self) -> float | None:
        """The share that was used, None where nothing was sent."""
        return self.used / self.sent if self.sent else None

    @property
    def suspicious(self) -> bool:
        """Whether that is too little to be people."""
        return self.over >= FEW and self.over_used < SHARE * self.over


@dataclass(frozen=True, slots=True)
class Requests:
    """What was asked for in some time. This is what the limits count, whether an SMS came of it or not."""

    all: int
    # Of those: for numbers that were to get no SMS.
    decoys: int


def requests(age: timedelta) -> Requests:
    """Count the requests that were accepted in the last hour, or whatever the age is."""
    rows = Delivery.objects.filter(created_at__gt=delivery.ago(age))
    return Requests(**rows.aggregate(all=Count("pk"), decoys=Count("pk", filter=Q(decoy=True))))


def ranges(age: timedelta) -> list[Figures]:
    """Return the figures of every range that was sent to in that time, most first. No name is a whole number."""
    # Not a join: SQLite would begin it with all attempts there are, instead of with the index on the time.
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
    """Return the sum of some figures."""
    sums = [sum(column) for column in zip(*((f.sent, f.used, f.over, f.over_used) for f in of), strict=True)]
    return Figures(name, *sums)


def watch() -> int:
    """Write a warning for every range and region that is suspicious in the last hour, once an hour. Returns how many.

    Every worker looks. Redis is the referee; without it each of them warns, which does no harm.
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
        return bool(redis.client().set(f"pumping:{keys.hashed('range', name)}", 1, nx=True, ex=TOLD))
    except redis.Unavailable:
        return True


def _most_first(figures: Iterable[Figures]) -> list[Figures]:
    return sorted(figures, key=lambda each: (-each.sent, each.name))


def _region(name: str) -> str:
    """Return the two letters of a range's region; the digits that are left out do not matter for it."""
    number = phonenumbers.parse(name.replace("x", "0"))
    return phonenumbers.region_code_for_number(number) or "?"
