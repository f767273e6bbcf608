"""The catalogue of translations: what is marked in code and templates, and the file that translates it.

    python -m tests.tools.catalogue        writes locale/zh_Hans/LC_MESSAGES/django.po anew; what is translated stays

Django's own `makemessages` needs GNU gettext on the machine. This is its first half (templates become Python) and
Babel's extractor, both of which are installed anyway.
"""

from __future__ import annotations

import os
import re
from io import BytesIO
from pathlib import Path

from babel.messages import Catalog
from babel.messages.extract import DEFAULT_KEYWORDS, extract
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po
from django.utils.translation.template import templatize

ROOT = Path(__file__).resolve().parents[2]
PO = ROOT / "locale" / "zh_Hans" / "LC_MESSAGES" / "django.po"
APPS = ("accounts", "home", "project", "tasks")
KEYWORDS = DEFAULT_KEYWORDS | {
    f"{name}{suffix}": DEFAULT_KEYWORDS[name]
    for name in ("gettext", "ngettext", "pgettext", "npgettext")
    for suffix in ("_lazy", "_noop")
    if name in DEFAULT_KEYWORDS
}
# Without dates and names, so that the file changes only when a sentence does.
HEADER = """\
# Latchkey in simplified Chinese: by meaning, short and polite, not word for word.
# Written anew from code and templates by: python -m tests.tools.catalogue
msgid ""
msgstr ""
"Language: zh_Hans\\n"
"Plural-Forms: nplurals=1; plural=0;\\n"
"MIME-Version: 1.0\\n"
"Content-Type: text/plain; charset=UTF-8\\n"
"Content-Transfer-Encoding: 8bit\\n"

"""


def marked() -> Catalog:
    """Return every marked string, from where it is marked."""
    found = Catalog(fuzzy=False)
    sources = [path for app in APPS for path in sorted((ROOT / app).rglob("*.py")) if "migrations" not in path.parts]
    for path in [*sources, *sorted((ROOT / "templates").rglob("*.html")), *sorted((ROOT / "templates").rglob("*.txt"))]:
        text = path.read_text()
        if path.suffix != ".py":
            # What is not marked becomes a row of X; the indentation that is left would be an error in Python.
            text = re.sub(r"^[ \t]+", "", templatize(text, origin=str(path)), flags=re.MULTILINE)
        where = str(path.relative_to(ROOT))
        for _line, message, comments, context in extract("python", BytesIO(text.encode()), KEYWORDS, ["Translators"]):
            found.add(message, locations=[(where, 0)], auto_comments=comments, context=context)
    return found


def translated() -> Catalog:
    """Return the catalogue as it is on disk."""
    with PO.open("rb") as file:
        return read_po(file, locale="zh_Hans")


def fresh() -> bytes:
    """Return the catalogue anew. What is new stands there untranslated, what is no longer marked is dropped."""
    catalogue = translated() if PO.exists() else Catalog(locale="zh_Hans", fuzzy=False)
    # No guesses: a translation that was guessed is a wrong one that nobody has seen.
    catalogue.update(marked(), no_fuzzy_matching=True)
    catalogue.obsolete.clear()
    written = BytesIO(HEADER.encode())
    written.seek(0, 2)
    # The file is named, the line is not: else each edit above a string would change this one.
    write_po(written, catalogue, width=118, include_lineno=False, omit_header=True)
    return written.getvalue()


def compile_catalogue() -> None:
    """Write what Django reads, as `make` does, if it is older than the catalogue. Safe among several test processes."""
    compiled = PO.with_suffix(".mo")
    if compiled.exists() and compiled.stat().st_mtime >= PO.stat().st_mtime:
        return
    own = PO.with_name(f"django.{os.getpid()}.mo")
    with own.open("wb") as file:
        write_mo(file, translated())
    own.replace(compiled)


if __name__ == "__main__":
    # The old one is read before the new one is written.
    PO.parent.mkdir(parents=True, exist_ok=True)
    PO.write_bytes(fresh())
