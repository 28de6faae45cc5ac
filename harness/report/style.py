"""How pictures look: sizes, fonts, and one colour and marker a method."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Set
from dataclasses import dataclass
from itertools import count
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
    "axes.titley": 1.0,  # so that no picture looks for room above ticks at the top, which none has
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
# Any four in a row differ in lightness, so that the methods that share a marker differ in grey too.
_COLOURS = ("#E6B400", "#332288", "#3AA394", "#8F2658", "#82C8EC", "#4A2A00", "#92922E", "#176B2E", "#7A7A7A")
_MARKERS = (("v", 5.4), ("P", 5.6), ("X", 5.6), ("<", 5.4), ("p", 5.8), (">", 5.4), ("d", 5.6), ("h", 5.8))


def styles(names: Iterable[str]) -> dict[str, Style]:
    """One style a name: the same for a registered method in every picture of every suite.

    Five methods have looks of their own. Other registered ones have theirs from their place in the alphabet of all;
    names that are not registered, such as those of published rows, take what is left in this picture.
    """
    from harness.registry import methods

    wanted = sorted(set(names))
    registered = [name for name in sorted(methods()) if name not in _SHIPPED]
    places = {name: place for place, name in enumerate(registered)}
    free = _free({places[name] for name in wanted if name in places})
    found = {}
    for name in wanted:
        found[name] = _SHIPPED[name] if name in _SHIPPED else _look(places[name] if name in places else next(free))
    return found


def _free(taken: Set[int]) -> Iterator[int]:
    """Places whose looks share neither colour nor marker with those taken, as long as there are any; then others."""
    colours, markers = ({place % many for place in taken} for many in (len(_COLOURS), len(_MARKERS)))
    given = set(taken)
    for strict in (True, False):
        for place in range(len(_COLOURS) * len(_MARKERS)):
            colour, marker = place % len(_COLOURS), place % len(_MARKERS)
            if place in given or (strict and (colour in colours or marker in markers)):
                continue
            colours.add(colour)
            markers.add(marker)
            given.add(place)
            yield place
    yield from count(len(_COLOURS) * len(_MARKERS))


def _look(place: int) -> Style:
    marker, size = _MARKERS[place % len(_MARKERS)]
    return Style(_COLOURS[place % len(_COLOURS)], marker, size)


def shade(colour: str, share: float) -> tuple[float, float, float]:
    """A colour mixed with white: 0 leaves it, 1 gives white."""
    red, green, blue = (int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5))
    return (red + (1 - red) * share, green + (1 - green) * share, blue + (1 - blue) * share)
