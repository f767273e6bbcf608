"""Numbers: however one is written, it is that number or none, and what could be one is no username."""

from __future__ import annotations

import re
import unicodedata
from contextlib import suppress
from typing import NamedTuple

from django.conf import settings
from django.test import override_settings
from hypothesis import strategies as st

from accounts.models import USERNAME
from accounts.phone_numbers import BadMobile, canonical, looks_like_mobile, masked
from tests.tools.fuzz.target import Target

# Full-width digits, and other signs for them that NFKC makes plain.
LOOKALIKES = ("0123456789", "０１２３４５６７８９", "𝟎𝟏𝟐𝟑𝟒𝟓𝟔𝟕𝟖𝟗", "⓪①②③④⑤⑥⑦⑧⑨")
SIGNS = "0123456789+-(). \t\r\n\x00０５９＋－（）．\u3000\u200b\u202e\xa0٣۵߄²⅕x#;,abcEXText=:/_*~"


class Spelling(NamedTuple):
    """A number of one region, and one way to write it."""

    region: str
    national: str
    code: str
    text: str


# Beginnings of numbers for mobiles, the digits after them, the country's code, and what is dialled in place of a plus.
PLANS = {
    "CN": (("138", "159", "186", "199"), 8, "86", "00"),
    "HK": (("51", "62", "91"), 6, "852", "001"),
    "GB": (("7400", "7911"), 6, "44", "00"),
}


@st.composite
def spellings(draw: st.DrawFn) -> Spelling:
    """Make a mobile number and write it as people do, or nearly so."""
    region = draw(st.sampled_from(sorted(PLANS)))
    beginnings, rest, code, abroad = PLANS[region]
    national = draw(st.sampled_from(beginnings)) + draw(st.text("0123456789", min_size=rest, max_size=rest))
    prefix = draw(st.sampled_from(["", "", f"+{code}", f"{abroad}{code}", code, "0", f"+{code} (0)", f"+{code}-"]))
    text = prefix
    for digit in national:
        text += draw(st.sampled_from(LOOKALIKES))[int(digit)] + draw(st.sampled_from(["", "", "", "", "-", " ", "."]))
    return Spelling(region, national, code, draw(st.sampled_from(["", "", " ", "\t", "\n"])) + text)


def one_number(spelling: Spelling) -> None:
    """T-4, T-79: every spelling of one number is that number, or is refused; never another one."""
    with override_settings(SMS_REGIONS=[spelling.region]):
        right = f"+{spelling.code}{spelling.national}"
        # Refused where nobody has this number.
        with suppress(BadMobile):
            assert canonical(spelling.text) == right
        with suppress(BadMobile):
            assert canonical(right) == right


def any_text(text: str) -> None:
    """T-32, T-79: a number or BadMobile; a number stays itself, shows little, and its spelling is no username."""
    looks = looks_like_mobile(text)
    try:
        number = canonical(text)
    except BadMobile:
        return
    assert re.fullmatch(r"\+[1-9][0-9]{6,14}", number, re.ASCII)
    assert canonical(number) == number
    assert looks_like_mobile(number)
    assert looks or not USERNAME.fullmatch(text), "a username that is somebody's number"
    typed = re.sub(r"[^0-9]", "", unicodedata.normalize("NFKC", text))
    assert typed.endswith(number[-7:]), "digits that nobody typed"
    shown = masked(number)
    hidden = len(re.sub(r"[^0-9]", "", number)) - sum(sign.isdigit() for sign in shown)
    assert "****" in shown
    assert hidden >= 4, "too much of a number is shown"


def any_bytes(data: bytes) -> None:
    """As any_text, for atheris."""
    with override_settings(SMS_REGIONS=["CN", "HK", "GB", "US"][: 1 + data[0] % 4] if data else settings.SMS_REGIONS):
        any_text(data[1:].decode("utf-8", "surrogatepass" if data[:1] > b"\x7f" else "replace"))


def safe_bytes(data: bytes) -> None:
    """As any_bytes; bytes that are no text at all are nothing for us."""
    try:
        any_bytes(data)
    except UnicodeDecodeError:
        return


TARGETS = (
    Target("spellings", spellings(), one_number),
    Target(
        "numbers",
        st.one_of(st.text(SIGNS, max_size=40), st.text(max_size=80), spellings().map(lambda spelling: spelling.text)),
        any_text,
        raw=safe_bytes,
        seeds=tuple(b"\x00" + text.encode() for text in ("13800138000", "+86 138-0013-8000", "00852 5123 4567")),
    ),
)
