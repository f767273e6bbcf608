"""Mobile numbers: every spelling of one number becomes one E.164 number before any key, query or hash."""

from __future__ import annotations

import re
import unicodedata

import phonenumbers
from django.conf import settings
from phonenumbers import COUNTRY_CODE_TO_REGION_CODE, PhoneNumberFormat, PhoneNumberType

# ASCII only: phonenumbers itself would take Arabic-Indic digits, letters as keypad digits, and extensions.
SPELLING = re.compile(r"\+?[0-9][0-9 ().\-]{3,30}")
E164 = re.compile(r"\+[1-9][0-9]{6,14}")
MOBILE_TYPES = {PhoneNumberType.MOBILE, PhoneNumberType.FIXED_LINE_OR_MOBILE}


class BadMobile(ValueError):
    """The text is no mobile number of a region that SMS_REGIONS allows; the visitor is shown the format."""


def canonical(text: str) -> str:
    """Return the E.164 form of a number as people write it: 138 0013 8000, +86-138..., 0086138..., full-width digits.

    Raises BadMobile for anything else, control characters and NUL among them.
    """
    # NFKC turns the full-width digits and signs of a Chinese keyboard into the plain ones.
    plain = unicodedata.normalize("NFKC", text[:64]).strip(" \t\r\n")
    if len(text) > 64 or not SPELLING.fullmatch(plain):
        raise BadMobile
    for region in settings.SMS_REGIONS:
        try:
            number = phonenumbers.parse(plain, region)
        except phonenumbers.NumberParseException:
            continue
        if (
            phonenumbers.is_valid_number(number)
            and phonenumbers.region_code_for_number(number) in settings.SMS_REGIONS
            and phonenumbers.number_type(number) in MOBILE_TYPES
        ):
            return phonenumbers.format_number(number, PhoneNumberFormat.E164)
    raise BadMobile


def looks_like_mobile(text: str) -> bool:
    """Tell whether a text could be taken for a number, right or wrong: then it is no username."""
    plain = unicodedata.normalize("NFKC", text)
    return bool(re.fullmatch(r"\+?[0-9 ().\-_]+", plain)) and sum(c.isdigit() for c in plain) >= 7


def masked(mobile: str) -> str:
    """Return a number as pages may show it: enough for its owner, too little for a stranger."""
    if not mobile:
        return ""
    national = _national(mobile)
    if not national:
        # Somebody has written it past us. It is no number, and nothing of it is shown.
        return "****"
    # At least four digits stay hidden, in an eight-digit number as well.
    shown = max(0, min(4, len(national) - 3 - 4))
    return f"{national[:3]} **** {national[-shown:] if shown else ''}".strip()


def _national(mobile: str) -> str:
    """Return a number without its country's digits, empty when it is not E.164. (ITU-T E.164, 6.2: no country's digits
    begin those of another.)
    """
    if E164.fullmatch(mobile):
        for length in (1, 2, 3):
            if int(mobile[1 : 1 + length]) in COUNTRY_CODE_TO_REGION_CODE:
                return mobile[1 + length :]
    return ""
