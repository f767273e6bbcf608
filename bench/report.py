"""What is left of a run: a table for the reader, JSON for programs, and a plot."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench import client, plot, sites

if TYPE_CHECKING:
    from bench.figures import Figure, Pace

PACKAGES = ("django", "daphne", "channels", "a2wsgi", "huey", "redis")


def table(figures: list[Figure]) -> str:
    """Return the figures as a table in Markdown."""
    head = ["| what | median | from .. to | target | |", "|---|---|---|---|---|"]
    return "\n".join([*head, *(_row(figure) for figure in figures)])


def _row(figure: Figure) -> str:
    sign = "≥" if figure.bound == "at least" else "≤"
    spread = f"{min(figure.values):.3g} .. {max(figure.values):.3g}" if len(figure.values) > 1 else ""
    verdict = "reached" if figure.reached else "not yet"
    target = f"{sign} {figure.target:g}{figure.unit}"
    return f"| {figure.name} | {figure.median:.3g}{figure.unit} | {spread} | {target} | {verdict} |"


def write(figures: list[Figure], pace: Pace, load_before: float) -> None:
    """Write var/bench/latest.json and var/bench/latest.svg. `load_before` is the machine's load before the run."""
    told = {
        "machine": machine() | {"load before": load_before},
        "pace": {"rounds": pace.rounds, "seconds": pace.seconds, "connections": client.CONNECTIONS},
        "figures": [
            {
                "name": figure.name,
                "median": figure.median,
                "rounds": figure.values,
                "unit": figure.unit,
                "target": {figure.bound: figure.target},
                "reached": figure.reached,
                "details": figure.details,
            }
            for figure in figures
        ],
    }
    (sites.OUT / "latest.json").write_text(json.dumps(told, indent=1, ensure_ascii=False) + "\n")
    (sites.OUT / "latest.svg").write_text(plot.svg(figures))


def machine() -> dict[str, Any]:
    """Return what the figures were measured on, and with which versions."""
    return {
        "cores": os.cpu_count(),
        "processor": _processor(),
        "system": platform.platform(terse=True),
        "python": sys.version.split()[0],
        "wrk": subprocess.run([client.program(), "-v"], capture_output=True, text=True, check=False).stdout.split()[1],
        **{name: version(name) for name in PACKAGES},
        "django-allauth": _peers_version(),
    }


def _processor() -> str:
    """Return the processor's name, as Linux tells it."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def _peers_version() -> str:
    found = [path.name for path in sites.VENV.glob("lib/*/site-packages/django_allauth-*.dist-info")]
    return found[0].removeprefix("django_allauth-").removesuffix(".dist-info") if found else ""
