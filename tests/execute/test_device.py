"""A recipe that asks for what the device has not stops the run in one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.execute.board import Board
from harness.execute.inline import run_inline
from harness.execute.place import Place
from harness.execute.stages import run_stage
from harness.plan.stages import chain_of
from harness.store.grid import look
from harness.store.ledger import Ledger
from tests.cells import RECIPE, cell


def test_nothing_is_trained_and_nothing_is_filed_as_failed(tmp_path: Path) -> None:
    wanted = cell("dnal", recipe=RECIPE.model_copy(update={"cuda_graphs": True}))
    ledger = Ledger(tmp_path)
    board = Board([wanted], ledger, tmp_path)
    run_inline(board, Place(tmp_path, tmp_path), ledger)
    assert board.halted
    assert board.halted.startswith("recipe.cuda_graphs: there are no CUDA graphs on cpu")
    assert "\n" not in board.halted
    assert look([wanted], tmp_path, ledger).count("failed") == 0


def test_an_emulated_precision_is_refused_by_every_stage_that_trains(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from harness.errors import UserError
    from harness.train import device

    monkeypatch.setattr(device, "has_bfloat16", lambda name: False)
    chain = chain_of(cell("l1_norm", budget=0.5, recipe=RECIPE.model_copy(update={"precision": "bfloat16"})), {})
    trains = [stage for stage in chain.stages if stage.kind != "measure"]
    assert [stage.kind for stage in trains] == ["dense", "compress", "finetune"]
    for stage in trains:
        with pytest.raises(UserError, match=r"^recipe\.precision"):
            run_stage(Place(tmp_path, tmp_path), stage.kind, stage.key, stage.config, stage.parents)
