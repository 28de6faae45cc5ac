"""How long `report`, `plan` and `--help` take as suites grow, as a user sees it: whole processes, wall clock.

    python bench/scale.py

Rows are made up (tests/report/made_up.py), so that there can be ten thousand; the report is made of them by
`report --recorded`. Each figure is the middle one of three runs; the first plan, which counts the network, is left out.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from harness.report.recorded import RECORDED, recorded_json  # noqa: E402
from tests.report.made_up import SHORT, facts, grid  # noqa: E402

ROWS_A_STRENGTH, DENSE_ROWS = 18, 3
SUITE = """\
suite: thousand
dataset: digits
backbones: [vgg_digits]
seeds: [0, 1, 2, 3, 4]
recipe: short_digits
methods:
  - {{each: [l1_norm, random], budget: {{macs: [{budgets}]}}}}
"""


def seconds(*words: str, folder: Path, runs: int = 3) -> float:
    """The middle of some runs of a command."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    found = []
    for _ in range(runs):
        began = time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "harness", *words], cwd=folder, env=environment, check=True, capture_output=True
        )
        found.append(time.perf_counter() - began)
    return statistics.median(found)


def report_line(count: int, folder: Path) -> str:
    """The line of one number of rows: report in the default formats, the page, and its size."""
    strengths = tuple(1e-6 * number for number in range(1, (count - DENSE_ROWS) // ROWS_A_STRENGTH + 1))
    rows = grid(strengths, recipe=SHORT, factor=19.9)
    here = folder / str(count)
    here.mkdir()
    (here / RECORDED).write_text(recorded_json(rows, facts(recipe=SHORT)))
    runs = 3 if count < 5000 else 1
    words = ("report", "--recorded", str(here), "--into", str(here / "made"))
    whole = seconds(*words, folder=folder, runs=runs)
    text = seconds(*words, "--format", "md,latex,csv", folder=folder, runs=runs)
    page = seconds(*words, "--format", "html", folder=folder, runs=runs)
    size = (here / "made" / "report.html").stat().st_size
    return f"| {len(rows):,} | {whole:.2f} | {text:.2f} | {3 + len(rows) * 1e-3:.2f} | {page:.2f} | {size / 1e6:.1f} |"


def main() -> None:
    """Prints the page."""
    print("# How commands grow\n")
    print("What `python bench/scale.py` prints; seconds of whole processes. The bar of a report is 3 s + 1 ms a row.\n")
    print("| rows | `report` | without pictures | bar | `--format html` | page (MB) |")
    print("|---:|---:|---:|---:|---:|---:|")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for count in (100, 1_000, 10_000):
            print(report_line(count, folder), flush=True)
        budgets = ", ".join(f"{(index + 1) / 101:.4f}" for index in range(100))
        (folder / "thousand.yaml").write_text(SUITE.format(budgets=budgets))
        seconds("plan", "thousand.yaml", folder=folder, runs=1)
        print("\n| command | seconds |\n|---|---:|")
        print(f"| `plan` of 1,000 cells | {seconds('plan', 'thousand.yaml', folder=folder):.2f} |")
        print(f"| `--help` | {seconds('--help', folder=folder):.2f} |")


if __name__ == "__main__":
    main()
