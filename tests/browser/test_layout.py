"""Nothing is cut off, pushed out or covered, on any screen, with longer texts and with a reader's own spacing."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.browser import looks
from tests.browser.longer import CLOSE, OPEN, write_catalogue
from tests.browser.states import Looker, site

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.browser.window import Visitor
    from tests.support.stack import Stack

pytestmark = [pytest.mark.browser, pytest.mark.long]

# 320 is also a window of 1280 at 400 %, 640 one at 200 %.
WIDTHS = {320: 568, 390: 844, 640: 400, 1280: 800}
TRANSLATED = re.compile(rf"\{OPEN}[^{CLOSE}]*\{CLOSE}")


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A site whose English is 40 % longer and in brackets."""
    folder = tmp_path_factory.mktemp("longer")
    # A code is used when every state of it has been looked at, so it lives as long as one may.
    with site(folder / "site", LONGER=str(write_catalogue(folder / "locale")), SMS_CODE_TTL="600") as stack:
        yield stack


# Hundreds of looks, each a second on a busy machine.
@pytest.mark.timeout(600)
def test_longer_texts_fit_at_every_width_and_none_was_left_untranslated(
    visit: Callable[..., Visitor], stack: Stack
) -> None:
    """One walk for all of it: to bring a page into a state takes longer than to measure it."""
    visitor = visit(stack, viewport={"width": 320, "height": 568}, reduced_motion="reduce")
    found: list[str] = []
    translated = 0
    for name, tab in Looker(stack, visitor).everything():
        for width, height in WIDTHS.items():
            tab.page.set_viewport_size({"width": width, "height": height})
            found += [f"{name} at {width}: {what}" for what in looks.misfits(tab)]
            if width == 320:
                found += [f"{name}: {what}" for what in looks.small_targets(tab)]
        for text in looks.texts(tab):
            translated += OPEN in text["text"]
            rest = TRANSLATED.sub("", text["text"])
            # Names, of us and of languages.
            rest = re.sub("Latchkey|English|简体中文", "", rest)
            if re.search(r"[^\W\d_]", rest):
                found.append(f"{name}: not translated: {text}")
        tab.page.set_viewport_size({"width": 320, "height": 568})
    assert translated > 500, "or this test means nothing"
    assert found == [], "\n".join(found)
