"""`manage.py spending`: what was sent, to where, and how much of it was used."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from tasks import pumping
from tasks.delivery import HOUR
from tasks.pumping import DAY, Figures, Requests

# Ranges that are shown.
TOP = 20


class Command(BaseCommand):
    """Prints the site, then a line a region, then a line a range of numbers."""

    help = (
        "Show how many SMS were sent in the last hour and day, how many of their codes let somebody in, and how much "
        "of SMS_BUDGET_HOUR is used: in all, by region and by range of numbers. A ! marks what looks like SMS "
        "pumping: ten or more in the last hour whose code is over, and less than a fifth of them used."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take --json."""
        parser.add_argument("--json", action="store_true", help="print JSON, for a program")

    def handle(self, *args: Any, **options: Any) -> None:
        """Count and tell."""
        hour, day = pumping.ranges(HOUR), pumping.ranges(DAY)
        asked = {"hour": pumping.requests(HOUR), "day": pumping.requests(DAY)}
        sent = {"hour": pumping.total(hour), "day": pumping.total(day)}
        regions = _side_by_side(pumping.regions(hour), pumping.regions(day))
        ranges = _side_by_side(hour, day)[:TOP]
        if options["json"]:
            self.stdout.write(json.dumps(_as_json(asked, sent, regions, ranges), indent=2))
            return
        for name in ("hour", "day"):
            self.stdout.write(
                f"Last {name}: {sent[name].sent} SMS sent, {_used(sent[name])}; {asked[name].all} requests accepted, "
                f"{asked[name].decoys} of them for numbers that get no SMS."
            )
        self.stdout.write(f"Budget: {asked['hour'].all} of SMS_BUDGET_HOUR={settings.SMS_BUDGET_HOUR}.")
        for title, lines in (("region", regions), ("range", ranges)):
            self.stdout.write(f"\n  {title:20}last hour{'':15}last day")
            for of_hour, of_day in lines:
                mark = "!" if of_hour.suspicious else " "
                self.stdout.write(f"{mark} {of_hour.name:20}{_cell(of_hour):24}{_cell(of_day)}".rstrip())


def _side_by_side(hour: list[Figures], day: list[Figures]) -> list[tuple[Figures, Figures]]:
    """Return each name's two figures: what is suspicious first, then what was sent most to."""
    of_hour = {each.name: each for each in hour}
    pairs = [(of_hour.get(each.name, Figures(each.name)), each) for each in day]
    return sorted(pairs, key=lambda pair: (not pair[0].suspicious, -pair[0].sent, -pair[1].sent))


def _used(figures: Figures) -> str:
    return f"{figures.used} used" + ("" if figures.ratio is None else f" ({figures.ratio:.0%})")


def _cell(figures: Figures) -> str:
    return f"{figures.sent} sent, {_used(figures)}"


def _as_json(
    asked: dict[str, Requests],
    sent: dict[str, Figures],
    regions: list[tuple[Figures, Figures]],
    ranges: list[tuple[Figures, Figures]],
) -> dict[str, Any]:
    """Return everything for a program. `ratio` is null where nothing was sent."""

    def figures(of: Figures) -> dict[str, Any]:
        return {"sent": of.sent, "used": of.used, "ratio": of.ratio}

    def lines(of: list[tuple[Figures, Figures]]) -> list[dict[str, Any]]:
        return [{"name": h.name, "suspicious": h.suspicious, "hour": figures(h), "day": figures(d)} for h, d in of]

    return {
        **{
            name: {**figures(sent[name]), "requests": asked[name].all, "decoys": asked[name].decoys}
            for name in ("hour", "day")
        },
        "budget": {"used": asked["hour"].all, "limit": settings.SMS_BUDGET_HOUR},
        "regions": lines(regions),
        "ranges": lines(ranges),
    }
