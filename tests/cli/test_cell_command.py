"""The command that the page gives for a cell runs that cell."""

from __future__ import annotations

import shlex
from pathlib import Path

from harness.cli.options import select
from harness.cli.report import run_command, suite_facts
from harness.report.page_cells import cell_pages
from harness.store.rows import Row
from harness.suite.load import load_suite


def test_the_command_is_the_one_that_ran_the_suite() -> None:
    assert shlex.join(run_command("my suite.yaml", Path("out"), "cpu", ["seeds=[0]"])) == (
        "python -m harness run 'my suite.yaml' --profile cpu --set 'seeds=[0]' --results out"
    )
    assert shlex.join(run_command("suite.yaml", None, None, [])) == "python -m harness run suite.yaml"


def test_a_cells_command_selects_that_cell_and_no_other() -> None:
    suite = load_suite("quickstart")
    rows = [Row(cell=cell, state="waiting") for cell in suite.cells]
    for page in cell_pages(rows, suite_facts(suite), ("python", "-m", "harness", "run", "quickstart")):
        *_, option, pattern = shlex.split(page.command)
        assert option == "--only"
        assert [cell.label for cell in select(suite.cells, [pattern])] == [page.label]
