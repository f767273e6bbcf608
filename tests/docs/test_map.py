"""The map of the tree in docs/development.md lists what there is, and nothing else."""

from __future__ import annotations

import pytest

from tests.tools import tree_map
from tests.tools.tree_map import BLOCK, LISTED, PAGE


def listed() -> list[str]:
    """Return the folders and modules that the page's map names, with the folders above them."""
    block = BLOCK.search(PAGE.read_text())
    assert block, "the page has no map"
    names: list[str] = []
    above: list[str] = []
    for line in block[2].splitlines():
        depth = (len(line) - len(line.lstrip())) // 2
        name = line.split()[0]
        above = [*above[:depth], name]
        names.append("".join(above))
    return names


def test_the_map_lists_every_package_and_none_that_does_not_exist() -> None:
    there = list(tree_map.tree())
    assert {"accounts/", "accounts/codes/", "project/", "tests/browser/", "asgi.py"} <= set(there), "this means nothing"
    assert listed() == there, "say: python -m tests.tools.tree_map"


def test_everything_on_the_map_has_a_purpose() -> None:
    for name, path in tree_map.tree().items():
        assert tree_map.purpose(name, path), f"{name} has no docstring, and LISTED has no line for it"


def test_the_page_is_as_the_tool_writes_it() -> None:
    assert PAGE.read_text() == tree_map.written(), "say: python -m tests.tools.tree_map"


def test_a_folder_that_is_gone_is_no_longer_described() -> None:
    gone = set(LISTED) - set(tree_map.tree())
    # Rooms that are being drawn.
    assert gone <= {"tasks/dev/"}, gone


@pytest.mark.parametrize("name", ["accounts/migrations/", "accounts/management/"])
def test_folders_that_every_django_app_has_are_left_out(name: str) -> None:
    assert name not in tree_map.tree()
