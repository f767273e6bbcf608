"""What can be fuzzed: a property, and how its input is made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from hypothesis.strategies import SearchStrategy


@dataclass(frozen=True, slots=True)
class Target:
    """One property. `check` raises for an input that breaks it."""

    name: str
    given: SearchStrategy[Any]
    check: Callable[[Any], None]
    # Whether atheris has anything to be led by: code in this process.
    guided: bool = True
    # For parsers of bytes: atheris gives them its own, in place of what the strategy makes of those.
    raw: Callable[[bytes], None] | None = None
    # What atheris starts from.
    seeds: tuple[bytes, ...] = ()
    # It asks a running site, so an example takes milliseconds.
    site: bool = False
