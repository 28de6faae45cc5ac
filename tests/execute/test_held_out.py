"""Who sees the held-out images, and who trains on them."""

from __future__ import annotations

import pytest

from tests.cells import Finished, run
from tests.execute.small import RECIPE, small, with_made_up_methods

ALL = RECIPE.model_copy(update={"all_train": True})
NAMES = ("careful", "random")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Finished]:
    """One method that needs held-out images and one that does not, under a recipe that trains on all."""
    with pytest.MonkeyPatch.context() as patch:
        found = with_made_up_methods()
        patch.setattr("harness.registry._found", lambda: found)
        results = tmp_path_factory.mktemp("held_out")
        return {name: run([small(name, budget=0.5, recipe=ALL)], results) for name in NAMES}


def test_under_all_train_nothing_is_held_out(finished: dict[str, Finished]) -> None:
    [row] = finished["random"].rows
    assert [point.held_out_top1 for point in row.curve] == [None] * 3


def test_a_method_that_needs_held_out_images_has_them_all_the_same(finished: dict[str, Finished]) -> None:
    [row] = finished["careful"].rows
    assert row.state == "done"
    assert len(row.curve) == 3
    assert all(point.held_out_top1 is not None for point in row.curve)


def test_its_dense_training_does_not_see_them_either(finished: dict[str, Finished]) -> None:
    dense = {name: finished[name].chains[0].stages[0] for name in NAMES}
    assert dense["careful"].key != dense["random"].key
    assert dense["careful"].config["all_train"] is False
    assert dense["random"].config["all_train"] is True
