"""Tasks that write down that they ran, and a handler that writes down what Huey reports."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from huey import crontab
from huey.contrib.djhuey import db_periodic_task, db_task, signal
from huey.signals import SIGNAL_ERROR, SIGNAL_RETRYING


def write(file: str, line: str) -> None:
    """Add a line to a file of the site's folder."""
    with (settings.VAR_DIR / file).open("a") as lines:
        lines.write(f"{line}\n")


@db_task()  # type: ignore[untyped-decorator]
def note(word: str) -> None:
    """Write a word down."""
    write("ran", word)


@db_task()  # type: ignore[untyped-decorator]
def other(word: str) -> None:
    """Write a word down; this kind of task is revoked as a whole."""
    write("ran", word)


@db_task()  # type: ignore[untyped-decorator]
def once(word: str) -> None:
    """Write a word down; this kind of task is revoked for one run."""
    write("ran", word)


@db_task()  # type: ignore[untyped-decorator]
def until(word: str) -> None:
    """Write a word down; this kind of task is revoked until a moment that is over."""
    write("ran", word)


@db_periodic_task(crontab(minute="0", hour="0", day="1", month="1"))  # type: ignore[untyped-decorator]
def yearly() -> None:
    """Write down that it ran."""
    write("ran", "yearly")


@db_periodic_task(crontab(minute="0", hour="0", day="1", month="1"))  # type: ignore[untyped-decorator]
def revoked_yearly() -> None:
    """Write down that it ran; this one is revoked."""
    write("ran", "revoked yearly")


@signal(SIGNAL_ERROR)  # type: ignore[untyped-decorator]
def report(_signal: str, task: Any, error: Exception) -> None:
    """Write down what an error tracker would be told."""
    write("errors", f"{task.name} {type(error).__module__}.{type(error).__name__}: {error}")
    frame = error.__traceback__
    while frame:
        write("frames", repr(frame.tb_frame.f_locals))
        frame = frame.tb_next


@signal(SIGNAL_RETRYING)  # type: ignore[untyped-decorator]
def retrying(_signal: str, task: Any) -> None:
    """Write down that a task is to be tried again."""
    write("retries", task.name)
