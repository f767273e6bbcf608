"""Twilio: the account's sid and token, and either what sends, a number or a name (default: SMS_SENDER), or a messaging
service. A name has at most 11 letters, digits and spaces, and not every country takes one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from project import env
from project.gateway_settings import Setting

# A number, a short code, or a name (an alphanumeric sender id).
SENDER = re.compile(r"\+?[0-9]{3,15}|(?=.*[A-Za-z])[A-Za-z0-9 &+_-]{1,11}")

SETTINGS = (
    Setting("TWILIO_ACCOUNT_SID", required=True),
    Setting("TWILIO_AUTH_TOKEN", required=True, secret=True),
    Setting("TWILIO_FROM", required=True, instead="TWILIO_MESSAGING_SERVICE_SID", fallback="SMS_SENDER"),
    Setting("TWILIO_MESSAGING_SERVICE_SID"),
    Setting("TWILIO_BASE_URL", default="https://api.twilio.com"),
    Setting("TWILIO_RECEIPT_SECRET", secret=True),
)


def check(values: Mapping[str, str]) -> None:
    """Refuse a sender that Twilio cannot send from."""
    if not values["TWILIO_MESSAGING_SERVICE_SID"] and not SENDER.fullmatch(values["TWILIO_FROM"]):
        env.refuse(
            "TWILIO_FROM",
            f"is {values['TWILIO_FROM']!r}",
            "Write a number such as +15005550006, or a name of at most 11 letters, digits and spaces.",
        )
