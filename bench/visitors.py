"""`python -m bench.visitors 1000`: make so many browsers for open pages, each with a session and an SMS that was sent.

Made by a process of the site, which is a hundred times as fast as by visits. What is needed of each is printed as JSON:
the session's key for the cookie, and the browser's hash, which names its group and its row.
"""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

import django

from tests.support.stack import ROOT

if TYPE_CHECKING:
    from tests.support.stack import Stack


class Visitor(NamedTuple):
    """One browser that has been here before."""

    session: str
    browser: str

    @property
    def cookie(self) -> str:
        """What it sends."""
        # The token is not looked at, and is there all the same.
        return f"csrftoken={self.browser}; sessionid={self.session}"

    @property
    def group(self) -> str:
        """What its pages listen to."""
        return f"browser.{self.browser}"


def invite(stack: Stack, number: int) -> list[Visitor]:
    """Make so many visitors of a site."""
    done = subprocess.run(
        [sys.executable, "-m", "bench.visitors", str(number)],
        cwd=ROOT, env=stack.environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return [Visitor(*pair) for pair in json.loads(done.stdout)]


def main(number: int) -> None:
    """Make them and print them."""
    django.setup()
    # These can be imported when Django stands.
    from django.utils import timezone

    from accounts.sessions import SessionStore, browser_id
    from tasks.models import Delivery, State

    made: list[tuple[str, str]] = []
    deliveries = []
    for n in range(number):
        session = SessionStore()
        own = browser_id.plant(session)
        session.save()
        deliveries.append(
            Delivery(
                mobile=f"+86139{n:08}",
                purpose="login",
                browser=own,
                address="bench",
                language="en",
                state=State.SENT,
                attempts=1,
                resend_at=timezone.now() - timedelta(seconds=1),
            )
        )
        made.append((str(session.session_key), own))
    Delivery.objects.bulk_create(deliveries, batch_size=200)
    json.dump(made, sys.stdout)


if __name__ == "__main__":
    main(int(sys.argv[1]))
