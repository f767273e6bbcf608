"""Gateways to SMS providers. Each takes a message and answers with an outcome, never with an exception."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from typing import Protocol, runtime_checkable

from django.conf import settings
from django.utils.module_loading import import_string


class Outcome(StrEnum):
    """What is known after a send, best first."""

    # The provider has it and will try to deliver it.
    ACCEPTED = "accepted"
    # The provider certainly does not have it, and asking again later can help.
    NOT_SENT = "not_sent"
    # The provider certainly does not have it, and asking again cannot help.
    REFUSED = "refused"
    # The request left us and nobody knows what became of it. A repeat may be a second SMS.
    UNKNOWN = "unknown"


class Reason(StrEnum):
    """Who can do something about it. It decides what the page says and whether another gateway is tried."""

    NONE = ""
    # The number itself: wrong, blocked, not served.
    NUMBER = "number"
    # The provider or carrier says this number has had enough for now.
    WAIT = "wait"
    # Credentials, balance, template, address: the operator must act.
    OPERATOR = "operator"
    # Nobody: another provider is tried at once.
    ROUTE = "route"


@dataclass(frozen=True, slots=True)
class Message:
    """One SMS as a gateway needs it."""

    # E.164, with the plus. Whatever must not be logged is left out of the repr.
    to: str = field(repr=False)
    code: str = field(repr=False)
    # How long the code still lives, in whole minutes, for templates that say so.
    minutes: int
    # The same in seconds, for gateways that can be told when a message has come too late.
    seconds: int
    # The finished text, for gateways that take one.
    text: str = field(repr=False)
    # Our delivery's id: 32 letters and digits, the same for every attempt.
    # A provider with an idempotency key gets it as that key.
    reference: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What a gateway says about one send."""

    outcome: Outcome
    reason: Reason = Reason.NONE
    # The provider's id of the message: a delivery report names it.
    provider_id: str = ""
    # The provider's own word or number for the outcome, for the operator.
    provider_code: str = ""
    # One line for the operator. Never a secret, a code or a full number.
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a provider reports later of one message."""

    # True when it is on the handset, False when it will never be.
    delivered: bool
    # The provider's id, as the send's answer named it; empty when the report has none.
    provider_id: str = ""
    # Our reference, where the provider gives it back: it finds the delivery even when the send's answer was lost.
    reference: str = ""
    # The carrier's own word, for the operator.
    provider_code: str = ""


class Forged(Exception):
    """A report is not the provider's: its signature or its form is wrong. The sender gets 403 and nothing changes."""


class Gateway(Protocol):
    """What every gateway has."""

    # True when a repeat with the same reference cannot become a second SMS,
    # so that an unknown outcome may simply be tried again.
    idempotent: bool

    def send(self, message: Message) -> Answer:
        """Send one message. Bounded in time (connect 2 s, read 5 s), bounded in size, and it never raises."""
        ...


@runtime_checkable
class Reporting(Protocol):
    """What a gateway also has if its provider sends delivery reports. Their secret path has been checked already."""

    # The content type and body that tell the provider not to report again.
    receipt_reply: tuple[str, str]

    def receipts(self, body: bytes, form: Mapping[str, str], url: str, headers: Mapping[str, str]) -> list[Receipt]:
        """Return the messages that a report calls delivered or failed. Raises Forged.

        `form` is the body's fields where it is a form, each name once; `url` is the address as the provider
        called it, with PUBLIC_ORIGIN's host; `headers` are case-insensitive.
        """
        ...

    def report_reason(self, provider_code: str) -> Reason:
        """Return what a failed message's code means, by the gateway's own table."""
        ...


def report_reason(gateway: str, provider_code: str) -> Reason:
    """Return who can do something about a message that a report with this code calls failed."""
    provider = get(gateway)
    return provider.report_reason(provider_code) if isinstance(provider, Reporting) else Reason.NUMBER


@cache
def get(name: str) -> Gateway:
    """Return the gateway of that name, which the settings have checked."""
    gateway: Gateway = import_string(settings.GATEWAYS[name])()
    return gateway
