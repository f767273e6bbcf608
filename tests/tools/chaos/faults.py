"""The monkey: seeded faults, one after another, each ended after a while. It never touches what is not the site's."""

from __future__ import annotations

import heapq
import itertools
import random
import signal
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from tasks.delivery import LEASE
from tests.tools.chaos.site import is_gone

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.faultproxy import FaultProxy
    from tests.support.stack import Part
    from tests.tools.chaos.record import Record
    from tests.tools.chaos.site import Site

# What is in a request to Redis or RabbitMQ whose reply gets lost: the gate's script, the doorbell, the worker's look
# into the queue, the push; Basic.Publish and Basic.Ack.
REDIS_COMMANDS = {"the decision's EVAL": b":cooldown:", "LPUSH": b"LPUSH", "BRPOP": b"BRPOP", "PUBLISH": b"PUBLISH"}
RABBITMQ_COMMANDS = {"Basic.Publish": b"\x00\x3c\x00\x28", "Basic.Ack": b"\x00\x3c\x00\x50"}
# Seconds after SIGTERM: those that a send in flight may take, and some for a busy machine.
CLEAN_END = 30.0


class Monkey:
    """Breaks things. Whoever owns it calls `step` often and `heal` once."""

    def __init__(self, site: Site, record: Record) -> None:
        """Take what to break."""
        self.site, self.record = site, record
        self._die = random.Random(f"{site.plan.seed}.faults")
        self._next = time.monotonic() + 1.5
        self._order = itertools.count()
        # When which end of a fault is due, and what it is that is broken until then.
        self._ends: list[tuple[float, int, str, Callable[[], bool]]] = []
        self._broken: set[str] = set()
        self._slept = not site.plan.oversleeps
        # Problems that no checker could see: a part that did not end when it was asked to.
        self.complaints: list[str] = []
        self._began = time.monotonic()

    def step(self) -> None:
        """End what is due, and begin a new fault when it is time."""
        self._end_due(time.monotonic())
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + self._die.uniform(0.4, 1.6) * self.site.plan.pace
        self._begin()

    def heal(self) -> None:
        """End everything that is broken, and return when it is."""
        deadline = time.monotonic() + CLEAN_END + 10
        while self._ends:
            # What waits for a process to end cannot be hurried; all else can.
            self._end_due(time.monotonic() + 3600)
            assert time.monotonic() < deadline, f"still broken: {self._broken}"
            time.sleep(0.1)

    def _end_due(self, now: float) -> None:
        again = []
        while self._ends and self._ends[0][0] <= now:
            _due, _order, what, end = heapq.heappop(self._ends)
            self._began = time.monotonic()
            if end():
                self._broken.discard(what)
                self._note(f"{what} is well again")
            else:
                again.append((what, end))
        for what, end in again:
            self._later(what, 0.2, end)

    def _later(self, what: str, seconds: float, end: Callable[[], bool]) -> None:
        self._broken.add(what)
        heapq.heappush(self._ends, (time.monotonic() + seconds, next(self._order), what, end))

    def _begin(self) -> None:
        kinds: list[tuple[int, Callable[[], str]]] = [
            (7, self._kill_worker),
            (2, self._pause_worker),
            (2, self._end_worker),
            (3, self._kill_web),
            (1, self._pause_web),
            (1, self._end_web),
            (2, self._kill_valkey),
            (1, self._empty_valkey),
            (1, self._pause_valkey),
            (2, lambda: self._cut("redis", self.site.redis)),
            (4, lambda: self._lose_reply("redis", self.site.redis, REDIS_COMMANDS)),
            (2, lambda: self._cut("provider", self._die.choice(self.site.providers).front)),
        ]
        if broker := self.site.broker:
            kinds += [
                (3, lambda: self._cut("rabbitmq", broker)),
                (3, lambda: self._lose_reply("rabbitmq", broker, RABBITMQ_COMMANDS)),
            ]
        if not self._slept:
            self._slept = True
            kinds = [(1, self._oversleep)]
        self._began = time.monotonic()
        name = self._die.choices([kind for _, kind in kinds], [weight for weight, _ in kinds])[0]()
        if name:
            self.record.faults[name] += 1
            self._note(name)

    def _note(self, what: str) -> None:
        """Write a line into the run's diary."""
        took = time.monotonic() - self._began
        with (self.site.folder / "faults.log").open("a") as diary:
            diary.write(f"{datetime.now(UTC):%H:%M:%S.%f} {what} ({took:.1f} s)\n")

    # --- Processes ---

    def _one(self, parts: list[Part]) -> Part | None:
        part = self._die.choice(parts)
        return None if part.name in self._broken else part

    def _kill(self, part: Part | None, what: str) -> str:
        wait = self._die.uniform(0.1, 1.0)
        if part is None:
            return ""
        part.kill()
        self._later(part.name, wait, lambda: _start(part))
        return f"{what} killed"

    def _kill_worker(self) -> str:
        return self._kill(self._one(self.site.stack.workers), "worker")

    def _kill_web(self) -> str:
        return self._kill(self._one(self.site.stack.webs), "daphne")

    def _pause(self, part: Part | None, what: str, seconds: float) -> str:
        if part is None:
            return ""
        part.signal(signal.SIGSTOP)
        self._later(part.name, seconds, lambda: _wake(part))
        return f"{what} hung"

    def _pause_worker(self) -> str:
        return self._pause(self._one(self.site.stack.workers), "worker", self._die.uniform(1, 4))

    def _pause_web(self) -> str:
        return self._pause(self._one(self.site.stack.webs), "daphne", self._die.uniform(1, 4))

    def _oversleep(self) -> str:
        seconds = LEASE.total_seconds() + 2
        return self._pause(self._one(self.site.stack.workers), "worker", seconds) and "worker hung past its lease"

    def _end(self, part: Part | None, what: str) -> str:
        if part is None:
            return ""
        part.signal(signal.SIGTERM)
        deadline = time.monotonic() + CLEAN_END

        def restart() -> bool:
            assert part.process is not None
            if part.process.poll() is None:
                if time.monotonic() < deadline:
                    return False
                self.complaints.append(f"{part.name} did not end within {CLEAN_END:.0f} s of its SIGTERM")
                part.kill()
            return _start(part)

        self._later(part.name, 0.2, restart)
        return f"{what} ended by SIGTERM"

    def _end_worker(self) -> str:
        return self._end(self._one(self.site.stack.workers), "worker")

    def _end_web(self) -> str:
        return self._end(self._one(self.site.stack.webs), "daphne")

    # --- Valkey ---

    def _kill_valkey(self) -> str:
        if "valkey" in self._broken:
            return ""
        self.site.stack.kill_valkey()
        self._later("valkey", self._die.uniform(0.1, 1.5), self._start_valkey)
        return "valkey killed"

    def _empty_valkey(self) -> str:
        if "valkey" in self._broken:
            return ""
        self.site.stack.empty_valkey()
        self._start_valkey()
        return "valkey emptied"

    def _pause_valkey(self) -> str:
        if "valkey" in self._broken:
            return ""
        self.site.stack.signal_valkey(signal.SIGSTOP)
        self._later("valkey", self._die.uniform(0.5, 2.5), self._wake_valkey)
        return "valkey hung"

    def _start_valkey(self) -> bool:
        self.site.start_valkey()
        return True

    def _wake_valkey(self) -> bool:
        self.site.stack.signal_valkey(signal.SIGCONT)
        return True

    # --- The ways between ---

    def _cut(self, name: str, proxy: FaultProxy) -> str:
        what = f"way to {name} {proxy.port}"
        if what in self._broken:
            return ""
        kinds: dict[str, Callable[[], None]] = {
            "a black hole": proxy.hang,
            "cut": proxy.away,
            "reset": proxy.reset,
            "deaf": proxy.deafen,
        }
        kind = self._die.choice(list(kinds))
        kinds[kind]()

        def heal() -> bool:
            proxy.heal()
            return True

        self._later(what, self._die.uniform(0.5, 2.5), heal)
        return f"way to {name}: {kind}"

    def _lose_reply(self, name: str, proxy: FaultProxy, commands: dict[str, bytes]) -> str:
        command = self._die.choice(list(commands))
        if f"way to {name} {proxy.port}" in self._broken:
            return ""
        proxy.drop_reply(commands[command])
        return f"reply lost: {command}"


def _start(part: Part) -> bool:
    part.start()
    return True


def _wake(part: Part) -> bool:
    if not is_gone(part.pid):
        part.signal(signal.SIGCONT)
    return True
