"""One target with Hypothesis, for some seconds. What broke it before comes first: var/fuzz/<name>/examples keeps it."""

from __future__ import annotations

import contextlib
import time
import traceback
from typing import TYPE_CHECKING, Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.database import DirectoryBasedExampleDatabase

from tests.tools.fuzz import site

if TYPE_CHECKING:
    from pathlib import Path

    from tests.tools.fuzz.target import Target

# Examples between two looks at the clock; a site takes milliseconds for each.
ROUND, ROUND_SITE = 500, 50


def hunt(target: Target, seconds: float, folder: Path) -> tuple[int, str]:
    """Return how many examples were tried, and the first that broke the property with its traceback, "" for none."""
    with site.running(folder / "site") if target.site else contextlib.nullcontext():
        return _rounds(target, seconds, folder)


def _rounds(target: Target, seconds: float, folder: Path) -> tuple[int, str]:
    tried = 0

    def check(value: Any) -> None:
        nonlocal tried
        tried += 1
        target.check(value)

    bounds = settings(
        max_examples=ROUND_SITE if target.site else ROUND,
        database=DirectoryBasedExampleDatabase(folder / "examples"),
        deadline=None,
        suppress_health_check=list(HealthCheck),
        # Without explaining: that takes a minute for a site.
        phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.target, Phase.shrink],
    )
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        # Each round begins somewhere else. Not by @seed, with which Hypothesis leaves its database alone.
        test = bounds(given(target.given)(check))
        try:
            test()
        except Exception as error:  # noqa: BLE001  (that is what is looked for)
            return tried, "".join(traceback.format_exception(error))
    return tried, ""
