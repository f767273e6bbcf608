"""The figures as a picture: how far each is on its way to the target. SVG, written by hand."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bench.figures import Figure

WIDTH = 900
# Of one figure: its words, and the bar under them.
ROW = 46
BAR = 14
LEFT = 20
# The target stands here; twice as good as the target is where the picture ends.
AT_TARGET = (WIDTH - 2 * LEFT) / 2
REACHED, NOT_YET, INK, FAINT = "#2a7d4f", "#b4541a", "#222", "#ddd"


def svg(figures: list[Figure]) -> str:
    """Return a picture with a bar a figure. Longer is better, and the line in the middle is the target."""
    height = ROW * len(figures) + 50
    middle = LEFT + AT_TARGET
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-size="13" fill="{INK}">',
        "<style>text { font-family: sans-serif }</style>",
        f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>',
        *(_bar(figure, 30 + ROW * n) for n, figure in enumerate(figures)),
        f'<line x1="{middle}" y1="20" x2="{middle}" y2="{height - 20}" stroke="{INK}" stroke-dasharray="4 3"/>',
        f'<text x="{middle}" y="{height - 6}" text-anchor="middle">the target</text>',
        f'<text x="{middle}" y="14" text-anchor="middle">longer is better; thin: from worst to best round</text>',
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _bar(figure: Figure, top: int) -> str:
    y = top + 18
    ends = [_x(figure, value) for value in (figure.median, min(figure.values), max(figure.values))]
    colour = REACHED if figure.reached else NOT_YET
    sign = "≥" if figure.bound == "at least" else "≤"
    words = f"{figure.name}: {figure.median:.3g}{figure.unit}, target {sign} {figure.target:g}{figure.unit}"
    return (
        f'<text x="{LEFT}" y="{top + 12}">{escape(words)}</text>'
        f'<rect x="{LEFT}" y="{y}" width="{WIDTH - 2 * LEFT}" height="{BAR}" fill="{FAINT}"/>'
        f'<rect x="{LEFT}" y="{y}" width="{ends[0] - LEFT:.1f}" height="{BAR}" fill="{colour}"/>'
        f'<line x1="{ends[1]:.1f}" y1="{y + BAR / 2}" x2="{ends[2]:.1f}" y2="{y + BAR / 2}" stroke="{INK}"/>'
    )


def _x(figure: Figure, value: float) -> float:
    """Return where a value ends: in the middle when it is the target, at the edge when it is twice as good."""
    share = value / figure.target if figure.bound == "at least" else figure.target / value if value else 2.0
    return LEFT + AT_TARGET * min(share, 2.0)
