"""The dev phone: a gateway that shows each message on a page. For development, and only under DEBUG.

Its messages are in a file under VAR_DIR, so that no code passes through Redis or the database. Its switches say what
becomes of the next messages, so that every state of a delivery can be seen. It reports as a provider does, with a
request to our own address for delivery reports.
"""

from __future__ import annotations

import fcntl
import json
import logging
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import IO

from django.conf import settings
from django.urls import reverse
from django.utils import timezone

from project.live.push import push
from tasks.gateways import Answer, Forged, Message, Outcome, Reason, Receipt

logger = logging.getLogger(__name__)

# The group that open phone pages listen to.
GROUP = "phone"
CHANGED = "phone.changed"
MODES = ("ok", "slow", "fail", "hang", "fail_times")
# Slow can be felt and works; hang is as long as a real gateway waits for its answer.
SLOW_SECONDS = 3
HANG_SECONDS = 5
# Failures in mode `fail_times`, unless the form says how many.
DEFAULT_TIMES, MOST_TIMES = 2, 9
# What it reports of a message that it has taken.
REPORTS = ("none", "delivered", "failed")
# Seconds until the report, unless the form says how many: soon enough to wait for.
DEFAULT_SECONDS, MOST_SECONDS = 3, 60
# A carrier's words for these in SMPP, which most providers pass on.
REPORT_CODES = {"delivered": "DELIVRD", "failed": "UNDELIV"}
# How many messages the page shows, newest last.
SHOWN_MESSAGES = 20


@dataclass(frozen=True, slots=True)
class Text:
    """One message as the phone shows it. `at` is in ISO 8601, UTC."""

    to: str
    text: str
    code: str
    at: str

    @property
    def clock(self) -> str:
        """The time of arrival as a clock on this machine shows it, which is the reader's own."""
        return datetime.fromisoformat(self.at).astimezone().strftime("%H:%M:%S")


@dataclass(frozen=True, slots=True)
class Switches:
    """What becomes of the next messages."""

    # One of MODES: how the send ends.
    mode: str = "ok"
    # Counts down in mode `fail_times`.
    times: int = DEFAULT_TIMES
    # One of REPORTS, and after how many seconds it comes.
    report: str = "none"
    after: int = DEFAULT_SECONDS


class Phone:
    """The gateway."""

    # It accepts a repeated message as a new one, as most providers do.
    idempotent = False
    receipt_reply = ("text/plain", "OK")

    def send(self, message: Message) -> Answer:
        """Show the message on the page, or fail as the switches say."""
        chosen = _next()
        mode = chosen.mode
        if mode == "fail":
            return Answer(Outcome.NOT_SENT, provider_code="SWITCHED_TO_FAIL", detail="the dev phone was told to fail")
        if mode == "slow":
            time.sleep(SLOW_SECONDS)
        with _locked("messages.jsonl") as file:
            file.seek(0, 2)
            at = timezone.now().isoformat(timespec="milliseconds")
            file.write(json.dumps(asdict(Text(message.to, message.text, message.code, at))) + "\n")
        push(GROUP, CHANGED)
        if chosen.report != "none":
            # A daemon: a worker that stops does not wait for it, and its report is lost, as a provider's may be.
            timer = threading.Timer(chosen.after, _report, [message.reference, chosen.report])
            timer.daemon = True
            timer.start()
        if mode == "hang":
            time.sleep(HANG_SECONDS)
            return Answer(Outcome.UNKNOWN, provider_code="SWITCHED_TO_HANG", detail="the dev phone took it in silence")
        return Answer(Outcome.ACCEPTED, provider_id=message.reference, provider_code="OK")

    def receipts(self, body: bytes, form: Mapping[str, str], url: str, headers: Mapping[str, str]) -> list[Receipt]:
        """Return the message of a report. Raises Forged."""
        try:
            said = json.loads(body)
            reference, report = said["reference"], said["report"]
            code = REPORT_CODES[report]
        except (ValueError, KeyError, TypeError) as error:
            raise Forged("not a report of the dev phone") from error
        # Our reference as well: in mode `hang` the answer that names the provider's id never came.
        return [Receipt(report == "delivered", str(reference), str(reference), code)]

    def report_reason(self, provider_code: str) -> Reason:
        """Return that the number is at fault: a phone that is switched off, or whose memory is full."""
        return Reason.NUMBER


def messages() -> list[Text]:
    """Return the messages that have arrived, newest last."""
    with _locked("messages.jsonl") as file:
        return [Text(**json.loads(line)) for line in file.read().splitlines()[-SHOWN_MESSAGES:]]


def switches() -> Switches:
    """Return the switches as they are set."""
    with _locked("mode.json") as file:
        return _read(file)


def switch(chosen: Switches) -> None:
    """Set the switches."""
    with _locked("mode.json") as file:
        _write(file, chosen)
    push(GROUP, CHANGED)


def _next() -> Switches:
    """Return what becomes of this message, and count it in mode `fail_times`: it then fails."""
    with _locked("mode.json") as file:
        chosen = _read(file)
        if chosen.mode != "fail_times":
            return chosen
        left = (
            replace(chosen, times=chosen.times - 1)
            if chosen.times > 1
            else replace(chosen, mode="ok", times=DEFAULT_TIMES)
        )
        _write(file, left)
    push(GROUP, CHANGED)
    return replace(chosen, mode="fail")


def _read(file: IO[str]) -> Switches:
    return Switches(**json.loads(file.read() or "{}"))


def _write(file: IO[str], chosen: Switches) -> None:
    file.seek(0)
    file.truncate()
    file.write(json.dumps(asdict(chosen)))


def _report(reference: str, report: str) -> None:
    """Report a message as a provider does: to the address of the site that takes delivery reports."""
    # Imported here: each server process imports this module for its page, and needs no client.
    from tasks.gateways import http

    url = settings.PUBLIC_ORIGIN + reverse("receipts", args=["phone", settings.PHONE_RECEIPT_SECRET])
    body = json.dumps({"reference": reference, "report": report}).encode()
    try:
        status = http.post(url, {"Content-Type": "application/json"}, body).status
    except (http.NotSent, http.Lost) as error:
        logger.warning("the dev phone's report did not reach %s: %s", settings.PUBLIC_ORIGIN, error)
        return
    if status != 200:
        logger.warning("the dev phone's report was answered with %d by %s", status, settings.PUBLIC_ORIGIN)


@contextmanager
def _locked(name: str) -> Iterator[IO[str]]:
    """Open one of the phone's files under a lock, because worker threads and the page share it."""
    folder: Path = settings.VAR_DIR / "phone"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (folder / name).open("a+", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        yield file
