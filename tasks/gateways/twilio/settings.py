"""Twilio: the account's sid and token, and either the number that sends or a messaging service."""

from __future__ import annotations

from project.gateway_settings import Setting

SETTINGS = (
    Setting("TWILIO_ACCOUNT_SID", required=True),
    Setting("TWILIO_AUTH_TOKEN", required=True, secret=True),
    Setting("TWILIO_FROM", required=True, instead="TWILIO_MESSAGING_SERVICE_SID"),
    Setting("TWILIO_MESSAGING_SERVICE_SID"),
    Setting("TWILIO_BASE_URL", default="https://api.twilio.com"),
    Setting("TWILIO_RECEIPT_SECRET", secret=True),
)
