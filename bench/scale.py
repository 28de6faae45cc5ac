"""How long `report`, `plan` and `--help` take as suites grow, as a user sees it: whole processes, wall clock.

    python -m bench --only scale > results/measured/scale.md

Compared with bars that are absolute: 3 s + 1 ms a row for a report in its default formats, 1 s for the plan of a
thousand cells whose network is counted already, 0.5 s for `--help`. Rows are made up (tests/report/made_up.py), so
that there can be ten thousand; the report is made of them by `report --recorded`. Each figure is the middle one of
three runs, after one that is left out.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from bench.lines import Line

ROOT = Path(__file__).resolve().parents[1]
RUNS = 3
COUNTS = (100, 1_000, 10_000)
PLAN_BAR, HELP_BAR = 1.0, 0.5
ROWS_A_STRENGTH, DENSE_ROWS, CELLS_A_BUDGET = 18, 3, 10
SUITE = """\
suite: thousand
dataset: digits
backbones: [vgg_digits]
seeds: [0, 1, 2, 3, 4]
recipe: short_digits
methods:
  - {{each: [l1_norm, random], budget: {{macs: [{budgets}]}}}}
"""


@dataclass(frozen=True)
class ReportTimes:
    """Seconds of reports of so many rows.

    Attributes:
        rows: how many.
        whole: in the default formats.
        texts: without pictures.
        page: the HTML page alone.
        page_bytes: its size.
    """

    rows: int
    whole: float
    texts: float
    page: float
    page_bytes: int

    @property
    def bar(self) -> float:
        """What was asked of `whole`, seconds."""
        return 3 + self.rows * 1e-3


def seconds(*words: str, folder: Path, runs: int = RUNS) -> float:
    """The middle of some runs of a command after a first one that warms the caches of files and of compiled modules."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment |= {"PYTHONPATH": str(ROOT)}
    found = []
    for _ in range(runs + 1):
        began = time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "harness", *words], cwd=folder, env=environment, check=True, capture_output=True
        )
        found.append(time.perf_counter() - began)
    return statistics.median(found[1:])


def planned_suite(cells: int) -> str:
    """A suite of so many cells (a multiple of ten) that differ in budget, method and seed."""
    count = cells // CELLS_A_BUDGET
    return SUITE.format(budgets=", ".join(f"{(index + 1) / (count + 1):.5f}" for index in range(count)))


def recorded_folder(count: int, folder: Path) -> tuple[Path, int]:
    """A folder with about so many made-up rows as they are recorded, and how many they are."""
    from harness.report.recorded import RECORDED, recorded_json
    from tests.report.made_up import SHORT, facts, grid

    strengths = tuple(1e-6 * number for number in range(1, max(1, (count - DENSE_ROWS) // ROWS_A_STRENGTH) + 1))
    rows = grid(strengths, recipe=SHORT, factor=19.9)
    here = folder / f"rows-{count}"
    here.mkdir()
    (here / RECORDED).write_text(recorded_json(rows, facts(recipe=SHORT)))
    return here, len(rows)


def report_times(count: int, folder: Path, runs: int = RUNS) -> ReportTimes:
    """Times of about so many rows; the files are made in `folder`."""
    here, rows = recorded_folder(count, folder)
    words = ("report", "--recorded", str(here), "--into", str(here / "made"))
    whole = seconds(*words, folder=folder, runs=runs)
    texts = seconds(*words, "--format", "md,latex,csv", folder=folder, runs=runs)
    page = seconds(*words, "--format", "html", folder=folder, runs=runs)
    return ReportTimes(rows, whole, texts, page, (here / "made" / "report.html").stat().st_size)


def plan_seconds(folder: Path, runs: int = RUNS) -> float:
    """The plan of a thousand cells; the first run, which counts the network, is left out."""
    (folder / "thousand.yaml").write_text(planned_suite(1000))
    return seconds("plan", "thousand.yaml", folder=folder, runs=runs)


def measure(quick: bool) -> list[Line]:
    """One line a number of rows, one for `plan`, one for `--help`; ratios are parts of the bar."""
    runs = 1 if quick else RUNS
    lines = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for count in COUNTS[:1] if quick else COUNTS:
            found = report_times(count, folder, runs)
            note = f"without pictures {found.texts:.2f} s; page {found.page:.2f} s, {found.page_bytes / 1e6:.1f} MB"
            lines.append(_line(f"report of {found.rows:,} rows", found.whole, found.bar, note))
        lines.append(_line("plan of 1,000 cells, warm", plan_seconds(folder, runs), PLAN_BAR))
        lines.append(_line("--help", seconds("--help", folder=folder, runs=runs), HELP_BAR))
    return lines


def _line(what: str, took: float, bar: float, note: str = "") -> Line:
    return Line(what, f"{took:.2f} s", "–", took / bar, f"≤ {bar:.2f} s", note)
