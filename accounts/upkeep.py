"""What must be done once a day for accounts, by whichever worker comes first; twice does no harm."""

from __future__ import annotations

from huey import crontab
from huey.contrib.djhuey import db_periodic_task

from accounts import guesses


@db_periodic_task(crontab(hour="4", minute="27"))
def clear_guesses() -> None:
    """Forget the guesses that no longer stop anybody: who sprays names leaves a row for each."""
    guesses.clear()
