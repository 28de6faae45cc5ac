"""The most memory that whole processes hold: a DNAL cell against the plain script; `plan` and `report` as they grow.

Peak resident memory as the system accounts for it. The plain script's two worker processes are not counted: what is
stated for it is its main process alone.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from bench.cell import QUICK as QUICK_CELL
from bench.cell import Size, ours, theirs
from bench.lines import Line
from bench.processes import harness
from bench.scale import CELLS_A_BUDGET, ROWS_A_STRENGTH, planned_suite, recorded_folder

CELL = Size("vgg16", 1.0, images=128, dense=1, search=1, finetune=1, baseline=2)
CELLS, QUICK_CELLS = 1_000, 10
ROWS, QUICK_ROWS = 10_000, 100
NOTHING = float("nan")


def of_a_cell(size: Size, folder: Path) -> Line:
    """A whole cell, both sides."""
    mine, plain = ours(size, folder / "ours").ran.peak, theirs(size, folder / "theirs").ran.peak
    what = f"peak memory of a whole DNAL cell, `{size.backbone}`, batch 64"
    return Line(what, f"{mine:,.0f} MB", f"{plain:,.0f} MB", plain / mine, "–", "the script's two workers not counted")


def of_help(folder: Path) -> Line:
    """What any command holds."""
    return Line("peak memory of `--help`", f"{harness(['--help'], folder).peak:,.0f} MB", "–", NOTHING, "–")


def of_plans(count: int, folder: Path) -> Line:
    """`plan` of many cells, its counts in the cache, against the plan of a hundredth of them."""

    def peak(cells: int) -> float:
        (folder / "many.yaml").write_text(planned_suite(cells))
        harness(["plan", "many.yaml"], folder)
        return harness(["plan", "many.yaml"], folder).peak

    few = max(CELLS_A_BUDGET, count // 100)
    small, large = peak(few), peak(count)
    note = _growth(large - small, count - few, "cell", f"{few} cells ({small:,.0f} MB)")
    return Line(f"peak memory of `plan`, {count:,} cells", f"{large:,.0f} MB", "–", NOTHING, "–", note)


def of_reports(count: int, folder: Path) -> Line:
    """`report` of many recorded rows in all formats, against a hundredth of them."""

    def peak(rows: int) -> float:
        here, _ = recorded_folder(rows, folder)
        return harness(["report", "--recorded", str(here), "--into", str(here / "made")], folder).peak

    few = max(ROWS_A_STRENGTH, count // 100)
    small, large = peak(few), peak(count)
    note = _growth(large - small, count - few, "row", f"{few} rows ({small:,.0f} MB)")
    return Line(f"peak memory of `report`, {count:,} rows", f"{large:,.0f} MB", "–", NOTHING, "–", note)


def _growth(megabytes: float, more: int, each: str, beyond: str) -> str:
    return f"{1024 * megabytes / max(1, more):,.1f} kB a {each} beyond {beyond}"


def measure(quick: bool) -> list[Line]:
    """The lines of all four."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        return [
            of_a_cell(QUICK_CELL if quick else CELL, folder),
            of_help(folder),
            of_plans(QUICK_CELLS if quick else CELLS, folder),
            of_reports(QUICK_ROWS if quick else ROWS, folder),
        ]
