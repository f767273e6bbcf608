"""What serving leaves behind: little, and the collector comes for it in time."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.support.stack import ROOT

if TYPE_CHECKING:
    from tests.support.stack import Stack

# Objects in cycles that a request may leave. A page's are those of Django's template contexts.
MOST = {"/login/": 45, "/": 35, "/state/": 5, "/healthz": 5}
# Makes circles that outlive the first two generations, drops them, and goes on making garbage as requests do: some
# forty objects in cycles each. Prints after how many such requests the first circle was freed.
COLLECTED = """
import gc, weakref
from project.server.process import tune_collector
tune_collector()
class Request: pass
def circle():
    made = Request(); made.self = made
    return made
old = circle()
gone = weakref.ref(old)
gc.collect(1)
del old
for n in range(200_000):
    if gone() is None: break
    kept = [circle() for _ in range(20)]
print(n)
"""


@pytest.fixture(scope="module")
def left(stack: Stack) -> dict[str, dict[str, float]]:
    """What a request of each path leaves."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.garbage", *MOST],
        cwd=ROOT, env=stack.environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    found: dict[str, dict[str, float]] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("path", MOST)
def test_a_request_leaves_few_objects_to_the_collector(left: dict[str, dict[str, float]], path: str) -> None:
    assert left[path]["objects"] <= MOST[path], left


@pytest.mark.parametrize("path", MOST)
def test_a_request_is_emptied_once_it_is_answered(left: dict[str, dict[str, float]], path: str) -> None:
    """Whatever a middleware or a view has hung on it, and whether or not that leads back to it."""
    assert left[path]["requests"] == 0, left


def test_what_outlives_the_younger_generations_is_freed_within_minutes(stack: Stack) -> None:
    """At 50 pages a second; it was 900,000 requests, at up to a gigabyte."""
    done = subprocess.run(
        [sys.executable, "-c", COLLECTED], cwd=ROOT, env=stack.environment, capture_output=True, text=True, check=True
    )
    assert int(done.stdout) <= 120_000
