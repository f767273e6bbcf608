"""A sender as it is usually written, a Huey task with `retries=3` that keeps no row: proof that the checker can fail.

It is good code of its kind: it retries what fails, it times out, its Redis keeps an append-only file. What it lacks is
a row that says what was promised and what was tried. `huey_consumer tests.tools.chaos.plain.huey` runs it; nothing of
Latchkey's is in it.
"""

from __future__ import annotations

import json
import os
import random
import secrets
import signal
import time
import urllib.request
from collections import Counter
from typing import TYPE_CHECKING, Any

from huey import RedisHuey

from project.run import valkey
from tests.support.providers.fake import SMS, Fake, Violation
from tests.support.stack import BIN, Part
from tests.tools.chaos.record import Accepted, Arrived, Record

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.providers.fake import Request

# Of a hundred requests so many. Nothing is ever refused, and four times in a row it does not hang: what never arrives
# was lost by the sender.
MOOD = {"ok": 60, "hang": 15, "accept_then_hang": 10, "accept_then_502": 8, "accept_then_garbage": 7}

huey = RedisHuey("plain", url=os.environ.get("PLAIN_REDIS", "redis://127.0.0.1:1/0"), results=False)


@huey.task(retries=3, retry_delay=1)  # type: ignore[untyped-decorator]
def send(mobile: str, code: str, reference: str) -> None:
    """Send one SMS; whatever goes wrong is tried again."""
    body = json.dumps({"to": mobile, "code": code, "reference": reference}).encode()
    request = urllib.request.Request(os.environ["PLAIN_PROVIDER"], body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=5) as answer:
        if json.load(answer)["code"] != "OK":
            raise RuntimeError("not accepted")


class PlainProvider(Fake):
    """Takes what it is told, in a mood."""

    codes = {"busy": "BUSY", "bad_number": "NUMBER", "too_frequent": "WAIT", "balance": "BALANCE", "auth_error": "AUTH"}
    form = r"[A-Z]+"
    accepted = "OK"
    unparsed = "BAD"

    def __init__(self, seed: int) -> None:
        """Throw a die for each request."""
        super().__init__()
        self._die = random.Random(seed)

    def begin(self, request: Request) -> None:
        """Give the request its mood."""
        self.script(self._die.choices(list(MOOD), list(MOOD.values()))[0])
        super().begin(request)

    def check_head(self, request: Request) -> None:
        """Be content with anything."""

    def check_body(self, raw: bytes, request: Request) -> dict[str, Any]:
        """Read the body."""
        try:
            body: dict[str, Any] = json.loads(raw)
        except ValueError:
            raise Violation("BAD", "not JSON") from None
        return body

    def accept(self, request: Request) -> str:
        """Send it."""
        body = request.body
        self.take([SMS(body["to"], body["code"], "", body["reference"], time.time())])
        return "OK"

    def answer(self, request: Request, code: str) -> bytes:
        """Say a word."""
        return json.dumps({"code": code}).encode()


def run(seed: int, folder: Path, *, messages: int = 50, kills: int = 8) -> Record:
    """Send through the plain task while its workers and its Redis are killed, and return the record."""
    die = random.Random(seed)
    record = Record(seed=seed, cooldown=0, patience=0, keeps_rows=False)
    valkey.ensure(folder)
    with PlainProvider(seed) as provider:
        environment = {
            **os.environ, "PLAIN_REDIS": valkey.url(folder), "PLAIN_PROVIDER": provider.url, "PYTHONUNBUFFERED": "1"
        }  # fmt: skip
        command = [str(BIN / "huey_consumer"), "tests.tools.chaos.plain.huey", "-w", "4", "-k", "thread"]
        workers = [Part(f"plain{n}", command, environment, folder / f"plain{n}.log") for n in range(2)]
        queue = RedisHuey("plain", url=valkey.url(folder), results=False)
        queue._registry = huey._registry
        try:
            for worker in workers:
                worker.start()
            for n in range(messages):
                mobile, reference = f"137{n:08}", secrets.token_hex(16)
                queue.enqueue(send.s(mobile, f"{n:06}", reference))
                # That the queue has taken it is all that this kind of sender can go by.
                record.accepted.append(Accepted(time.time(), f"+86{mobile}", time.time()))
                record.asked += 1
                if n % (messages // kills) == messages // kills - 1:
                    worker = die.choice(workers)
                    worker.kill()
                    record.faults["worker killed"] += 1
                    worker.start()
                time.sleep(die.uniform(0.05, 0.2))
            # All that is left in the queue and in the schedule is worked off: what is missing then is lost.
            calm = time.monotonic() + 25
            while (queue.pending_count() or queue.scheduled_count()) and time.monotonic() < calm:
                time.sleep(0.2)
            for worker in workers:
                worker.signal(signal.SIGTERM)
            for worker in workers:
                worker.stop(20)
        finally:
            for worker in workers:
                worker.kill()
            valkey.stop()
        record.modes = Counter(request.mode for request in provider.requests)
        record.arrived = [Arrived(sms.at, f"+86{sms.to}", sms.code, sms.req_id, "plain") for sms in provider.sent]
    record.ended_at = time.time()
    return record
