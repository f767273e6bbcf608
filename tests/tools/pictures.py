"""Takes the pictures of docs/images/ anew, from a real run, and those of card.py: `python -m tests.tools.pictures`.

Two windows of one visitor stand side by side: the sign-in page, and the dev phone that fails twice before it works.
"""

from __future__ import annotations

import base64
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from playwright.sync_api import sync_playwright

import tests.support.environment  # noqa: F401  (first: no setting of the developer's own gets in)
from tests.support.stack import Stack
from tests.tools import card
from tests.tools.catalogue import compile_catalogue

if TYPE_CHECKING:
    from playwright.sync_api import Browser

IMAGES = Path(__file__).resolve().parents[2] / "docs" / "images"
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
LEFT, RIGHT, HEIGHT = 640, 400, 780


def windows(browser: Browser, stack: Stack, number: str, *, dark: bool) -> list[bytes]:
    """Ask for a code while the phone fails twice, and return both windows at the second attempt's wait."""
    context = browser.new_context(color_scheme="dark" if dark else "light", locale="en-US", reduced_motion="reduce")
    page, phone = context.new_page(), context.new_page()
    page.set_viewport_size({"width": LEFT, "height": HEIGHT})
    phone.set_viewport_size({"width": RIGHT, "height": HEIGHT})
    phone.goto(f"{stack.url}/dev/phone/")
    phone.check("input[name=mode][value=fail_times]")
    phone.fill("#times", "2")
    phone.click("form[action='/dev/phone/'] button:not([type=button])")
    phone.wait_for_selector("#phone-mode[data-mode=fail_times]")
    page.goto(f"{stack.url}/login/")
    page.wait_for_selector("#connection[data-state=live]")
    page.click("label:has(#by-code)")
    page.fill("#mobile", number)
    page.click("form.ask button")
    page.wait_for_selector("#delivery[data-state=retrying][data-attempt='2']", timeout=30_000)
    page.evaluate("document.activeElement.blur()")
    phone.evaluate("scrollTo(0, 0)")
    # What moves has come to rest.
    page.wait_for_timeout(700)
    taken = [page.screenshot(), phone.screenshot()]
    page.wait_for_selector("#delivery[data-state=sent]", timeout=30_000)
    context.close()
    return taken


def picture(browser: Browser, taken: list[bytes], *, dark: bool) -> bytes:
    """Lay both windows out as one picture."""
    images = "".join(f'<img src="data:image/png;base64,{base64.b64encode(image).decode()}">' for image in taken)
    ground, edge = ("#000", "#333") if dark else ("#e4e7ee", "#c9cedb")
    page = browser.new_page(viewport={"width": LEFT + RIGHT + 60, "height": HEIGHT + 40})
    page.set_content(
        f"<style>body{{margin:20px;display:flex;gap:20px;background:{ground}}}"
        f"img{{border-radius:10px;outline:1px solid {edge}}}</style>{images}"
    )
    done = page.screenshot()
    page.close()
    return done


def main() -> None:
    """Take each picture in light and dark."""
    compile_catalogue()
    folder = Path(tempfile.mkdtemp())
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))))
    IMAGES.mkdir(parents=True, exist_ok=True)
    try:
        with Stack(folder) as stack, sync_playwright() as playwright:
            # Somebody has been here before, so that the phone is not empty.
            stack.person().ask("13800138007")
            stack.phone.wait_for(1)
            browser = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
            for name, number, dark in (
                ("live-send", "13800138000", False),
                ("live-send-dark", "13800138001", True),
            ):
                taken = windows(browser, stack, number, dark=dark)
                IMAGES.joinpath(f"{name}.png").write_bytes(picture(browser, taken, dark=dark))
            card.draw(browser)
            browser.close()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
