"""The same board under Ray Tune: every job comes back with its own report."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import UserError
from harness.execute.board import Board
from harness.execute.job import Report
from harness.execute.place import Place
from harness.execute.ray_environment import prepare
from harness.execute.stop import StopSign
from harness.store.grid import look
from harness.store.ledger import Ledger
from harness.suite.schema import Resources
from harness.train.watch import Watch
from tests.cells import cell


class Spy(Board):
    """A board that keeps what it was told."""

    def finished(self, report: Report) -> None:
        self.reports = [*getattr(self, "reports", []), report]
        super().finished(report)

    def lost(self, cell: str) -> None:
        self.losses = [*getattr(self, "losses", []), cell]
        super().lost(cell)


def test_every_job_comes_back_with_its_report_and_none_counts_as_lost(tmp_path: Path) -> None:
    prepare()
    from harness.execute.ray_tune import run_tune

    cells = [cell("dense"), cell("l1_norm", budget=0.5), cell("random", budget=0.5)]
    ledger = Ledger(tmp_path)
    board = Spy(cells, ledger, tmp_path)
    stop = StopSign(tmp_path / "leases" / "stop")
    run_tune(board, Place(tmp_path, tmp_path, watch=Watch(should_stop=stop)), stop, Resources(), None)
    assert look(cells, tmp_path, ledger).count("done") == 3
    assert not hasattr(board, "losses")
    assert sorted(report.cell for report in board.reports) == sorted(each.label for each in cells)
    assert {report.status for report in board.reports} == {"done"}


def test_a_cell_that_asks_for_more_than_there_is_is_refused_in_one_line(tmp_path: Path) -> None:
    prepare()
    from harness.execute.ray_tune import run_tune

    board = Board([cell("dense")], Ledger(tmp_path), tmp_path)
    stop = StopSign(tmp_path / "leases" / "stop")
    with pytest.raises(UserError, match=r"a cell asks for 4096 cores \(resources.cpu × 64 ranks\), Ray has"):
        run_tune(board, Place(tmp_path, tmp_path), stop, Resources(cpu=64, ranks=64), None)
