"""A budget given to a method that sets its own cost: the outcome nearest above it is trimmed."""

from __future__ import annotations

import pytest

from harness.suite.cell import Cell
from tests.cells import Finished, run
from tests.execute.small import small, with_made_up_methods

SHARES = (0.9, 0.4, 0.6)


def natural(share: float) -> Cell:
    return small("dial", params={"share": share}, shown=("share",))


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """Three natural cells, one at a budget between two of them, one at a budget above them all."""
    with pytest.MonkeyPatch.context() as patch:
        found = with_made_up_methods()
        patch.setattr("harness.registry._found", lambda: found)
        naturals = tuple(natural(share) for share in SHARES)
        budgets = [small("dial", budget=budget, candidates=naturals) for budget in (0.3, 0.95)]
        return run([*naturals, *budgets], tmp_path_factory.mktemp("trim"))


def test_the_candidates_frame_the_budget(finished: Finished) -> None:
    largest, smallest, middle = (row.macs for row in finished.rows[:3])
    target = finished.rows[3].target
    assert largest is not None
    assert smallest is not None
    assert middle is not None
    assert target is not None
    assert smallest < target < middle < largest


def test_the_candidate_nearest_above_the_budget_is_trimmed(finished: Finished) -> None:
    row, middle = finished.rows[3], finished.rows[2]
    trim = finished.ledger.result(finished.chains[3].deciding or "")
    assert trim is not None
    assert trim["chosen"] == finished.chains[2].deciding
    assert f"trimmed from {middle.macs:,} macs" in row.notes


def test_the_budget_is_met(finished: Finished) -> None:
    row = finished.rows[3]
    assert row.macs is not None
    assert row.macs == pytest.approx(row.target, rel=0.02)


def test_trimming_only_removes_channels(finished: Finished) -> None:
    row, middle = finished.rows[3], finished.rows[2]
    assert all(row.widths[name][0] <= middle.widths[name][0] for name in row.widths)
    assert any(row.widths[name][0] < middle.widths[name][0] for name in row.widths)


def test_a_budget_above_every_candidate_is_a_row_that_says_so(finished: Finished) -> None:
    row, largest = finished.rows[4], finished.rows[0]
    assert row.state == "failed"
    assert row.reason.startswith("out of reach: the largest network of its candidates has")
    assert f"{largest.macs:,} macs" in row.reason


def test_candidates_are_run_once_for_all_cells(finished: Finished) -> None:
    chosen = {stage.key for chain in finished.chains[3:] for stage in chain.stages if stage.kind == "compress"}
    own = {chain.deciding for chain in finished.chains[:3]}
    assert chosen == own
