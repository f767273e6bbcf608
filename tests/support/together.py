"""Many people at the same moment: every call waits at the line until all are there."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.support.person import Person
    from tests.support.stack import Stack

T = TypeVar("T")


def together(calls: Sequence[Callable[[], T]]) -> list[T]:
    """Make all calls at once, each in a thread of its own, and return their answers in the same order."""
    line = threading.Barrier(len(calls))

    def run(call: Callable[[], T]) -> T:
        line.wait()
        return call()

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(run, calls))


def tabs(stack: Stack, person: Person, count: int) -> list[Person]:
    """Return so many tabs of one browser, spread over the site's servers: each holds the cookies of now."""
    assert person.token
    made = [stack.person(port=stack.ports[n % len(stack.ports)]) for n in range(count)]
    for tab in made:
        tab.http.cookies.update(person.http.cookies)
    return made
