"""What the log says of a part that is away: one line, and which part."""

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
