"""The dev phone: a gateway that shows each message on a page. For development, and only under DEBUG.

Its messages are in a file under VAR_DIR, so that no code passes through Redis or the database.
"""

from __future__ import annotations

import fcntl
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

from django.conf import settings
from django.utils import timezone

from project.live.push import push
from tasks.gateways import Answer, Message, Outcome

# The group that open phone pages listen to.
GROUP = "phone"
CHANGED = "phone.changed"
MODES = ("ok", "slow", "fail", "hang", "fail_times")
# Slow can be felt and works; hang is as long as a real gateway waits for its answer.
SLOW_SECONDS = 3
HANG_SECONDS = 5
# How many messages the page shows, newest last.
SHOWN_MESSAGES = 20


@dataclass(frozen=True, slots=True)
class Text:
    """One message as the phone shows it. `at` is in ISO 8601, UTC."""

    to: str
    text: str
    code: str
    at: str


@dataclass(frozen=True, slots=True)
class Mode:
    """How the next sends end. `times` counts down in mode `fail_times`."""

    mode: str = "ok"
    times: int = 0


class Phone:
    """The gateway."""

    # It accepts a repeated message as a new one, as most providers do.
    idempotent = False

    def send(self, message: Message) -> Answer:
        """Show the message on the page, or fail as the switches say."""
        mode = _next_mode()
        if mode == "fail":
            return Answer(Outcome.NOT_SENT, provider_code="SWITCHED_TO_FAIL", detail="the dev phone was told to fail")
        if mode == "slow":
            time.sleep(SLOW_SECONDS)
        with _locked("messages.jsonl") as file:
            file.seek(0, 2)
            at = timezone.now().isoformat(timespec="milliseconds")
            file.write(json.dumps(asdict(Text(message.to, message.text, message.code, at))) + "\n")
        push(GROUP, CHANGED)
        if mode == "hang":
            time.sleep(HANG_SECONDS)
            return Answer(Outcome.UNKNOWN, provider_code="SWITCHED_TO_HANG", detail="the dev phone took it in silence")
        return Answer(Outcome.ACCEPTED, provider_id=message.reference, provider_code="OK")


def messages() -> list[Text]:
    """Return the messages that have arrived, newest last."""
    with _locked("messages.jsonl") as file:
        return [Text(**json.loads(line)) for line in file.read().splitlines()[-SHOWN_MESSAGES:]]


def current_mode() -> Mode:
    """Return the mode that is set."""
    with _locked("mode.json") as file:
        return Mode(**json.loads(file.read() or "{}"))


def switch(mode: str, times: int = 0) -> None:
    """Set the mode. Raises ValueError if it is none of MODES."""
    if mode not in MODES:
        raise ValueError(mode)
    with _locked("mode.json") as file:
        _write(file, Mode(mode, times if mode == "fail_times" else 0))
    push(GROUP, CHANGED)


def _next_mode() -> str:
    """Return how this send ends, and count it in mode `fail_times`."""
    with _locked("mode.json") as file:
        mode = Mode(**json.loads(file.read() or "{}"))
        if mode.mode != "fail_times":
            return mode.mode
        left = Mode("fail_times", mode.times - 1) if mode.times > 1 else Mode()
        _write(file, left)
    push(GROUP, CHANGED)
    return "fail" if mode.times > 0 else "ok"


def _write(file: IO[str], mode: Mode) -> None:
    file.seek(0)
    file.truncate()
    file.write(json.dumps(asdict(mode)))


@contextmanager
def _locked(name: str) -> Iterator[IO[str]]:
    """Open one of the phone's files under a lock, because worker threads and the page share it."""
    folder: Path = settings.VAR_DIR / "phone"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (folder / name).open("a+", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        yield file
