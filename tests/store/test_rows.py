"""What a row says of a cell that really ran."""

from __future__ import annotations

from typing import Any

import pytest

from harness.plan.stages import chain_of
from harness.store.rows import Row, build_row
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


class Told:
    """A ledger that knows what each kind of stage told."""

    def __init__(self, keys: dict[str, str], facts: dict[str, dict[str, Any]]) -> None:
        self._facts = {key: facts[kind] for key, kind in keys.items()}

    def result(self, key: str, *kinds: str) -> dict[str, Any] | None:
        return self._facts.get(key)


def test_what_the_networks_cost_that_a_search_tried_is_a_part_of_its_own() -> None:
    chain = chain_of(small("dnal"), {})
    costs = ("macs", "params", "paper_flops", "paper_params")
    measured = dict.fromkeys(("top1", "top5", *costs, *(f"dense_{cost}" for cost in costs)), 1)
    search = {"evaluations": 3, "epochs": 0.5, "macs": 40, "seconds": 4.0}
    facts = {
        "dense": {"training_macs": 100, "seconds": 10.0},
        "compress": {"training_macs": 60, "seconds": 6.0, "widths": {}, "cuttable": [], "search": search},
        "finetune": {"training_macs": 30, "seconds": 3.0},
        "measure": measured | {"seconds": 1.0},
    }
    ledger: Any = Told({stage.key: stage.kind for stage in chain.stages}, facts)
    row = build_row(chain, ledger, "done", "")
    assert row.stage_macs == {"dense": 100, "compress": 20, "finetune": 30, "networks": 40}
    assert row.stage_seconds == {"dense": 10.0, "compress": 2.0, "finetune": 3.0, "measure": 1.0, "networks": 4.0}
    assert row.training_macs == 190
