"""Finished work is never done again; only what an edit touches is."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.plan import fingerprint
from harness.store.states import LedgerResults
from harness.suite.cell import Cell
from tests.cells import Finished, run
from tests.execute.small import small, started_cells, starts, work


def grid(seeds: tuple[int, ...] = (0,)) -> list[Cell]:
    cells = []
    for seed in seeds:
        natural = small("dnal", seed=seed, params={"lambda_a": 2e-4}, shown=("lambda_a",))
        cells += [small("dense", seed=seed), natural, small("l1_norm", seed=seed, match=natural)]
        cells += [small("random", seed=seed, budget=0.5), small("uniform", seed=seed, budget=0.5)]
    return cells


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """The small grid, really run."""
    return run(grid(), tmp_path_factory.mktemp("reuse"))


def test_every_cell_ends_with_its_figures(finished: Finished) -> None:
    assert [row.state for row in finished.rows] == ["done"] * 5
    for row in finished.rows:
        assert row.top1 is not None
        assert row.top5 is not None
        assert 0 <= row.top1 <= row.top5 <= 1
        assert row.device_seconds is not None
        assert row.device_seconds > 0


def test_every_stage_is_started_once(finished: Finished) -> None:
    assert set(starts(finished.results).values()) == {1}
    assert len(starts(finished.results)) == len({stage.key for chain in finished.chains for stage in chain.stages})


def test_the_matching_cell_meets_its_partners_macs(finished: Finished) -> None:
    partner, matching = finished.rows[1], finished.rows[2]
    assert partner.macs is not None
    assert matching.target == partner.macs
    assert matching.macs == pytest.approx(partner.macs, rel=0.02)


def test_a_second_run_does_nothing_and_says_the_same(finished: Finished) -> None:
    before = starts(finished.results)
    again = run(grid(), finished.results)
    assert starts(finished.results) == before
    assert again.rows == finished.rows


def test_no_checkpoint_and_no_lease_is_left(finished: Finished) -> None:
    assert list((finished.results / "checkpoints").glob("*")) == []
    assert list((finished.results / "leases").glob("*.lease")) == []


def test_the_view_of_finished_stages_holds_exactly_those(finished: Finished) -> None:
    assert set(LedgerResults(finished.ledger)) == {stage.key for chain in finished.chains for stage in chain.stages}


@pytest.mark.usefixtures("fake_work")
def test_editing_a_method_runs_its_cells_again_and_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cells = grid()
    work(cells, tmp_path)
    before = started_cells(tmp_path)
    known = fingerprint._of_module
    edited = "methods.random"
    monkeypatch.setattr(fingerprint, "_of_module", lambda module: "edited" if module == edited else known(module))
    again = work(cells, tmp_path)
    [label] = [each.label for each in cells if each.method == "random"]
    assert started_cells(tmp_path) - before == {label: 3}
    assert again.count("done") == len(cells)


@pytest.mark.usefixtures("fake_work")
def test_an_edited_partner_that_reaches_the_same_macs_leaves_its_matching_cells(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work(grid(), tmp_path)
    before = started_cells(tmp_path)
    known = fingerprint._of_module
    edited = "methods.dnal"
    monkeypatch.setattr(fingerprint, "_of_module", lambda module: "edited" if module == edited else known(module))
    work(grid(), tmp_path)
    [label] = [each.label for each in grid() if each.method == "dnal"]
    assert started_cells(tmp_path) - before == {label: 3}


@pytest.mark.usefixtures("fake_work")
def test_another_seed_runs_its_own_cells_alone(tmp_path: Path) -> None:
    work(grid((0,)), tmp_path)
    before = started_cells(tmp_path)
    work(grid((0, 1)), tmp_path)
    new = started_cells(tmp_path) - before
    assert set(new) == {each.label for each in grid((1,))}


@pytest.mark.usefixtures("fake_work")
def test_cells_left_out_of_the_grid_keep_their_results(tmp_path: Path) -> None:
    work(grid((0, 1)), tmp_path)
    before = starts(tmp_path)
    work(grid((0,)), tmp_path)
    work(grid((0, 1)), tmp_path)
    assert starts(tmp_path) == before
