"""Studies whose trials take a moment: the made-up method `dial` on 512 of the digits."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from harness.suite.cell import Cell, DataChoice
from harness.suite.recipe import Epochs, Recipe
from harness.suite.study import Domain, Study, Tuned
from tests.execute.small import small

RECIPE = Recipe(epochs=Epochs(dense=2, search=1, finetune=3, baseline=5), batch=32)
IMAGES = 512
SPACE = (("share", Domain("uniform", (0.2, 1.0))),)


def study(**changes: Any) -> Study:
    """Four trials of the share that is kept, two at a time, none stopped, the best one chosen."""
    trial = small("dial", recipe=RECIPE, params={"share": 0.2}, shown=("share",))
    trial = replace(trial, data=DataChoice("digits", IMAGES))
    plain = Study("tuned", SPACE, ("top1",), 4, 1, 2, None, 0, trial)
    return replace(plain, **changes)


def tuned(of: Study, rank: int = 0, seed: int = 0) -> Cell:
    """The cell that has one of a study's best configurations."""
    return replace(of.trial, seed=seed, tuned=Tuned(of, rank))
