"""Keeps the log clean: one line an event, no secrets, and nothing that a visitor could pass off as a log line."""

from __future__ import annotations

import logging
import logging.config
import re
import threading
import time
import traceback
from dataclasses import dataclass
from typing import Any, TextIO

from django.conf import settings

from project import outage
from project.redis import Unavailable

# An E.164 number, or a Chinese mobile number without country code.
NUMBER = re.compile(r"(?<![\w.+-])(?:\+\d{8,15}|1[3-9]\d{9})(?![\w.])")
# Keys of sessions (32 small letters and digits) and CSRF tokens (32 or 64 letters and digits). Other ids of that length
# are hexadecimal: among 32 random letters one beyond f is all but certain.
KEY = re.compile(r"\b(?=[0-9A-Za-z]*[g-zG-Z])(?:[0-9A-Za-z]{64}|[0-9A-Za-z]{32})\b")
# Characters that begin a line, move the cursor or change the direction of writing where the log is read (CWE-117).
CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]")
# Seconds in which lines of a kind are counted together, and how many of them are written at once.
COUNTED_SECONDS = 10
LINES_AT_ONCE = 5
# Kinds of which lines are counted at a time. Our own are far fewer; a text that is no template is a kind each time.
MOST_KINDS = 500
# What differs in lines of a kind: numbers, and the first letters of a delivery's id.
NUMBERED = re.compile(r"\b(?:[0-9a-f]{8}|[0-9]+)\b")
# The loggers that are counted, with all below them.
COUNTED = frozenset({"accounts", "home", "project", "tasks"})
# Characters. Shorter secrets would be found everywhere.
LEAST_SECRET = 8


class Line(logging.LogRecord):
    """A record without secrets, whichever handler writes it: ours, daphne's, or the worker's.

    Our own lines contain no secrets to begin with. This is for libraries that quote their input. A code looks like any
    other six digits and cannot be removed here, so no code may be passed to a logger at all.
    """

    # The secrets themselves, set when the site starts.
    secrets: tuple[str, ...] = ()

    def __init__(self, *args: Any, **more: Any) -> None:
        """Take what every record takes. The traceback is written now, so that no handler writes its own."""
        super().__init__(*args, **more)
        if self.exc_info and self.exc_info[0]:
            self.exc_text = _indented(_without_secrets("".join(traceback.format_exception(*self.exc_info)).rstrip()))

    def getMessage(self) -> str:  # noqa: N802  (the library's name)
        """Return the message. Its arguments are escaped, and further lines of its own are indented."""
        text = _without_secrets(super().getMessage())
        return CONTROL.sub(_escape, text) if self.args else _indented(text)


def _without_secrets(text: str) -> str:
    for secret in Line.secrets:
        text = text.replace(secret, "***")
    return KEY.sub("***", NUMBER.sub(lambda found: f"***{found[0][-2:]}", text))


def _escape(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode()


def _indented(text: str) -> str:
    """Return a text whose further lines cannot be taken for lines of the log."""
    return "\n    ".join(CONTROL.sub(_escape, line) for line in text.split("\n"))


def configure(logging_settings: dict[str, Any]) -> None:
    """Set up logging as `LOGGING` says, with `Line` for every record. `LOGGING_CONFIG` names this function."""
    # The longest first: one may be a part of another.
    secrets = sorted(filter(None, settings.LOG_SECRETS), key=len, reverse=True)
    Line.secrets = tuple(secret for secret in secrets if len(secret) >= LEAST_SECRET)
    logging.setLogRecordFactory(Line)
    logging.config.dictConfig(logging_settings)
    WorkerLogger.format = logging_settings["formatters"]["line"]["format"]
    # It is there already: Huey makes it when it is imported.
    logging.getLogger("huey").__class__ = WorkerLogger


class WorkerLogger(logging.Logger):
    """The logger of Huey, to which `huey_consumer` adds a handler with a format of its own."""

    # That of all other lines.
    format = ""

    def addHandler(self, hdlr: logging.Handler) -> None:  # noqa: N802  (the library's name)
        """Have a handler write its lines as all others are written."""
        hdlr.setFormatter(logging.Formatter(self.format))
        super().addHandler(hdlr)


class Expected(Exception):
    """An error that was foreseen and whose message says everything: it is logged without a traceback."""


class OnlyMessage(logging.Filter):
    """Writes an expected error as its message, whatever the library that caught it says around it."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Keep every record."""
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, Expected):
            record.msg, record.args, record.exc_info, record.exc_text = str(error), (), None, None
        return True


class OneLine(logging.Filter):
    """Replaces the traceback of a Redis that is away with the name of the error."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Keep every record, without a traceback that says nothing about our code."""
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, Unavailable | OSError):
            record.msg = f"{record.getMessage()} Redis is away: {outage.name(error)}"
            record.args, record.exc_info, record.exc_text = (), None, None
        return True


class Counting(logging.StreamHandler[TextIO]):
    """Writes the first lines of a kind at once, and counts the rest: an outage would write the same line all the time.

    Lines are of a kind if logger, level and text are the same, but for numbers and ids. Only warnings and errors of our
    own are counted, and none that has a traceback. What was counted is written with the last such line, so its words
    are still found.
    """

    def __init__(self) -> None:
        """Take what every handler takes."""
        super().__init__()
        self._kinds: dict[tuple[str, int, str], _Kind] = {}
        self._timer: threading.Timer | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line, or count it. The handler's lock is held."""
        if record.levelno < logging.WARNING or record.exc_info or record.name.partition(".")[0] not in COUNTED:
            super().emit(record)
            return
        # Another reason is another kind. A template that is nothing but its argument is a line about one thing.
        text = record.getMessage()
        key = (record.name, record.levelno, text if record.msg == "%s" else NUMBERED.sub("#", text))
        kind = self._kinds.get(key)
        now = time.monotonic()
        if kind is None or now - kind.since >= COUNTED_SECONDS:
            if kind is not None:
                self._write_count(kind)
            elif len(self._kinds) >= MOST_KINDS:
                self._write_counts()
            kind = self._kinds[key] = _Kind(now)
        kind.lines += 1
        if kind.lines <= LINES_AT_ONCE:
            super().emit(record)
            return
        kind.last = record
        if self._timer is None:
            self._timer = threading.Timer(COUNTED_SECONDS, self._write_counts)
            self._timer.daemon = True
            self._timer.start()

    def close(self) -> None:
        """Write what was counted, at the end of the process too: logging closes its handlers there."""
        self._write_counts()
        super().close()

    def _write_counts(self) -> None:
        """Write all counts and begin anew."""
        self.acquire()
        try:
            if self._timer is not None:
                self._timer.cancel()
            self._timer = None
            kinds, self._kinds = self._kinds, {}
            for kind in kinds.values():
                self._write_count(kind)
        finally:
            self.release()

    def _write_count(self, kind: _Kind) -> None:
        if kind.last is None or self.stream.closed:
            return
        last, more = kind.last, kind.lines - LINES_AT_ONCE
        text = f"{last.getMessage()} (and {more - 1} more like this in {time.monotonic() - kind.since:.0f} s)"
        # Its text is clean by now: no argument, so it is not escaped twice.
        record = logging.makeLogRecord({**last.__dict__, "msg": text if more > 1 else last.getMessage(), "args": ()})
        super().emit(record)


@dataclass(slots=True)
class _Kind:
    """Lines of one kind, since the first of them."""

    # By time.monotonic().
    since: float
    lines: int = 0
    # The last that was counted and not written.
    last: logging.LogRecord | None = None


class NoBlame(logging.Filter):
    """Removes the traceback from requests that Django refuses for safety: anybody could fill the log with them."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Keep every record; its message says what was wrong."""
        if record.name.startswith("django.security"):
            record.exc_info = record.exc_text = None
        return True
