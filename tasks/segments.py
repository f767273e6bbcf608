"""How many parts an SMS has: a provider bills each, and a handset puts them together.

GSM 03.38 has 160 characters in one part and 153 in each of several; a text with any other character is UCS-2, with 70
and 67. https://www.twilio.com/docs/glossary/what-sms-character-limit
"""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.core import checks
from django.utils import translation

from project.broker.graceful import STARTED
from tasks.models import Delivery
from tasks.sms import compose

GSM = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
# These take two characters each.
GSM_EXTENDED = frozenset("^{}\\[~]|€\f")
# Gateways that send the text that is written here; the others send a template that the provider has approved.
OWN_TEXT = ("twilio", "apprise")
# The setting with the text of each language.
SETTINGS = {"en": "SMS_TEXT_EN", "zh-hans": "SMS_TEXT_ZH"}


def segments(text: str) -> int:
    """Return the number of parts in which `text` is sent and billed."""
    if set(text) <= GSM | GSM_EXTENDED:
        length, one, each = len(text) + sum(sign in GSM_EXTENDED for sign in text), 160, 153
    else:
        length, one, each = len(text.encode("utf-16-be")) // 2, 70, 67
    return 1 if length <= one else math.ceil(length / each)


@checks.register(STARTED)
def one_segment(app_configs: object, **options: Any) -> list[checks.CheckMessage]:
    """Warn when a code's SMS has more than one part in a language, which costs as much more."""
    if not set(OWN_TEXT) & set(settings.SMS_GATEWAYS):
        return []
    found: list[checks.CheckMessage] = []
    for language, name in settings.LANGUAGES:
        row = Delivery(mobile="+8613800138000", purpose="login", language=language)
        parts = segments(compose(row, timedelta()).text)
        if parts > 1:
            with translation.override("en"):
                words = f"A code's SMS in {name} has {parts} parts, and each is billed"
            found.append(
                checks.Warning(
                    f"{words}: the host {settings.PUBLIC_HOST} takes {len(settings.PUBLIC_HOST)} of its characters.",
                    hint=f"Write a shorter text in {SETTINGS[language]}, or use a shorter host name in PUBLIC_ORIGIN.",
                    id="tasks.W001",
                )
            )
    return found


@checks.register(STARTED)
def unused_texts(app_configs: object, **options: Any) -> list[checks.CheckMessage]:
    """Warn when a text is set that no gateway sends."""
    if {*OWN_TEXT, "phone"} & set(settings.SMS_GATEWAYS):
        return []
    gateways = ", ".join(settings.SMS_GATEWAYS)
    return [
        checks.Warning(
            f"{SETTINGS[language]} is not used: {gateways} sends the template that the provider has approved.",
            hint="Change the template in the provider's console, and leave the setting out.",
            id="tasks.W002",
        )
        for language, text in settings.SMS_TEXTS.items()
        if text
    ]
