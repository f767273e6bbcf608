"""What a site would gain by another server than daphne: the same application, the same load. docs/operators.md."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from bench import sites
from bench.client import Road
from bench.figures import HTMX, Figure, contest
from tests.support.stack import BIN, Stack

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from bench.figures import Pace

COMMANDS = {
    "daphne": ["-v", "0", "-b", "127.0.0.1", "-p"],
    "uvicorn": ["--no-server-header", "--lifespan", "on", "--log-level", "warning", "--no-access-log", "--port"],
    "granian": ["--interface", "asgi", "--no-access-log", "--port"],
}


class Server(sites.Site):
    """Latchkey's web part by itself, under a server of its own."""

    def __init__(self, name: str, stack: Stack) -> None:
        """Take a stack that runs."""
        self.stack = stack
        super().__init__(name, stack.folder, stack.url, [], stack.settings["QUEUE_NAME"], stack.redis)

    def is_idle(self) -> bool:
        """Say so: what a last request has enqueued waits for nobody."""
        return True


class Servers:
    """The servers side by side."""

    def __init__(self, running: sites.Sites, pace: Pace) -> None:
        """Take where files go and how long to measure. The sites of this group are its own."""
        self.sites, self.pace = running, pace

    def measures(self) -> Sequence[Callable[[], list[Figure]]]:
        """Return everything, in order."""
        return (self.accepted,)

    def accepted(self) -> list[Figure]:
        """POST /code/ accepted under uvicorn and granian, against daphne."""
        with contextlib.ExitStack() as ends:
            roads = {
                name: Road(ends.enter_context(self._under(name)), "/code/", 202, "mobile=138%08d", "/login/", HTMX)
                for name in COMMANDS
            }
            found = contest(roads, self.pace, resting=True)
        # No target of ours: whoever chooses one knows why. As good as daphne is where the table draws its line.
        return [
            Figure(
                f"POST /code/ accepted, requests/s, {name} against daphne",
                1,
                "at least",
                [
                    ours.per_second / daphne.per_second
                    for ours, daphne in zip(found[name], found["daphne"], strict=True)
                ],
                details={each: [load.per_second for load in found[each]] for each in (name, "daphne")},
            )
            for name in COMMANDS
            if name != "daphne"
        ]

    @contextlib.contextmanager
    def _under(self, name: str) -> Iterator[Server]:
        settings: dict[str, Any] = {
            "DJANGO_SETTINGS_MODULE": "bench.latchkey",
            **sites.LIMITS,
            **sites.AS_IN_THE_WORLD,
            # There are three, and perhaps two cores.
            "ONE_CORE": "0",
        }
        stack = Stack(self.sites.folder(f"under-{name}"), workers=0, **settings)
        (web,) = stack.webs
        web.command = [str(BIN / name), *COMMANDS[name], str(stack.ports[0]), "asgi:application"]
        with stack:
            yield Server(name, stack)
