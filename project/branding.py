"""The site's own name, mark, colour and links: reading these settings, and what is made of them.

Each function that reads a setting raises `env.BadSetting` for a value that cannot work: one line that says what to
write instead.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from project import colour, env
from project.colour import RGB

PRODUCT = "Latchkey"
# Longer names do not fit beside the button in the header of a small phone.
LONGEST_NAME = 40
# Every first visit loads the mark.
LARGEST_MARK = 64 * 1024
# What buttons and links lie on: cards, the page, and the light at its top; links also on a green note, which is last.
# tests/project/test_branding.py compares them with the tokens of static/latchkey.css.
LIGHT = {"card": "#ffffff", "paper": "#f4f5f8", "glow": "#ffffff", "green-wash": "#e4f4ec"}
DARK = {"card": "#171a20", "paper": "#0f1115", "glow": "#1b1f29", "green-wash": "#12291f"}
# Where Chinese sites have to link their licence number to.
ICP_REGISTER = "https://beian.miit.gov.cn/"


def name(written: str) -> str:
    """Return the site's name, as pages and text messages say it."""
    if len(written) > LONGEST_NAME or not written.isprintable():
        env.refuse("SITE_NAME", f"is {written!r}", f"Write a name of at most {LONGEST_NAME} characters in one line.")
    return written


def sender(written: str) -> str:
    """Return the name that text messages come from, empty if it is the site's."""
    if written and (len(written) > 20 or re.search(r"[【】\[\]]", written) or not re.search(r"[^\W\d_]", written)):
        env.refuse(
            "SMS_SENDER",
            f"is {written!r}",
            "Write a name of at most 20 characters without brackets, such as SMS_SENDER=Acme.",
        )
    return written


def folder(written: str) -> Path | None:
    """Return the folder with the site's own templates and static files, None if there is none."""
    if not written:
        return None
    path = Path(written).resolve()
    if not any((path / part).is_dir() for part in ("templates", "static")):
        env.refuse(
            "SITE_DIR",
            f"is {path}, which has neither a folder templates nor a folder static",
            "Write the folder that has them, such as SITE_DIR=/srv/acme.",
        )
    return path


def mark(written: str) -> Path | None:
    """Return the file of the site's mark, None if there is none."""
    if not written:
        return None
    path = Path(written).resolve()
    try:
        body = path.read_bytes()
    except OSError as error:
        env.refuse("SITE_MARK", f"is {path}, which cannot be read ({error.strerror})", "Write the path of a file.")
    if len(body) > LARGEST_MARK:
        env.refuse(
            "SITE_MARK", f"is {path}, of {len(body)} bytes", f"Write a file of at most {LARGEST_MARK}: visitors wait."
        )
    if path.suffix == ".png" and body.startswith(b"\x89PNG\r\n\x1a\n"):
        return path
    wrong = _wrong_with_svg(body) if path.suffix == ".svg" else "is neither SVG nor PNG"
    if wrong:
        env.refuse("SITE_MARK", f"is {path}, which {wrong}", "Write the path of an SVG (.svg) or PNG (.png) file.")
    return path


def _wrong_with_svg(body: bytes) -> str:
    """Return why a browser would not show these bytes as a picture, or what could do more than be shown."""
    # An entity can make a large text of a small one.
    if b"<!ENTITY" in body:
        return "declares entities"
    try:
        root = ElementTree.fromstring(body)  # noqa: S314 (no entities, and it is the operator's file)
    except ElementTree.ParseError:
        return "cannot be read as SVG"
    if root.tag != "{http://www.w3.org/2000/svg}svg":
        return "is no SVG: its root is not svg with SVG's namespace"
    if not root.get("viewBox"):
        return "has no viewBox, so it cannot be scaled"
    for element in root.iter():
        active = any(key.lower().startswith("on") for key in element.attrib)
        if active or str(element.tag).rpartition("}")[2].lower() in {"script", "foreignobject"}:
            return "contains a script"
    return ""


def colours(written: str) -> tuple[RGB, RGB] | None:
    """Return the accent colour on light and on dark pages, None if the site has none.

    `written` is one colour, or two with a comma. It fills buttons, whose edge has to be seen on every surface. What has
    to be read is made from it by `stylesheet`, and always can be.
    """
    if not written:
        return None
    found = [colour.parse(part.strip()) for part in written.split(",")]
    if len(found) not in {1, 2} or None in found:
        env.refuse("SITE_COLOUR", f"is {written!r}", "Write a colour such as SITE_COLOUR=#0b7a5c.")
    light, dark = [part for part in (found * 2)[:2] if part]
    right = [
        colour.made_visible(light, _surfaces(LIGHT)[:-1], colour.EDGE, colour.BLACK),
        colour.made_visible(dark, _surfaces(DARK)[:-1], colour.EDGE, colour.WHITE),
    ]
    for accent, wanted, surfaces, kind in ((light, right[0], LIGHT, "light"), (dark, right[1], DARK, "dark")):
        if accent != wanted:
            ratio, surface = colour.weakest(accent, _surfaces(surfaces)[:-1])
            # Cut, not rounded: 2.96 is not 3.0.
            env.refuse(
                "SITE_COLOUR",
                f"has {colour.written(accent)} for {kind} pages: its contrast with {colour.written(surface)} there is "
                f"{int(ratio * 10) / 10}:1, and a button needs {colour.EDGE:.0f}:1 to be seen",
                "Write one colour for light and one for dark pages, such as "
                f"SITE_COLOUR={','.join(colour.written(one) for one in right)}.",
            )
    return light, dark


def link(setting: str, written: str, *, others: tuple[str, ...] = ()) -> str:
    """Return where a link in the footer leads: an https address or a path here, or one with a scheme of `others`."""
    parts = urlsplit(written)
    is_address = parts.scheme in {"http", "https"} and bool(parts.netloc)
    is_path = not parts.scheme and _is_path(written)
    if (written and not (is_address or is_path or (parts.scheme in others and parts.path))) or " " in written:
        more = "".join(f", or {scheme}:..." for scheme in others)
        env.refuse(setting, f"is {written!r}", f"Write https://..., or a path on this site such as /terms/{more}.")
    return written


def icp_number(written: str) -> str:
    """Return the number of a Chinese site's licence."""
    if written and not re.fullmatch(r"[\u4e00-\u9fff]ICP[备证]\d{5,12}号(?:-\d{1,3}[A-Z]?)?", written):
        env.refuse("ICP_NUMBER", f"is {written!r}", "Write it as the register does: ICP_NUMBER=京ICP备12345678号-1.")
    return written


def home_setting() -> str:
    """Return what HOME says, as far as that cannot be a user's folder, which every process has by that name.

    In the file of settings it is a setting; in the environment only the words `off` and `page` are.
    """
    words = os.environ.get("HOME", "").strip()
    return env.in_file("HOME") or (words if words in {"off", "page"} else "page")


def home_page(written: str) -> str:
    """Return what stands at `/`: `page`, or else the path that it redirects to."""
    if written == "page":
        return written
    path = "/login/" if written == "off" else written
    if not _is_path(path) or path == "/":
        env.refuse(
            "HOME_PAGE", f"is {written!r}", "Write off, page, or a path on this site such as HOME_PAGE=/account/."
        )
    return path


def _is_path(written: str) -> bool:
    """Tell whether this is a path on this site, and no other site's address to any browser."""
    return bool(re.fullmatch(r"/(?![/\\])[!-~]*", written)) and "\\" not in written


@dataclass(frozen=True, slots=True)
class _Accent:
    """The accent colour on pages of one kind, with what follows from it."""

    given: RGB
    surfaces: list[RGB]
    # Where a link's colour is heading when it cannot be read yet.
    towards: RGB

    @property
    def on_fill(self) -> RGB:
        """The colour of text on a button: black on a light one, else white, which is what people expect."""
        return colour.WHITE if colour.contrast(colour.WHITE, self.given) >= colour.EDGE else colour.BLACK

    @property
    def fill(self) -> RGB:
        """The colour of a button: a shade darker if its white text could not be read otherwise."""
        return colour.made_visible(self.given, [self.on_fill], colour.TEXT, colour.BLACK)

    @property
    def hover(self) -> RGB:
        """The colour of a button under the pointer: further away from its text."""
        return colour.mix(self.fill, colour.BLACK if self.on_fill == colour.WHITE else colour.WHITE, 15)

    @property
    def link(self) -> RGB:
        """The colour of links: as much darker or lighter as it takes to be read."""
        return colour.made_visible(self.given, self.surfaces, colour.TEXT, self.towards)

    def tokens(self) -> str:
        """Return the tokens of static/latchkey.css that this colour replaces."""
        values = {"accent": self.fill, "on-accent": self.on_fill, "accent-hover": self.hover, "link": self.link}
        return "".join(f"--{token}:{colour.written(value)};" for token, value in values.items())


def stylesheet(accents: tuple[RGB, RGB] | None) -> str:
    """Return the end of the site's stylesheet, which sets its colour; empty if it has none of its own."""
    if accents is None:
        return ""
    light = _Accent(accents[0], _surfaces(LIGHT), colour.BLACK).tokens()
    dark = _Accent(accents[1], _surfaces(DARK), colour.WHITE).tokens()
    return f":root{{{light}}}@media (prefers-color-scheme:dark){{:root{{{dark}}}}}"


def monogram(name: str, accents: tuple[RGB, RGB] | None) -> str:
    """Return an SVG for a site with a name and without a mark: the first letter of its name on its colour."""
    letter = next((sign for sign in name if sign.isalnum()), name[:1]).upper()
    accent = _Accent(accents[0] if accents else (20, 22, 27), [], colour.BLACK)
    fill, text = colour.written(accent.fill), colour.written(accent.on_fill)
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32">'
        f'<rect width="32" height="32" rx="8" fill="{fill}"/>'
        '<text x="16" y="16" dy=".36em" text-anchor="middle" font-family="system-ui,sans-serif" font-size="19" '
        f'font-weight="700" fill="{text}">{escape(letter)}</text></svg>'
    )


def _surfaces(named: dict[str, str]) -> list[RGB]:
    return [found for found in map(colour.parse, named.values()) if found]
