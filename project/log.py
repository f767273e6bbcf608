"""What the log says of a part that is away, and of a request that is refused: one line."""

from __future__ import annotations

import logging

from project.redis import Unavailable


class OneLine(logging.Filter):
    """Turns the traceback of a Redis that is away into its name."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Keep every record, without a traceback that says nothing of us."""
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, Unavailable | OSError):
            record.msg = f"{record.getMessage()} Redis is away: {type(error).__name__}"
            record.args, record.exc_info, record.exc_text = (), None, None
        return True


class NoBlame(logging.Filter):
    """Takes the traceback from what Django refuses for safety: anybody could fill the log with it."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Keep every record; it says what was wrong."""
        if record.name.startswith("django.security"):
            record.exc_info = record.exc_text = None
        return True
