"""Takes a picture of every page in every state: `python -m tests.tools.shots`, then open var/shots/index.html.

Light and dark, wide and on a phone, in English and Chinese. To be looked at by people; no test.
"""

from __future__ import annotations

import html
import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

from playwright.sync_api import sync_playwright

import tests.support.environment  # noqa: F401  (first: no setting of the developer's own gets in)
from tests.browser import looks
from tests.browser.chromium import launch
from tests.browser.states import Looker, proving, site, without_script
from tests.browser.window import browse
from tests.support.stack import migrated_database
from tests.tools.catalogue import compile_catalogue

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.browser.window import Tab

FOLDER = Path(__file__).resolve().parents[2] / "var" / "shots"
LANGUAGES = {"en": "en-US", "zh": "zh-CN"}
SIZES = {"wide": looks.WIDE, "phone": looks.PHONE}

STYLE = """
body { margin: 2rem; background: #888; color: #000; font: 1rem/1.4 sans-serif }
h2 { margin: 3rem 0 .5rem }
div { display: flex; flex-wrap: wrap; gap: 1rem; align-items: start }
figure { margin: 0 } img { display: block; border-radius: 4px }
.wide img { width: 32rem } .phone img { width: 12rem }
"""


def states(language: str, scratch: Path) -> Iterator[tuple[str, Tab]]:
    """Go through everything in one language."""
    with sync_playwright() as playwright:
        browser = launch(playwright)
        options = {"locale": LANGUAGES[language], "viewport": looks.WIDE, "reduced_motion": "reduce"}

        def nothing(*_: object) -> None: ...

        with site(scratch / "site") as stack:
            yield from Looker(stack, browse(browser, stack, nothing, **options)).everything()
            plain = browse(browser, stack, nothing, java_script_enabled=False, **options)
            yield from without_script(stack, plain)
        with site(scratch / "guarded", ALTCHA="always") as stack:
            yield from proving(stack, browse(browser, stack, nothing, **options))
        browser.close()


def take(language: str) -> list[str]:
    """Take all pictures in one language, and return the names of the states in their order."""
    names = []
    scratch = Path(tempfile.mkdtemp())
    try:
        for name, tab in states(language, scratch):
            names.append(name)
            # Nothing is pointed at.
            tab.page.mouse.move(0, 0)
            for size, viewport in SIZES.items():
                tab.page.set_viewport_size(viewport)
                for scheme in looks.SCHEMES:
                    tab.page.emulate_media(color_scheme=scheme)
                    file = FOLDER / f"{name}-{language}-{size}-{scheme}.png"
                    tab.page.screenshot(path=file, full_page=True)
            tab.page.set_viewport_size(looks.WIDE)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return names


def sheet(names: list[str]) -> str:
    """Return a page with all pictures: a row for each state."""
    rows = []
    for name in names:
        pictures = "".join(
            f'<figure class="{size}"><a href="{file}"><img src="{file}" loading="lazy" alt="{file}"></a></figure>'
            for language, size, scheme in product(LANGUAGES, SIZES, looks.SCHEMES)
            for file in [html.escape(f"{name}-{language}-{size}-{scheme}.png")]
        )
        rows.append(f'<h2 id="{html.escape(name)}">{html.escape(name)}</h2><div>{pictures}</div>')
    return f"<!doctype html><meta charset=utf-8><title>Shots</title><style>{STYLE}</style>{''.join(rows)}"


def main() -> None:
    """Take them all anew, both languages at once."""
    compile_catalogue()
    # Once, before both ask for it.
    migrated_database()
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    with ThreadPoolExecutor(len(LANGUAGES)) as pool:
        names, *_ = pool.map(take, LANGUAGES)
    FOLDER.joinpath("index.html").write_text(sheet(names))
    print(f"{len(list(FOLDER.glob('*.png')))} pictures: {FOLDER.relative_to(Path.cwd())}/index.html")  # noqa: T201


if __name__ == "__main__":
    main()
