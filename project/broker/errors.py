"""What can go wrong between us and RabbitMQ, in words that an operator may read in the log."""

from __future__ import annotations


class Away(Exception):
    """RabbitMQ did not take it, or did not say so in time: it may be queued or not. The message holds no password."""


class ConnectionLost(Away):
    """The connection broke before the answer. It is worth one more try."""


def reason(error: BaseException) -> str:
    """Return in a few words why RabbitMQ is not there. None of pika's errors holds the password."""
    # pika wraps the cause, sometimes three times.
    while inner := getattr(error, "exceptions", None) or getattr(error, "exception", None) or _wrapped(error):
        error = inner[-1] if isinstance(inner, list | tuple) else inner
    text = getattr(error, "reply_text", "") or str(error.args[-1] if error.args else "") or type(error).__name__
    if "Timeout while setting up" in text:
        text = "no answer"
    if "x-queue-type" in text or "inequivalent arg" in text:
        text += ". The queue must be a quorum queue of ours: delete it, or write another QUEUE_NAME"
    return " ".join(text.split())[:300]


def _wrapped(error: BaseException) -> BaseException | None:
    return error.args[0] if error.args and isinstance(error.args[0], BaseException) else None
