"""The walk through a screen reader's ears that docs/access.md tells, gone again: the page says what is really said."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.browser import tree
from tests.browser.states import site

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.browser.window import Visitor
    from tests.support.stack import Stack

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A site that nobody has been to."""
    with site(tmp_path_factory.mktemp("site")) as stack:
        yield stack


def test_the_walk_in_the_documents_is_what_a_screen_reader_is_given(
    visit: Callable[..., Visitor], stack: Stack
) -> None:
    steps = tree.BLOCK.findall(tree.PAGE.read_text())
    found = tree.walked(stack, visit(stack))
    assert len(steps) == len(found) == 5, "or this test means nothing"
    for (heading, _, written), now in zip(steps, found, strict=True):
        assert now == written, f"{heading}: after a wanted change, say: python -m tests.browser.tree"
