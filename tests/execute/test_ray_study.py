"""Under Ray Tune a study has the very outcomes that it has in one process."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.execute.board import Board
from harness.execute.place import Place
from harness.execute.ray_environment import prepare
from harness.execute.stop import StopSign
from harness.plan.studies import study_key
from harness.store.grid import look
from harness.store.ledger import Ledger
from harness.suite.cell import Cell, DataChoice
from harness.suite.schema import Resources
from harness.suite.study import Domain, Stopping, Study, Tuned
from harness.train.watch import Watch
from tests.cells import run
from tests.execute.small import events, small
from tests.execute.tuning import IMAGES, RECIPE


def cell(name: str, **changes: Any) -> Cell:
    """The cell of a study of DNAL, which workers find without this file."""
    trial = small("dnal", recipe=RECIPE, params={"lambda_a": 0.0}, shown=("initial",))
    trial = replace(trial, data=DataChoice("digits", IMAGES))
    space = (("initial", Domain("uniform", (-2.0, 2.0))),)  # below 0 all gates begin closed, above 0 open
    of = replace(Study(name, space, ("top1", "macs"), 3, 2, 2, None, 0, trial), **changes)
    return replace(trial, tuned=Tuned(of, 0))


def told(cells: list[Cell], results: Path) -> list[Any]:
    found = []
    for each in cells:
        assert each.tuned is not None
        result = Ledger(results).result(study_key(each.tuned.study))
        assert result is not None
        found.append((result["trials"], result["best"]))
    return found


def test_a_study_by_ray_tune_equals_one_in_this_process(tmp_path: Path) -> None:
    prepare()
    from harness.execute.ray_tune import run_tune

    halved = cell("halved", objectives=("top1",), stopping=Stopping(1, 3), parallel=1, trials=4, best=1)
    cells = [cell("front"), halved]
    by_ray, inline = tmp_path / "ray", tmp_path / "inline"
    ledger = Ledger(by_ray)
    stop = StopSign(by_ray / "leases" / "stop")
    board = Board(cells, ledger, by_ray)
    run_tune(board, Place(by_ray, by_ray, watch=Watch(should_stop=stop)), stop, Resources(), None)
    assert look(cells, by_ray, ledger).count("done") == 2
    run(cells, inline)
    assert told(cells, by_ray) == told(cells, inline)
    assert "stopped" in {trial["state"] for trial in told(cells, by_ray)[1][0]}
    assert set(events(by_ray, "done").values()) == {1}
