"""What must be done once a day for accounts, by whichever worker comes first; twice does no harm."""

from __future__ import annotations

from huey import crontab
from huey.contrib.djhuey import db_periodic_task

from accounts.throttling import failed_attempts

# A task is known by its module and name, in a queue and in what an operator has revoked: these keep theirs.
NAMED_IN = "accounts.upkeep"


@db_periodic_task(crontab(hour="4", minute="27"), __module__=NAMED_IN)
def clear_guesses() -> None:
    """Forget the guesses that no longer stop anybody: who sprays names leaves a row for each."""
    failed_attempts.clear()
