"""Whole cells on a GPU."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from harness.execute.board import Board
from harness.execute.inline import run_inline
from harness.execute.place import Place
from harness.store.grid import look
from harness.store.ledger import Ledger
from tests.cells import RECIPE, cell

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_every_kind_of_stage_runs_on_a_gpu(precision: str, tmp_path: Path) -> None:
    recipe = RECIPE.model_copy(update={"precision": precision})
    natural = cell("dnal", recipe=recipe)
    cells = [natural, cell("l1_norm", recipe=recipe, match=natural), cell("uniform", recipe=recipe, budget=0.5)]
    ledger = Ledger(tmp_path)
    run_inline(Board(cells, ledger, tmp_path), Place(tmp_path, tmp_path, "cuda"), ledger)
    assert look(cells, tmp_path, ledger).count("done") == 3
