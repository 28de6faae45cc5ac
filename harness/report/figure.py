"""What all pictures share: a figure of a paper's column width, its legend beside the data, and how it is saved."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

from harness.report import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LEGEND_LINE = 0.148
_LETTER = 0.05
_HANDLE = 0.4
_UNUSED = ("GDEF", "GPOS", "GSUB", "MATH", "kern", "cmap", "name", "OS/2", "post")
"""Tables of a TrueType font that a PDF reader needs none of where glyphs are named by number (ISO 32000-1, 9.9)."""


@contextmanager
def settings() -> Iterator[None]:
    """Within it, figures are made and saved with the report's fonts and lines."""
    import matplotlib

    with matplotlib.rc_context(), _bare_fonts():
        matplotlib.rcdefaults()  # a user's own matplotlibrc must not change a report
        matplotlib.rcParams.update(style.SETTINGS)
        yield


@contextmanager
def _bare_fonts() -> Iterator[None]:
    """Within it, fonts are embedded without their rules of shaping, names and tables of characters.

    Matplotlib has placed every glyph already; reading and subsetting the rules would take most of a PDF's time.
    """
    from fontTools import subset

    load_font = subset.load_font

    def load_bare_font(*arguments: Any, **options: Any) -> Any:
        font = load_font(*arguments, **options)
        for table in _UNUSED:
            if table in font:
                del font[table]
        return font

    subset.load_font = load_bare_font
    try:
        yield
    finally:
        subset.load_font = load_font


def rendered(figure: Figure, kind: Literal["png", "pdf"]) -> bytes:
    """The figure as a file; the same figure gives the same bytes, as neither dates nor versions are written."""
    buffer = io.BytesIO()
    if kind == "png":
        figure.savefig(buffer, format="png", dpi=style.DOTS_PER_INCH, metadata={"Software": None})
    else:
        nothing = {"CreationDate": None, "ModDate": None, "Producer": None, "Creator": None}
        figure.savefig(buffer, format="pdf", metadata=nothing)
    return buffer.getvalue()


def new_figure(width: float, height: float) -> Figure:
    """An empty figure, inches, that draws without a screen."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height))
    FigureCanvasAgg(figure)
    return figure


def legend_shape(labels: Sequence[str], width: float) -> tuple[int, float]:
    """How many columns a legend of these labels has in a figure of that width, and its height, both in inches."""
    widest = max((len(label) for label in labels), default=0) * _LETTER + _HANDLE
    columns = max(1, min(len(labels), int((width - 0.1) / widest)))
    return columns, math.ceil(len(labels) / columns) * _LEGEND_LINE + 0.06


def legend_below(figure: Figure, handles: Sequence[Any], labels: Sequence[str]) -> None:
    """Puts the legend at the bottom of the figure, where it covers no data."""
    columns, _ = legend_shape(labels, figure.get_figwidth())
    figure.legend(
        handles,
        [_shortened(label, figure.get_figwidth()) for label in labels],
        loc="lower center",
        bbox_to_anchor=(0.5, 0.0),
        ncols=columns,
        frameon=False,
        borderpad=0.2,
        labelspacing=0.3,
        columnspacing=1.2,
        handletextpad=0.5,
    )


def _shortened(label: str, width: float) -> str:
    most = int((width - 0.1 - _HANDLE) / _LETTER)
    one_line = " ".join(label.split())
    return one_line if len(one_line) <= most else one_line[: most - 1] + "…"


def place_axes(figure: Figure, left: float, bottom: float, width: float, height: float) -> Axes:
    """New axes, all lengths in inches from the figure's lower left corner, with a light grid behind the data."""
    whole_width, whole_height = figure.get_figwidth(), figure.get_figheight()
    axes = figure.add_axes((left / whole_width, bottom / whole_height, width / whole_width, height / whole_height))
    axes.grid(visible=True, which="major", color="0.9", linewidth=0.5)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    return axes


def log_axis(axes: Axes, low: float, high: float) -> None:
    """A logarithmic x axis from low to high with plain numbers at about four places."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter

    axes.set_xscale("log")
    axes.set_xlim(low, high)
    axes.xaxis.set_major_locator(FixedLocator(round_numbers(low, high)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())


def round_numbers(low: float, high: float) -> list[float]:
    """Between three and seven round numbers from low to high, the coarsest choice that gives at least three."""
    decades = range(math.floor(math.log10(low)) - 1, math.ceil(math.log10(high)) + 1)
    found: list[float] = []
    for digits in ((1,), (1, 3), (1, 2, 5), (1, 2, 3, 5, 7), (1, 1.5, 2, 2.5, 3, 4, 5, 6, 7, 8, 9)):
        found = [digit * 10.0**decade for decade in decades for digit in digits if low <= digit * 10.0**decade <= high]
        if len(found) >= 3:
            return found if len(found) <= 8 else found[:: math.ceil(len(found) / 7)]
    step = 10.0 ** math.floor(math.log10((high - low) / 2))
    step *= max(factor for factor in (1, 2, 5) if factor * step * 2 <= high - low)
    first = math.ceil(low / step)
    return [number * step for number in range(first, math.floor(high / step) + 1)] or found
