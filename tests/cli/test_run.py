"""`harness run`, from a suite file to a report."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from harness import registry
from harness.execute import inline
from harness.execute.board import Board
from harness.execute.place import Place
from harness.store.ledger import Ledger
from tests.cli.calling import SHORT, SUITE, Called, call, files
from tests.execute.small import started_cells, with_made_up_methods

RUN = ("run", "tiny.yaml", "--executor", "inline", *SHORT)
RESULTS = Path("results/runs/tiny")


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Called]:
    """The tiny suite, run to its end."""
    folder = tmp_path_factory.mktemp("ran")
    (folder / "tiny.yaml").write_text(SUITE)
    return folder, call(folder, *RUN)


def test_a_run_that_did_everything_is_status_zero(ran: tuple[Path, Called]) -> None:
    _, called = ran
    assert called.status == 0, called.err
    assert re.search(r"tiny: 4 of 4 cells done in \d", called.out)
    assert f"report: {RESULTS / 'report' / 'report.md'}" in called.out


def test_a_run_leaves_a_report_with_every_row(ran: tuple[Path, Called]) -> None:
    folder, _ = ran
    text = (folder / RESULTS / "report" / "report.md").read_text()
    assert "A tiny suite" in text
    assert "Dense" in text
    assert "L1-norm" in text


def test_a_run_writes_nowhere_but_into_its_results(ran: tuple[Path, Called]) -> None:
    folder, _ = ran
    assert {name for name in files(folder) if not name.startswith("results")} == {"tiny.yaml"}


def test_a_second_run_has_nothing_to_do(ran: tuple[Path, Called]) -> None:
    folder, _ = ran
    before = started_cells(folder / RESULTS)
    called = call(folder, *RUN)
    assert called.status == 0
    assert called.out == f"tiny: nothing to do, 4 of 4 cells are done in {RESULTS}\n"
    assert started_cells(folder / RESULTS) == before


def test_the_plan_then_says_that_all_is_done(ran: tuple[Path, Called]) -> None:
    folder, _ = ran
    plan = call(folder, "plan", "tiny.yaml", *SHORT, "--json").document
    assert {cell["state"] for cell in plan["cells"]} == {"done"}
    assert all(stage["done"] for cell in plan["cells"] for stage in cell["stages"])
    assert plan["totals"]["open_stages"] == 0
    assert "0 to run" in call(folder, "plan", "tiny.yaml", *SHORT).out


def test_the_time_of_more_seeds_is_then_known(ran: tuple[Path, Called]) -> None:
    folder, _ = ran
    plan = call(folder, "plan", "tiny.yaml", *SHORT, "--set", "seeds=[0, 1, 2]", "--json").document
    assert plan["totals"]["seconds"] > 0


def test_a_report_lists_the_files_that_it_wrote(ran: tuple[Path, Called]) -> None:
    folder, _ = ran
    called = call(folder, "report", "tiny.yaml", *SHORT, "--format", "md,csv", "--into", "elsewhere")
    assert called.status == 0
    written = [folder / line for line in called.out.splitlines()]
    assert written
    assert all(path.is_file() for path in written)
    assert {path.suffix for path in written} >= {".md", ".csv"}
    assert not {path.suffix for path in written} & {".png", ".pdf", ".tex"}


def test_a_report_is_one_json_document(ran: tuple[Path, Called]) -> None:
    folder, _ = ran
    called = call(folder, "report", "tiny.yaml", *SHORT, "--json")
    assert called.status == 0
    assert isinstance(called.document, dict | list)
    assert called.err == ""


def test_only_runs_the_chosen_cells(suite: Path) -> None:
    called = call(suite, *RUN, "--only", "*l1_norm*seed=1")
    assert called.status == 0
    assert set(started_cells(suite / RESULTS)) == {"vgg_digits/digits/l1_norm[macs=0.5]/seed=1"}


def test_a_run_out_of_time_is_status_three_and_goes_on_with_the_same_command(suite: Path) -> None:
    command = (*RUN, "--only", "l1_norm", "--set", "seeds=[0]")
    stopped = call(suite, *command, "--time-budget", "0s")
    assert stopped.status == 3
    assert "stopped by the time budget; the same command goes on from here" in stopped.err
    assert call(suite, *command).status == 0


def test_a_run_whose_time_is_up_when_its_last_cell_is_done_is_status_zero(
    suite: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def late(board: Board, place: Place, ledger: Ledger) -> None:
        whole(board, place, ledger)
        board.stopping = True

    whole = inline.run_inline
    monkeypatch.setattr(inline, "run_inline", late)
    called = call(suite, *RUN, "--only", "dense", "--set", "seeds=[0]")
    assert called.status == 0
    assert "stopped" not in called.err


CRASHING = SUITE.replace("l1_norm", "crashing").replace("[0, 1]", "[0]")
CELL = "vgg_digits/digits/crashing[macs=0.5]/seed=0"


@pytest.fixture(scope="module")
def crashed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Called]:
    """A suite of which one method crashes."""
    folder = tmp_path_factory.mktemp("crashed")
    (folder / "tiny.yaml").write_text(CRASHING)
    with made_up():
        return folder, call(folder, *RUN)


@contextmanager
def made_up() -> Iterator[None]:
    """The made-up methods are registered."""
    found = with_made_up_methods()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry, "_found", lambda: found)
        yield


def test_a_suite_with_a_cell_that_crashes_is_status_one_and_names_it(crashed: tuple[Path, Called]) -> None:
    folder, called = crashed
    assert called.status == 1
    assert f"failed: {CELL}: crashed: ValueError: the author slipped" in called.err.splitlines()
    assert "Traceback" not in called.err
    assert "tiny: 1 of 2 cells done" in called.out
    assert (folder / RESULTS / "report" / "report.md").is_file()


def test_it_stays_status_one_while_nothing_is_tried_again(crashed: tuple[Path, Called]) -> None:
    folder, _ = crashed
    before = started_cells(folder / RESULTS)
    with made_up():
        called = call(folder, *RUN)
    assert called.status == 1
    assert f"failed: {CELL}" in called.err
    assert "nothing to do, 1 of 2 cells are done" in called.out
    assert started_cells(folder / RESULTS) == before


def test_retry_failed_tries_it_again(crashed: tuple[Path, Called]) -> None:
    folder, _ = crashed
    before = started_cells(folder / RESULTS)
    with made_up():
        called = call(folder, *RUN, "--retry-failed")
    assert called.status == 1
    assert started_cells(folder / RESULTS) - before == {CELL: 1}
