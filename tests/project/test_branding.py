"""The settings of the site's own name: what they refuse, and that a colour that starts can be seen and read."""

from __future__ import annotations

import random
import re
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree

import pytest

from project import branding, colour, env
from tests.support.stack import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable

PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 30
# No colour's neighbour.
BAD = (127, 127, 127)
SVG = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9">{}</svg>'


def refusal(read: Callable[..., object], *written: str, **options: object) -> str:
    """Return the line with which a value is refused."""
    with pytest.raises(env.BadSetting) as caught:
        read(*written, **options)
    (line,) = str(caught.value).splitlines()
    return line


# --- The colour ---


@pytest.mark.parametrize(
    ("one", "other", "ratio"),
    # The first is WCAG's own extreme, the others are well-known neighbours of the borders.
    [("#000", "#fff", 21.0), ("#fff", "#ffffff", 1.0), ("#767676", "#fff", 4.54), ("#949494", "#fff", 3.03)],
)
def test_a_contrast_is_that_of_wcag(one: str, other: str, ratio: float) -> None:
    first, second = colour.parse(one), colour.parse(other)
    assert first
    assert second
    assert colour.contrast(first, second) == colour.contrast(second, first) == pytest.approx(ratio, abs=0.005)


def test_the_surfaces_are_those_of_the_stylesheet() -> None:
    """A colour is checked on what it lies on: another token there is another check here."""
    sheet = (ROOT / "static" / "latchkey.css").read_text()
    light, dark = re.findall(r":root \{(.*?)\n\s*\}", sheet, re.DOTALL)[:2]
    for surfaces, block in ((branding.LIGHT, light), (branding.DARK, dark)):
        for token, value in surfaces.items():
            (found,) = re.findall(rf"--{token}: (#[0-9a-f]+);", block)
            assert colour.parse(found) == colour.parse(value), token


def test_every_colour_that_starts_can_be_seen_and_read() -> None:
    """Whatever is written: the button's edge 3:1 on its page, its text and every link 4.5:1, in light and dark."""
    chosen = random.Random(15)
    started = 0
    for _ in range(3000):
        written = f"#{chosen.randrange(1 << 24):06x}"
        try:
            accents = branding.colours(written)
        except env.BadSetting as refused:
            # What it says to write instead does start.
            (instead,) = re.findall(r"SITE_COLOUR=(#\w+,#\w+)", str(refused))
            accents = branding.colours(instead)
        else:
            started += 1
        sheet = branding.stylesheet(accents)
        for part, surfaces in zip(sheet.split("@media"), (branding.LIGHT, branding.DARK), strict=True):
            tokens = {name: colour.parse(value) or BAD for name, value in re.findall(r"--([\w-]+):(#\w+)", part)}
            fill, text, hover, link = (tokens[name] for name in ("accent", "on-accent", "accent-hover", "link"))
            lying_on = [value for value in map(colour.parse, surfaces.values()) if value]
            assert colour.weakest(fill, lying_on[:-1])[0] >= 3, (written, part)
            assert colour.weakest(link, lying_on)[0] >= 4.5, (written, part)
            assert colour.contrast(text, fill) >= 4.5, (written, part)
            assert colour.contrast(text, hover) >= 4.5, (written, part)
    assert started > 500, "or this test means nothing"


@pytest.mark.parametrize(
    ("written", "ratio", "where"),
    [("#07c160", "2.1:1", "for light pages"), ("#0b2545", "1.0:1", "for dark pages"), ("#ffe08a", "1.1:1", "light"),
     ("#d4380d,#222", "1.0:1", "dark"), ("#eee,#eee", "1.0:1", "light")],
)  # fmt: skip
def test_a_colour_that_could_not_be_seen_is_refused_with_its_ratio(written: str, ratio: str, where: str) -> None:
    line = refusal(branding.colours, written)
    assert line.startswith("SITE_COLOUR has #")
    assert ratio in line
    assert where in line
    assert "needs 3:1" in line


@pytest.mark.parametrize("written", ["green", "#12345", "#0b7a5c,#0b7a5c,#0b7a5c", "rgb(0,0,0)", ",", "#xyzxyz"])
def test_what_is_no_colour_is_refused(written: str) -> None:
    assert "SITE_COLOUR=#0b7a5c" in refusal(branding.colours, written)


def test_a_site_without_a_colour_has_the_stylesheet_of_everybody() -> None:
    assert branding.stylesheet(branding.colours("")) == ""


# --- The mark ---


def test_a_mark_is_an_svg_or_a_png(tmp_path: Path) -> None:
    drawn, painted = tmp_path / "mark.svg", tmp_path / "mark.png"
    drawn.write_text(SVG.format('<path d="M0 0h9v9z"/>'))
    painted.write_bytes(PNG)
    assert branding.mark(str(drawn)) == drawn
    assert branding.mark(str(painted)) == painted
    assert branding.mark("") is None


@pytest.mark.parametrize(
    ("name", "body", "why"),
    [
        ("mark.jpg", b"\xff\xd8", "neither SVG nor PNG"),
        ("mark.png", b"GIF89a", "neither SVG nor PNG"),
        ("mark.svg", b"not xml", "cannot be read as SVG"),
        ("mark.svg", b"<html/>", "is no SVG"),
        ("mark.svg", SVG.replace(' viewBox="0 0 9 9"', "").encode(), "no viewBox"),
        ("mark.svg", SVG.format("<script>alert(1)</script>").encode(), "contains a script"),
        ("mark.svg", SVG.format('<g onclick="alert(1)"/>').encode(), "contains a script"),
        ("mark.svg", b'<!DOCTYPE svg [<!ENTITY a "a">]>' + SVG.encode(), "declares entities"),
        ("mark.png", PNG + b"\0" * 65536, "of 65574 bytes"),
    ],
)
def test_what_is_no_mark_is_refused(tmp_path: Path, name: str, body: bytes, why: str) -> None:
    (tmp_path / name).write_bytes(body)
    line = refusal(branding.mark, str(tmp_path / name))
    assert line.startswith(f"SITE_MARK is {tmp_path}")
    assert why in line


def test_a_mark_that_is_not_there_is_refused(tmp_path: Path) -> None:
    assert "No such file" in refusal(branding.mark, str(tmp_path / "mark.svg"))


@pytest.mark.parametrize(
    ("name", "letter"), [("Acme", "A"), ("果园", "果"), ("  éclair", "É"), ("<&>", "<"), ("#1", "1")]
)
def test_a_site_without_a_mark_has_its_first_letter(name: str, letter: str) -> None:
    root = ElementTree.fromstring(branding.monogram(name, branding.colours("#0b7a5c")))
    assert "".join(root.itertext()) == letter


# --- Name, links, home, folder ---


@pytest.mark.parametrize("written", ["x" * 41, "two\nlines", "bell\a"])
def test_a_name_that_fits_on_no_page_is_refused(written: str) -> None:
    assert refusal(branding.name, written).startswith("SITE_NAME is ")


@pytest.mark.parametrize("written", ["【果园】", "[Acme]", "x" * 21, "10690000", "+447700900000"])
def test_a_sender_is_a_name(written: str) -> None:
    """A number that sends belongs in TWILIO_FROM, and providers write the brackets themselves."""
    assert refusal(branding.sender, written).startswith("SMS_SENDER is ")


@pytest.mark.parametrize("written", ["https://example.org/terms", "http://a.example", "/terms/", "/terms/?v=2#top", ""])
def test_a_link_leads_to_a_page(written: str) -> None:
    assert branding.link("TERMS_URL", written) == written


@pytest.mark.parametrize(
    "written",
    ["terms", "//evil.example/", "/\\evil.example", "javascript:alert(1)", "data:text/html,x", "https://", "/a b",
     "mailto:help@example.org"],
)  # fmt: skip
def test_what_is_no_page_is_refused(written: str) -> None:
    assert refusal(branding.link, "TERMS_URL", written).startswith("TERMS_URL is ")


def test_help_may_be_a_mail_or_a_call() -> None:
    for written in ("mailto:help@example.org", "tel:+441632960000"):
        assert branding.link("SUPPORT_URL", written, others=("mailto", "tel")) == written
    assert "mailto:..." in refusal(branding.link, "SUPPORT_URL", "javascript:alert(1)", others=("mailto", "tel"))


@pytest.mark.parametrize(
    "written", ["京ICP备12345678号", "京ICP备12345678号-1", "粤ICP备2021012345号-2A", "京ICP证030173号"]
)
def test_a_licence_number_is_written_as_the_register_does(written: str) -> None:
    assert branding.icp_number(written) == written


@pytest.mark.parametrize("written", ["12345678", "ICP 12345678", "京ICP备号", "京ICP备12345678号<b>"])
def test_another_number_is_refused(written: str) -> None:
    assert "京ICP备12345678号-1" in refusal(branding.icp_number, written)


@pytest.mark.parametrize(
    ("written", "home"), [("page", "page"), ("off", "/login/"), ("/account/", "/account/"), ("/a?b=c", "/a?b=c")]
)
def test_the_home_page_is_ours_or_elsewhere_on_this_site(written: str, home: str) -> None:
    assert branding.home_page(written) == home


def test_home_is_the_user_s_folder_unless_it_cannot_be(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Every process has HOME. In the file of settings it is ours; in the environment only the two words are."""
    monkeypatch.setenv("ENV_FILE", "")
    for home, found in (("/root", "page"), ("/account/", "page"), ("off", "off"), ("page", "page"), ("", "page")):
        monkeypatch.setenv("HOME", home)
        assert branding.home_setting() == found
    (tmp_path / "env").write_text("HOME=/account/\n")
    monkeypatch.setenv("ENV_FILE", str(tmp_path / "env"))
    monkeypatch.setenv("HOME", "/root")
    assert branding.home_setting() == "/account/"


@pytest.mark.parametrize(
    "written", ["/", "on", "//evil.example", "/\\evil.example", "https://evil.example", "account/"]
)
def test_a_home_that_is_a_loop_or_another_site_is_refused(written: str) -> None:
    assert "HOME_PAGE=/account/" in refusal(branding.home_page, written)


def test_a_folder_has_templates_or_static_files(tmp_path: Path) -> None:
    assert branding.folder("") is None
    assert "neither a folder templates nor a folder static" in refusal(branding.folder, str(tmp_path))
    assert "SITE_DIR=/srv/acme" in refusal(branding.folder, str(tmp_path / "nowhere"))
    (tmp_path / "static").mkdir()
    assert branding.folder(str(tmp_path)) == tmp_path
