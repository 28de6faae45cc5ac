"""What a row says of a cell that really ran."""

from __future__ import annotations

import pytest

from harness.store.rows import Row
from tests.cells import run
from tests.execute.small import small


@pytest.fixture(scope="module")
def row(tmp_path_factory: pytest.TempPathFactory) -> Row:
    """DNAL on a few digits, one epoch of everything."""
    (found,) = run([small("dnal")], tmp_path_factory.mktemp("rows")).rows
    assert found.state == "done", found.reason
    return found


def test_each_epoch_of_a_search_tells_where_its_gates_are(row: Row) -> None:
    searched = [point for point in row.curve if point.stage == "compress"]
    assert len(searched) == 1
    gates = searched[0].gates
    assert gates is not None
    assert sum(gates.counts) == sum(size for _, size in row.widths.values())
    assert (gates.low, gates.high) == (0.0, 1.0)


def test_gates_of_an_annealed_search_end_at_nought_or_one(row: Row) -> None:
    gates = next(point.gates for point in row.curve if point.gates is not None)
    assert gates.counts[0] + gates.counts[-1] == pytest.approx(sum(gates.counts), rel=0.05)


def test_other_stages_have_no_gates(row: Row) -> None:
    assert all(point.gates is None for point in row.curve if point.stage != "compress")


def test_costs_by_stage_add_up_to_those_of_the_cell(row: Row) -> None:
    assert list(row.stage_macs) == ["dense", "compress", "finetune"]
    assert list(row.stage_seconds) == ["dense", "compress", "finetune", "measure"]
    assert sum(row.stage_macs.values()) == row.training_macs
    assert sum(row.stage_seconds.values()) == pytest.approx(row.device_seconds)
    assert all(row.stage_macs.values())
