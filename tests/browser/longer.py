"""A language that nobody speaks: English with accents, in brackets, and 40 % longer.

A layout that holds it holds any translation. A text that is seen without brackets was never marked for translation.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

from babel.messages import Catalog
from babel.messages.mofile import write_mo

from tests.tools.catalogue import marked

if TYPE_CHECKING:
    from pathlib import Path

OPEN, CLOSE = "[", "]"
ACCENTS = str.maketrans("aeiouyAEIOUY", "áéíóúýÁÉÍÓÚÝ")
# What a program fills in, and markup.
KEPT = re.compile(r"(%\(\w+\)[sd]|%[sd%]|<[^>]*>)")
WORD = re.compile(r"[A-Za-z]+")


def longer(text: str) -> str:
    """Return a text in that language: its words' vowels are drawn out, and the brackets count as well."""
    parts = KEPT.split(text)
    words = [word for part in parts[::2] for word in WORD.findall(part)]
    missing = math.ceil(sum(map(len, words)) * 0.4) - len(OPEN + CLOSE)
    share = max(0, missing) / max(1, sum(map(len, words)))

    def stretched(word: re.Match[str]) -> str:
        more = round(len(word[0]) * share)
        drawn = re.sub(r"[aeiouy]", lambda vowel: vowel[0] * 2, word[0], count=more)
        return (drawn + word[0][-1] * (len(word[0]) + more - len(drawn))).translate(ACCENTS)

    return OPEN + "".join(part if n % 2 else WORD.sub(stretched, part) for n, part in enumerate(parts)) + CLOSE


def write_catalogue(folder: Path) -> Path:
    """Write it where Django looks for English, and return the folder of languages."""
    made = Catalog(locale="en", fuzzy=False)
    for message in marked():
        if not message.id:
            continue
        one, *more = [message.id] if isinstance(message.id, str) else message.id
        text: str | tuple[str, ...] = (longer(one), longer(more[0])) if more else longer(one)
        made.add(message.id, text, context=message.context)
    path = folder / "en" / "LC_MESSAGES" / "django.mo"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        write_mo(file, made)
    return folder
