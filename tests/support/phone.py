"""What arrives on handsets, read as their owners would: from the dev phone's JSON, or from the provider's ledger."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import httpx

if TYPE_CHECKING:
    from tests.support.provider import Provider


@dataclass(frozen=True, slots=True)
class Arrived:
    """One SMS. The provider takes a template's values only, so `text` is empty there."""

    to: str
    code: str
    text: str = ""


class Handset:
    """Every handset there is."""

    def __init__(self, url: str, provider: Provider | None) -> None:
        """Take where to look."""
        self.url, self.provider = url, provider

    @property
    def messages(self) -> list[Arrived]:
        """Return what has arrived, oldest first."""
        if self.provider:
            return [Arrived(f"+86{sms.to}", sms.code) for sms in self.provider.sent]
        found = httpx.get(f"{self.url}/dev/phone/messages.json", verify=False).raise_for_status().json()
        return [Arrived(message["to"], message["code"], message["text"]) for message in found]

    def wait_for(self, count: int, seconds: float = 15) -> list[Arrived]:
        """Wait until so many have arrived, and return all."""
        deadline = time.monotonic() + seconds
        while len(messages := self.messages) < count:
            assert time.monotonic() < deadline, f"{len(messages)} of {count} SMS arrived within {seconds} s"
            time.sleep(0.05)
        return messages

    def code_for(self, mobile: str, nth: int = 1) -> str:
        """Wait until a number has received so many SMS, and return the code in the last of those."""
        deadline = time.monotonic() + 15
        while len(mine := [m for m in self.messages if m.to == f"+86{mobile}"]) < nth:
            assert time.monotonic() < deadline, f"{len(mine)} of {nth} SMS arrived at {mobile}"
            time.sleep(0.05)
        return mine[nth - 1].code
