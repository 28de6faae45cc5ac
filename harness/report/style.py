"""How pictures look: sizes, fonts, and one colour and marker a method."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

COLUMN_WIDTH = 3.5
"""Width of a paper's column, inches."""
PAGE_WIDTH = 7.16
"""Width of both columns and what is between them, inches."""
DOTS_PER_INCH = 200

FONT = 8.0
SMALL_FONT = 7.0
GREY = "0.45"

SETTINGS: Any = {
    "font.size": FONT,
    "axes.labelsize": FONT,
    "axes.titlesize": FONT,
    "xtick.labelsize": SMALL_FONT,
    "ytick.labelsize": SMALL_FONT,
    "legend.fontsize": SMALL_FONT,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.minor.width": 0.4,
    "pdf.fonttype": 42,
    "axes.unicode_minus": True,
    "text.usetex": False,
    "text.parse_math": False,
}


@dataclass(frozen=True)
class Style:
    """How a method's points are drawn: a colour, and a marker that tells it without the colour."""

    colour: str
    marker: str
    size: float = 5.0


# The first colours are Okabe and Ito's, which colour-blind readers tell apart; the rest differ from them in lightness.
_SHIPPED = {
    "dense": Style("#000000", "*", 8.0),
    "dnal": Style("#0072B2", "o"),
    "l1_norm": Style("#D55E00", "s", 4.6),
    "random": Style("#009E73", "^", 5.4),
    "uniform": Style("#CC79A7", "D", 4.4),
}
_OTHERS = (
    Style("#E69F00", "v", 5.4),
    Style("#56B4E9", "P", 5.6),
    Style("#8C564B", "X", 5.6),
    Style("#7F7F7F", "p", 5.8),
    Style("#332288", "<", 5.4),
    Style("#999933", ">", 5.4),
    Style("#AA4499", "h", 5.8),
    Style("#117733", "d", 5.6),
)


def styles(methods: Iterable[str]) -> dict[str, Style]:
    """One style a method; a shipped method has the same one in every picture, others by their order in the alphabet."""
    found: dict[str, Style] = {}
    free = 0
    for name in sorted(set(methods)):
        if name in _SHIPPED:
            found[name] = _SHIPPED[name]
        else:
            found[name] = _OTHERS[free % len(_OTHERS)]
            free += 1
    return found


def shade(colour: str, share: float) -> tuple[float, float, float]:
    """A colour mixed with white: 0 leaves it, 1 gives white."""
    red, green, blue = (int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5))
    return (red + (1 - red) * share, green + (1 - green) * share, blue + (1 - blue) * share)
