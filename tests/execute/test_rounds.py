"""Methods in rounds: what is given up stays away, sums add up, and a kill does not show in the outcome."""

from __future__ import annotations

import re
from collections.abc import Generator
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch

from harness.errors import StageFailure
from harness.execute.network import Decision
from harness.execute.rounds import run_rounds
from harness.execute.task import HarnessTask
from harness.method import Compressed, Params, Round, RoundsMethod, Task
from harness.suite.cell import Cell
from harness.suite.recipe import Epochs, Recipe
from harness.train.watch import Watch
from tests.cells import Finished, run
from tests.execute.small import events, small
from tests.execute.test_stop import After, numbers
from tests.methods.tasks import task_of

RECIPE = Recipe(epochs=Epochs(dense=1, search=3, finetune=1, baseline=2), batch=64)
FIRST, SECOND = "features.conv1", "features.conv2"


class Halving(RoundsMethod):
    """Gives up half of one layer, then of another; trains in between."""

    name = "halving"
    title = "Halving"
    Params: ClassVar[type[Params]] = Params

    def rounds(self, task: Task) -> Generator[Round, None, Compressed]:
        kept = {FIRST: tuple(range(8)), SECOND: tuple(range(8, 16))}
        yield Round({FIRST: kept[FIRST]}, epochs=1)
        yield Round({SECOND: kept[SECOND]}, epochs=0)
        yield Round({}, epochs=2, learning_rate=[0.01, 0.001], weight_decay=0.1)
        return Compressed(kept=kept, notes=("halved",))


def task(folder: Path, **changes: Any) -> HarnessTask:
    return task_of(small("random", budget=0.5, recipe=RECIPE), folder, **changes)


def running(of: HarnessTask, *rounds: Round, kept: dict[str, tuple[int, ...]] | None = None) -> Compressed:
    """Runs these rounds of a cell whose method declares three epochs."""

    def generator() -> Generator[Round, None, Compressed]:
        yield from rounds
        return Compressed(kept=kept or {})

    return run_rounds(of, generator(), 3)


def test_all_search_epochs_are_a_method_in_rounds_own() -> None:
    assert Halving.search_epochs(Params(), 7) == 7


def test_the_rounds_are_trained_and_billed(tmp_path: Path) -> None:
    made = task(tmp_path)
    decided = Halving().compress(made)
    assert made.billed.epochs == 3
    assert made.training_macs == 3 * made.model.dense_macs * 128 * 3
    assert [point["epoch"] for point in made.billed.curve] == [1, 2, 3]
    assert decided.kept == {FIRST: tuple(range(8)), SECOND: tuple(range(8, 16))}
    assert (decided.network, decided.notes) == (made.network, ("halved",))


def test_what_was_given_up_is_zero_in_the_end_and_the_rest_was_trained(tmp_path: Path) -> None:
    made, untouched = task(tmp_path), task(tmp_path / "other")
    Halving().compress(made)
    now, before = made.network.state_dict(), untouched.network.state_dict()
    assert now.keys() == before.keys()
    for layer, gone, left in (("1", slice(8, 16), slice(0, 8)), ("2", slice(0, 8), slice(8, 16))):
        for name in (f"conv{layer}.weight", f"conv{layer}.bias", f"bn{layer}.weight", f"bn{layer}.bias"):
            assert bool((now[f"features.{name}"][gone] == 0).all()), name
            assert bool((now[f"features.{name}"][left] != before[f"features.{name}"][left]).any()), name


def test_a_round_sees_the_network_as_the_one_before_left_it(tmp_path: Path) -> None:
    made = task(tmp_path)
    seen: list[bool] = []

    def rounds() -> Generator[Round, None, Compressed]:
        for _ in range(2):
            seen.append(bool((made.network.get_parameter(f"{FIRST}.weight")[8:] == 0).all()))
            yield Round({FIRST: tuple(range(8))}, epochs=1)
        yield Round({}, epochs=1)
        return Compressed(kept={FIRST: tuple(range(4))})

    run_rounds(made, rounds(), 3)
    assert seen == [False, True]


def test_a_channel_does_not_come_back_in_a_later_round(tmp_path: Path) -> None:
    rounds = Round({FIRST: (0, 1)}, epochs=0), Round({FIRST: (0, 5)}, epochs=3)
    with pytest.raises(StageFailure, match=rf"channel 5 of group '{FIRST}' was given up and comes back"):
        running(task(tmp_path), *rounds)


@pytest.mark.parametrize("kept", [{FIRST: (0, 1, 7)}, {}])
def test_a_channel_does_not_come_back_in_the_decision(kept: dict[str, tuple[int, ...]], tmp_path: Path) -> None:
    with pytest.raises(StageFailure, match="was given up and comes back"):
        running(task(tmp_path), Round({FIRST: (0, 1)}, epochs=3), kept=kept)


def test_epochs_that_were_not_declared_fail_the_cell(tmp_path: Path) -> None:
    with pytest.raises(StageFailure, match="trained 2 epochs, and `search_epochs` declares 3"):
        running(task(tmp_path), Round({}, epochs=2))


def test_a_selection_that_the_graph_does_not_know_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StageFailure, match="did you mean"):
        running(task(tmp_path), Round({"features.conv11": (0,)}, epochs=3))


def test_steps_of_a_round_are_told_and_its_state_is_kept(tmp_path: Path) -> None:
    steps: list[int] = []
    running(task(tmp_path), Round({}, epochs=3, before_step=steps.append, state={"memory": torch.zeros(1)}))
    assert steps == list(range(6))


def test_the_method_of_the_guide_works(tmp_path: Path) -> None:
    guide = (Path(__file__).parents[2] / "docs" / "how_to_write_a_method.md").read_text(encoding="utf-8")
    source = next(block for block in re.findall(r"```python\n(.*?)```", guide, re.DOTALL) if "class Gradual" in block)
    scope: dict[str, Any] = {"__name__": "guide"}
    exec(source, scope)
    made = task(tmp_path)
    decided = scope["Gradual"]().compress(made)
    assert made.billed.epochs == 3
    assert made.target is not None
    assert made.cost({name: len(left) for name, left in decided.kept.items()}) == pytest.approx(made.target, rel=0.02)


def cells() -> list[Cell]:
    return [
        small("thinet", budget=0.4, recipe=RECIPE, params={"images": 32}),
        small("gdp", budget=0.4, recipe=RECIPE, params={"every": 1, "batches": 1}),
    ]


def outcome(finished: Finished) -> list[object]:
    """All figures, and what the deciding stages left to the last bit."""
    found: list[object] = numbers(finished)
    for chain in finished.chains:
        decision = Decision.read(finished.results, chain.deciding or "")
        found += [decision.kept, {name: tensor.tolist() for name, tensor in decision.changed.items()}]
    return found


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    return run(cells(), tmp_path_factory.mktemp("unbroken"))


# The board asks once, and then each step: two of the dense stage, six of ThiNet's search, two of its fine-tuning.
@pytest.mark.parametrize("questions", [5, 7, 9, 13, 14, 16, 18])
def test_a_search_that_is_broken_off_ends_in_the_same_bits(questions: int, unbroken: Finished, tmp_path: Path) -> None:
    stopped = run(cells(), tmp_path, Watch(should_stop=After(questions), checkpoint_seconds=0))
    assert "waiting" in [row.state for row in stopped.rows]
    again = run(cells(), tmp_path)
    assert outcome(again) == outcome(unbroken)
    assert set(events(tmp_path, "done").values()) == {1}
