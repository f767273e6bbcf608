"""A provider in front of which a page can be watched."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests.support.provider import Provider

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.provider import Request


class Carrier(Provider):
    """Takes its time, as real ones do: "sending" can be seen. `watched()`: until the test has seen it."""

    # Seconds that it thinks at most, and the nods that make it go on. The gateway waits for 5.
    thinks = 0.3
    nods = threading.Semaphore(0)

    def begin(self, request: Request) -> None:
        """Enter the request, and think."""
        super().begin(request)
        self.nods.acquire(timeout=self.thinks)

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Think over each request of this block until `nods` is released."""
        self.nods, self.thinks = threading.Semaphore(0), 4.0
        try:
            yield
        finally:
            self.nods, self.thinks = threading.Semaphore(0), Carrier.thinks
