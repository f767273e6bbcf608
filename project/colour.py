"""Colours of sRGB: reading one, mixing two, and how well one can be seen on another (WCAG 2.2)."""

from __future__ import annotations

import re
from collections.abc import Iterable

# Red, green and blue, 0 to 255 each.
RGB = tuple[int, int, int]

BLACK: RGB = (0, 0, 0)
WHITE: RGB = (255, 255, 255)
# WCAG 2.2, 1.4.3 (text) and 1.4.11 (what has to be recognised by its edge).
TEXT = 4.5
EDGE = 3.0


def parse(written: str) -> RGB | None:
    """Return the colour that is written as `#0a5` or `#00aa55`, with or without the #; None for anything else."""
    digits = written.removeprefix("#")
    if not re.fullmatch(r"[0-9a-fA-F]{3}|[0-9a-fA-F]{6}", digits):
        return None
    if len(digits) == 3:
        digits = "".join(2 * digit for digit in digits)
    return int(digits[:2], 16), int(digits[2:4], 16), int(digits[4:], 16)


def written(colour: RGB) -> str:
    """Return a colour as CSS has it, such as `#00aa55`."""
    return "#{:02x}{:02x}{:02x}".format(*colour)


def mix(colour: RGB, other: RGB, percent: int) -> RGB:
    """Return a colour that consists of `other` by so many percent."""
    pairs = zip(colour, other, strict=True)
    red, green, blue = (round((mine * (100 - percent) + its * percent) / 100) for mine, its in pairs)
    return red, green, blue


def contrast(one: RGB, other: RGB) -> float:
    """Return the contrast ratio of two colours, from 1 to 21."""
    darker, lighter = sorted((_luminance(one), _luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def weakest(colour: RGB, surfaces: Iterable[RGB]) -> tuple[float, RGB]:
    """Return the lowest contrast that a colour has with one of these surfaces, and that surface."""
    return min((contrast(colour, surface), surface) for surface in surfaces)


def made_visible(colour: RGB, surfaces: Iterable[RGB], ratio: float, towards: RGB) -> RGB:
    """Return the colour nearest to this one, on the way to black or white, that has the ratio on every surface."""
    surfaces = list(surfaces)
    mixes = (mix(colour, towards, percent) for percent in range(101))
    return next((found for found in mixes if weakest(found, surfaces)[0] >= ratio), towards)


def _luminance(colour: RGB) -> float:
    """Return the relative luminance, from 0 to 1."""
    red, green, blue = (
        share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in (c / 255 for c in colour)
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
