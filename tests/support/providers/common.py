"""What every gateway has to get right, whatever its API: the tests of each walk through these."""

from __future__ import annotations

import logging
import re
from contextlib import contextmanager
from typing import TYPE_CHECKING
from uuid import uuid4

from tasks.gateways import Message, Outcome, Reason

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytest
    from pytest_django import Settings

    from tests.support.providers.fake import Fake

NONE, NUMBER, WAIT, OPERATOR = Reason.NONE, Reason.NUMBER, Reason.WAIT, Reason.OPERATOR
ROUTE = Reason.ROUTE
ACCEPTED, NOT_SENT, REFUSED, UNKNOWN = Outcome.ACCEPTED, Outcome.NOT_SENT, Outcome.REFUSED, Outcome.UNKNOWN

# A mode of the provider, what the gateway makes of it, and whether the SMS arrives all the same.
FAULTS = [
    ("busy", NOT_SENT, NONE, False),
    ("429", NOT_SENT, NONE, False),
    ("auth_error", REFUSED, OPERATOR, False),
    ("balance", REFUSED, OPERATOR, False),
    ("bad_number", REFUSED, NUMBER, False),
    ("400", REFUSED, OPERATOR, False),
    ("503", UNKNOWN, NONE, False),
    ("500", UNKNOWN, NONE, False),
    ("408", UNKNOWN, NONE, False),
    # Not the provider's own word: a wrong base URL, or a wall in front of it.
    ("401", UNKNOWN, OPERATOR, False),
    ("404", UNKNOWN, OPERATOR, False),
    ("redirect", UNKNOWN, OPERATOR, False),
    ("accept_then_502", UNKNOWN, NONE, True),
    ("accept_then_garbage", UNKNOWN, NONE, True),
    ("accept_then_reset", UNKNOWN, NONE, True),
    ("reset", UNKNOWN, NONE, False),
    ("huge_body", UNKNOWN, NONE, True),
    ("endless_headers", UNKNOWN, NONE, True),
]
# Those that take their full time; the last three are taken by the provider.
STALLS = ["hang", "accept_then_hang", "slow_drip", "slow_headers"]
# Bodies under HTTP 200 that no provider would send.
NONSENSE = ["", "null", "[]", "ok!", "[" * 50_000, "9" * 50_000, '"OK"', "{}", "<Response/>"]


def use(provider: Fake, settings: Settings) -> None:
    """Point Latchkey at a provider."""
    for name, value in provider.settings.items():
        setattr(settings, name, value)


def message(to: str = "+8613800138000", code: str = "314159", reference: str = "") -> Message:
    """Make a message as the worker does."""
    text = f"{code} is your code"
    return Message(to=to, code=code, minutes=5, seconds=300, text=text, reference=reference or uuid4().hex)


@contextmanager
def nothing_secret(caplog: pytest.LogCaptureFixture, *secrets: str) -> Iterator[list[object]]:
    """Fail when a secret is in a log line or in what is appended to the list."""
    for name in ("", "httpcore", "tasks", "apprise", "requests", "urllib3"):
        caplog.set_level(logging.DEBUG, name)
    said: list[object] = []
    yield said
    assert said, "or this means nothing"
    written = caplog.text + repr(said) + "".join(str(record.__dict__) for record in caplog.records)
    for secret in secrets:
        assert secret, "or this means nothing"
        # A short one may be part of a longer number by chance.
        assert not re.search(rf"(?<![0-9A-Za-z]){re.escape(secret)}(?![0-9A-Za-z])", written)
