"""What must be done once a day, by whichever worker comes first; twice does no harm."""

from __future__ import annotations

from django.core.management import call_command
from huey import crontab
from huey.contrib.djhuey import db_periodic_task


@db_periodic_task(crontab(hour="4", minute="17"))
def clear_sessions() -> None:
    """Delete the sessions that have run out: every visitor has one, signed in or not."""
    call_command("clearsessions")
