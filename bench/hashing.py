"""What twenty people who sign in by password at once cost somebody who asks for a code."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from bench.client import Load, Road, drive
from bench.figures import HTMX, Figure

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bench.figures import Pace
    from bench.sites import Sites

# Passwords that are being hashed, or wait for it, at every moment.
AT_ONCE = 20
# Who asks for codes meanwhile: few, for it is their waiting that is measured.
ASKING = 2


class Hashing:
    """Password logins beside everything else."""

    def __init__(self, running: Sites, pace: Pace) -> None:
        """Take what runs, and lay the roads."""
        self.site, self.pace = running.latchkey, pace
        self.codes = Road(self.site, "/code/", 202, "mobile=133%08d", "/login/", HTMX)
        # Nobody has these names; an unknown one costs one hash, as a known one does.
        self.logins = Road(
            self.site, "/login/", 422, "username=nobody%08d&password=correct+horse+battery", "/login/", HTMX
        )

    def measures(self) -> Sequence[Callable[[], list[Figure]]]:
        """Return everything, in order."""
        return (self.beside,)

    def beside(self) -> list[Figure]:
        """POST /code/ while 20 sign in by password, against the same without them."""
        quiet: list[Load] = []
        busy: list[Load] = []
        for n in range(-1, self.pace.rounds):
            for loads in (quiet, busy) if n % 2 else (busy, quiet):
                with self.site.resting():
                    load = self._crowded() if loads is busy else self._ask()
                if n >= 0:
                    loads.append(load)
        return [
            Figure(
                f"POST /code/, p99 while {AT_ONCE} passwords are hashed at once, against without",
                2.0,
                "at most",
                [with_.p99 / without.p99 for with_, without in zip(busy, quiet, strict=True)],
                details={"with, ms": [load.p99 for load in busy], "without, ms": [load.p99 for load in quiet]},
            )
        ]

    def _ask(self) -> Load:
        # One in a hundred is asked for.
        return drive(self.codes, seconds=self.pace.seconds * 2, connections=ASKING)

    def _crowded(self) -> Load:
        """Ask for codes in the middle of a crowd that signs in."""
        crowd = threading.Thread(
            target=drive, args=(self.logins,), kwargs={"seconds": self.pace.seconds * 2 + 2, "connections": AT_ONCE}
        )
        crowd.start()
        time.sleep(1)
        try:
            return self._ask()
        finally:
            crowd.join()
            # What wrk has left behind is hashed all the same. This one is behind it.
            self.site.stack.person().login("nobody", "correct horse battery")
