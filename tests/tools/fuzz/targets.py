"""Every target, by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.tools.fuzz import addresses, answers, forms, frames, numbers, receipts, site

if TYPE_CHECKING:
    from tests.tools.fuzz.target import Target

ALL: dict[str, Target] = {
    target.name: target
    for module in (numbers, forms, receipts, answers, addresses, frames, site)
    for target in module.TARGETS
}
