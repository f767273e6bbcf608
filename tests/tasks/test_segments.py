"""The parts of an SMS are counted as a provider bills them, and told to the operator."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from django.core import checks

from tasks.segments import one_segment, segments

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_django import Settings

    from tests.support.stack import Stack


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("", 1), ("a" * 160, 1), ("a" * 161, 2), ("a" * 306, 2), ("a" * 307, 3),
        ("{" * 80, 1), ("{" * 81, 2), ("é" * 160, 1), ("ç" * 71, 2),
        ("码" * 70, 1), ("码" * 71, 2), ("码" * 134, 2), ("码" * 135, 3), ("a" * 69 + "码", 1),
        ("😀" * 35, 1), ("😀" * 36, 2),
    ],
)  # fmt: skip
def test_the_parts_are_those_that_are_billed(text: str, parts: int) -> None:
    """A sign outside the basic plane counts twice in UCS-2, and one of the extension table twice in GSM 03.38."""
    assert segments(text) == parts


@pytest.mark.parametrize(("host", "warns"), [("a.example", False), ("login.department.ministry.example.org", True)])
def test_a_host_that_makes_a_second_part_is_told_at_the_start(settings: Settings, host: str, warns: bool) -> None:
    settings.SMS_GATEWAYS = ["twilio"]
    settings.PUBLIC_HOST = host
    found = one_segment(None)
    assert bool(found) is warns
    assert all(one.id == "tasks.W001" and host in one.msg for one in found)
    assert all(isinstance(one, checks.Warning) for one in found)


def test_a_text_that_is_a_provider_s_template_is_not_ours_to_count(settings: Settings) -> None:
    settings.SMS_GATEWAYS = ["aliyun"]
    settings.PUBLIC_HOST = "login.department.ministry.example.org"
    assert one_segment(None) == []


def test_a_worker_says_so_when_it_starts(make_stack: Callable[..., Stack]) -> None:
    """The dev phone costs nothing, so only a site with a real provider is told."""
    stack = make_stack(
        DEBUG="0", PUBLIC_ORIGIN="https://login.department.ministry.example.org", SMS_GATEWAYS="twilio",
        TWILIO_ACCOUNT_SID="AC" + "0" * 32, TWILIO_AUTH_TOKEN="nothing", TWILIO_FROM="+15005550006",
    )  # fmt: skip
    assert "(tasks.W001)" in stack.workers[0].text()
    assert "Simplified Chinese has 2 parts" in stack.workers[0].text()
