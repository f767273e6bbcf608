"""Keeps the log clean: one line an event, no secrets, and nothing that a visitor could pass off as a log line."""

from __future__ import annotations

import logging
import logging.config
import re
import traceback
from typing import Any

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


class NoBlame(logging.Filter):
    """Removes the traceback from requests that Django refuses for safety: anybody could fill the log with them."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Keep every record; its message says what was wrong."""
        if record.name.startswith("django.security"):
            record.exc_info = record.exc_text = None
        return True
