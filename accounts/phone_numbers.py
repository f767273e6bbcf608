"""Mobile numbers: every spelling of one number becomes one E.164 number before any key, query or hash."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import phonenumbers
from django.conf import settings
from django.utils.translation import get_language, to_locale
from phonenumbers import COUNTRY_CODE_TO_REGION_CODE, PhoneNumberFormat, PhoneNumberType

if TYPE_CHECKING:
    from collections.abc import Mapping

# The signs that libphonenumber takes as punctuation, as NFKC leaves them. Not its x: "x5" is an extension, and "138x"
# is a digit that somebody has hidden.
SIGNS = r" ().\[\]/~\-\u2010-\u2015\u2053\u2212\u223c\u30fc"
# ASCII only: phonenumbers itself would take Arabic-Indic digits, letters as keypad digits, and extensions.
SPELLING = re.compile(rf"[(\[]?\+?[(\[]?[0-9][0-9{SIGNS}]{{3,40}}")
NUMBER_LIKE = re.compile(rf"[+_0-9{SIGNS}]+")
E164 = re.compile(r"\+[1-9][0-9]{6,14}")
MOBILE_TYPES = {PhoneNumberType.MOBILE, PhoneNumberType.FIXED_LINE_OR_MOBILE}


class BadMobile(ValueError):
    """The text is no mobile number of a region that SMS_REGIONS allows; the visitor is shown the format."""


class WhichCountry(BadMobile):
    """The digits are a number in more than one of SMS_REGIONS; the visitor is asked for the country code."""


def written(text: str) -> str:
    """Return a text in plain signs: full-width ones become ASCII; direction marks and the like (Cf) are dropped."""
    return unformatted(unicodedata.normalize("NFKC", text))


def unformatted(text: str) -> str:
    """Return a text without its invisible format characters."""
    return "".join(sign for sign in text if unicodedata.category(sign) != "Cf")


def canonical(text: str, region: str = "") -> str:
    """Return the E.164 form of a number as people write it: 138 0013 8000, +86-138..., 0086138..., full-width digits.

    `region` is the country that the visitor chose. It counts for digits without a country code only.

    Raises WhichCountry for digits that are a number in several regions, each of them somebody's. Raises BadMobile for
    anything else, control characters and NUL among them.
    """
    plain = written(text[:64]).strip(" \t\r\n")
    if len(text) > 64 or not SPELLING.fullmatch(plain):
        raise BadMobile
    # Without the signs, so that none of them can change which number it is.
    digits = re.sub(r"[^+0-9]", "", plain)
    chosen = region in settings.SMS_REGIONS and not digits.startswith(("+", "00"))
    found = {number for name in ([region] if chosen else settings.SMS_REGIONS) if (number := _read(digits, name))}
    if len(found) > 1:
        raise WhichCountry
    if not found:
        raise BadMobile
    return found.pop()


def _read(digits: str, region: str) -> str:
    """Return the number (E.164) that these digits are when they are dialled in a region, or "" for none of ours."""
    try:
        number = phonenumbers.parse(digits, region)
    except phonenumbers.NumberParseException:
        return ""
    if (
        phonenumbers.is_valid_number(number)
        and phonenumbers.region_code_for_number(number) in settings.SMS_REGIONS
        and phonenumbers.number_type(number) in MOBILE_TYPES
    ):
        return phonenumbers.format_number(number, PhoneNumberFormat.E164)
    return ""


@dataclass(frozen=True, slots=True)
class Region:
    """A region whose numbers get codes: its ISO 3166 name and its country code."""

    name: str
    code: int

    @property
    def country(self) -> str:
        """Its name in the language of the request."""
        return _countries(get_language() or settings.LANGUAGE_CODE).get(self.name, self.name)


def regions() -> list[Region]:
    """Return the regions of SMS_REGIONS, in its order."""
    return [Region(name, phonenumbers.country_code_for_region(name)) for name in settings.SMS_REGIONS]


@cache
def _countries(language: str) -> Mapping[str, str]:
    # Here, so that a process that names no country does not load it.
    from babel import Locale

    return Locale.parse(to_locale(language)).territories


def example() -> str:
    """Return a mobile number of the first region, as people write it there."""
    region = settings.SMS_REGIONS[0]
    number = phonenumbers.example_number_for_type(region, PhoneNumberType.MOBILE)
    if number is None or region == "CN":
        return "138 0013 8000"
    return phonenumbers.format_number(number, PhoneNumberFormat.NATIONAL)


def looks_like_mobile(text: str) -> bool:
    """Tell whether a text could be taken for a number, right or wrong: then it is no username."""
    plain = written(text)
    return bool(NUMBER_LIKE.fullmatch(plain)) and sum(c.isdigit() for c in plain) >= 7


def masked(mobile: str) -> str:
    """Return a number as pages may show it: enough for its owner, too little for a stranger.

    With its country's digits where there are several countries: the same digits are another's elsewhere.
    """
    if not mobile:
        return ""
    national = _national(mobile)
    if not national:
        # Only a hand-written row is no number. Nothing of it is shown.
        return "****"
    # At least four digits stay hidden, in an eight-digit number as well.
    shown = max(0, min(4, len(national) - 3 - 4))
    country = f"{mobile[: -len(national)]} " if len(settings.SMS_REGIONS) > 1 else ""
    return f"{country}{national[:3]} **** {national[-shown:] if shown else ''}".strip()


def _national(mobile: str) -> str:
    """Return a number without its country code, empty when it is not E.164. No code begins another (E.164, 6.2)."""
    if E164.fullmatch(mobile):
        for length in (1, 2, 3):
            if int(mobile[1 : 1 + length]) in COUNTRY_CODE_TO_REGION_CODE:
                return mobile[1 + length :]
    return ""
