"""Signs of life: what one page does to those of the others."""

from __future__ import annotations

import asyncio

import pytest

from accounts.live import heartbeat


class Page:
    """A page that counts its signs of life, or cannot be told."""

    def __init__(self, *, broken: bool = False) -> None:
        """Begin unheard of."""
        self.broken = broken
        self.told = 0
        self.told_twice = asyncio.Event()

    async def send_leaves(self, html: str) -> None:
        """Take a sign of life."""
        assert html == heartbeat.BEAT
        self.told += 1
        if self.told == 2:
            self.told_twice.set()
        if self.broken:
            raise ValueError("no transport")


def test_a_page_that_cannot_be_told_does_not_end_the_signs_of_the_others(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(heartbeat, "PERIOD_SECONDS", 0.3)
    broken, whole = Page(broken=True), Page()

    async def beat() -> None:
        beats = heartbeat.Heartbeat()
        beats.add(broken)
        beats.add(whole)
        await asyncio.wait_for(whole.told_twice.wait(), 20)

    asyncio.run(beat())
    assert broken.told >= 2
    assert "no transport" in caplog.text
