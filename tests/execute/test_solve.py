"""A strength that is solved for: every search is an ordinary stage, and the row says how many there were."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.suite.cell import Cell, Solve
from tests.cells import Finished, run
from tests.execute.small import small, started_cells, starts, with_made_up_methods


def solved(budget: float, within: float = 0.02, searches: int = 12) -> Cell:
    return small("dial", params={"share": 1.0}, budget=budget, solve=Solve(within, searches, 1.0))


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """One budget solved for, one that may have only two searches, and the natural cell of the second's start."""
    with pytest.MonkeyPatch.context() as patch:
        found = with_made_up_methods()
        patch.setattr("harness.registry._found", lambda: found)
        cells = [solved(0.5), solved(0.4, 0.001, 2), small("dial", params={"share": 1.0}, shown=("share",))]
        return run([*cells, small("l1_norm", match=cells[0])], tmp_path_factory.mktemp("solve"))


def test_the_natural_outcome_lands_within_the_tolerance(finished: Finished) -> None:
    row = finished.rows[0]
    assert row.state == "done", row.reason
    assert row.macs is not None
    assert row.target is not None
    assert row.dense_macs is not None
    assert row.target == round(0.5 * row.dense_macs)
    assert abs(row.macs / row.target - 1) <= 0.02


def test_the_row_says_by_how_many_searches_and_with_which_strength(finished: Finished) -> None:
    row, chain = finished.rows[0], finished.chains[0]
    assert chain.solution is not None
    count = len(chain.solution.tries)
    assert count > 1
    assert row.strength is not None
    assert row.strength[1] == chain.solution.best.strength
    assert row.notes[-1].startswith(f"share = {row.strength[1]:g} found by {count} searches, ")


def test_a_budget_that_is_not_reached_in_time_says_by_how_much(finished: Finished) -> None:
    row, chain = finished.rows[1], finished.chains[1]
    assert row.state == "done"
    assert chain.solution is not None
    assert len(chain.solution.tries) == 2
    assert row.macs is not None
    assert row.target is not None
    gap = f"{100 * (row.macs / row.target - 1):+.2f} %"
    assert row.notes[-1].endswith(f"is the nearest of 2 searches: {gap} from its macs budget, not within 0.1 %")


def test_searches_are_stages_that_other_cells_share(finished: Finished) -> None:
    first = [chain for chain in finished.chains[:3] if chain.deciding is not None]
    searches = [{stage.key for stage in chain.stages if stage.kind == "compress"} for chain in first]
    assert searches[0] & searches[1] & searches[2]
    assert set(starts(finished.results).values()) == {1}


def test_every_search_is_on_the_bill(finished: Finished) -> None:
    row, chain = finished.rows[0], finished.chains[0]
    told = [finished.ledger.result(stage.key) or {} for stage in chain.stages if stage.kind == "compress"]
    assert chain.solution is not None
    assert len(told) == len(chain.solution.tries)
    others = [finished.ledger.result(stage.key) or {} for stage in chain.stages if stage.kind != "compress"]
    assert row.device_seconds == pytest.approx(sum(facts["seconds"] for facts in told + others))


def test_others_can_match_what_was_solved_for(finished: Finished) -> None:
    assert finished.rows[3].state == "done"
    assert finished.rows[3].target == finished.rows[0].macs


def test_a_second_run_searches_nothing_again(finished: Finished, monkeypatch: pytest.MonkeyPatch) -> None:
    found = with_made_up_methods()
    monkeypatch.setattr("harness.registry._found", lambda: found)
    before = started_cells(finished.results)
    assert run([solved(0.5)], finished.results).rows[0].top1 == finished.rows[0].top1
    assert started_cells(finished.results) == before


def test_a_wider_tolerance_goes_on_with_the_same_searches(finished: Finished, monkeypatch: pytest.MonkeyPatch) -> None:
    found = with_made_up_methods()
    monkeypatch.setattr("harness.registry._found", lambda: found)
    before = set(starts(finished.results))
    cell = solved(0.5)
    assert cell.solve is not None
    again = run([replace(cell, solve=replace(cell.solve, within=0.9))], finished.results)
    assert again.rows[0].state == "done"
    new = {stage.kind for stage in again.chains[0].stages if stage.key not in before}
    assert "compress" not in new
