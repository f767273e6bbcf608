"""Draws the pictures that others show of us, from our own mark: static/card.png, which a chat shows beside a link, and
static/touch.png, which a telephone puts on its first screen. `make pictures` calls it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.support.stack import ROOT

if TYPE_CHECKING:
    from playwright.sync_api import Browser

# Flat colours: a PNG of them is small.
CARD = """
<style>
* {{ box-sizing: border-box; margin: 0; }}
body {{ width: 1200px; height: 630px; padding: 80px 90px; background: #f4f5f8; color: #14161b;
  font: 34px/1.35 "Liberation Sans", "Noto Sans", sans-serif; display: flex; flex-direction: column; }}
.brand {{ display: flex; gap: 22px; align-items: center; font-size: 40px; font-weight: 700; }}
.brand svg {{ width: 84px; height: 84px; }}
h1 {{ margin: auto 0 60px; font-size: 76px; line-height: 1.1; letter-spacing: -2px; max-width: 20ch; }}
ol {{ display: grid; grid-template-columns: repeat(4, 1fr); padding: 0; list-style: none; }}
li {{ position: relative; padding-top: 56px; color: #555c6a; font-size: 30px; }}
li::before {{ position: absolute; top: 0; left: 0; width: 40px; height: 40px; border-radius: 50%;
  background: #2357d9; content: ""; }}
li::after {{ position: absolute; top: 18px; left: 52px; right: 12px; height: 4px; border-radius: 2px;
  background: #2357d9; content: ""; }}
li:last-child {{ color: #0a7a4a; font-weight: 700; }}
li:last-child::before {{ background: #0a7a4a; }}
li:last-child::after {{ display: none; }}
</style>
<div class="brand">{mark} Latchkey</div>
<h1>A login that tells you what happens.</h1>
<ol><li>Queued</li><li>Sending</li><li>Sent</li><li>Delivered</li></ol>
"""
# iOS rounds the corners by itself.
TOUCH = """
<style>
body {{ margin: 0; background: #14161b; }}
svg {{ display: block; width: 180px; height: 180px; }}
</style>{mark}
"""


def draw(browser: Browser) -> None:
    """Draw both."""
    mark = (ROOT / "static" / "favicon.svg").read_text()
    for name, html, width, height in (("card", CARD, 1200, 630), ("touch", TOUCH, 180, 180)):
        page = browser.new_page(viewport={"width": width, "height": height})
        page.set_content(html.format(mark=mark))
        page.screenshot(path=ROOT / "static" / f"{name}.png")
        page.close()
