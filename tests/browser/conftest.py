"""Real browsers: Debian's Chromium, under the site's own policy. A test fails on any error in any of its tabs.

CHROMIUM names another binary, HEADED=1 shows the windows, SHOTS names a folder for pictures of what tests look at.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import sync_playwright

from tests.browser.chromium import launch
from tests.browser.window import Visitor, browse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Browser, Page, Playwright

    from tests.support.stack import Stack


@pytest.fixture(scope="module")
def playwright() -> Iterator[Playwright]:
    """What drives the browsers. For one file: its event loop runs in this thread, which the next file may mind."""
    with sync_playwright() as playwright:
        yield playwright


@pytest.fixture(scope="module")
def chromium(playwright: Playwright) -> Iterator[Browser]:
    """One Chromium for a file; each visitor has a profile of their own in it."""
    browser = launch(playwright)
    yield browser
    browser.close()


@pytest.fixture(scope="module")
def shots() -> Callable[[Page, str], None]:
    """Keep a picture of a page in the folder that SHOTS names, if it names one."""
    folder = os.environ.get("SHOTS")

    def shoot(page: Page, name: str) -> None:
        if folder:
            page.screenshot(path=Path(folder) / f"{name}.png", animations="disabled")

    return shoot


@pytest.fixture
def visit(
    chromium: Browser,
    shots: Callable[[Page, str], None],
    make_stack: Callable[..., Stack],
) -> Iterator[Callable[..., Visitor]]:
    """Open a browser of somebody's own on a site, `visit(stack, locale="zh-CN")`; nothing may go wrong in any.

    It names `make_stack`, so that a test's own site ends after its pages: they would complain that it is away.
    """
    visitors: list[Visitor] = []

    def open_one(stack: Stack, **options: Any) -> Visitor:
        visitors.append(browse(chromium, stack, shots, **options))
        return visitors[-1]

    yield open_one
    troubles = [trouble for visitor in visitors for trouble in visitor.troubles]
    for visitor in visitors:
        visitor.close()
    assert not troubles, troubles
