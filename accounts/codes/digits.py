"""Reading a code as people and keyboards write it."""

from __future__ import annotations

import re
import unicodedata

from tasks.otp import DIGITS

CODE = re.compile(rf"([0-9]{{{DIGITS}}})\1?")


def read(text: str) -> str | None:
    """Return the six ASCII digits in `text`, or None if it holds anything else.

    Spaces, dashes and invisible characters between the digits mean nothing. Digits of any script count (Unicode
    category Nd). A code that was filled in twice, as iOS does, is that code.
    """
    plain = "".join(_plain(sign) for sign in unicodedata.normalize("NFKC", text))
    match = CODE.fullmatch(plain)
    return match[1] if match else None


def _plain(sign: str) -> str:
    """Return what stands for one character: an ASCII digit, nothing, or the character itself."""
    category = unicodedata.category(sign)
    if category == "Nd":
        return str(unicodedata.decimal(sign))
    # The minus sign is a dash as well. U+FE0F turns a digit into an emoji.
    return "" if category in {"Zs", "Pd", "Cf"} or sign in "\u2212\ufe0f\u20e3" else sign
