"""A method that breaks an invariant is told which one, with both numbers: as a row of a run, and by the checker."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, Literal

import pytest

import harness
from harness.authoring.check import BrokenContract
from harness.errors import UserError
from harness.method import Compressed, Method, ScoreMethod, Scores, Task
from harness.registry import methods, registered
from tests.cells import run
from tests.execute.small import small


class Faulty(ScoreMethod):
    """A sound method in which each test breaks one thing."""

    name = "faulty"
    title = "Faulty"

    def score(self, task: Task) -> Scores:
        import torch

        return {group.name: torch.arange(group.size).float() for group in task.groups}


def decided(change: Callable[[Task, dict[str, tuple[int, ...]]], Any]) -> type[Method]:
    """A method that allocates soundly and then changes its decision."""

    class Changed(Faulty):
        def compress(self, task: Task) -> Compressed:
            kept = dict(task.allocate(self.score(task)))
            change(task, kept)
            return Compressed(kept=kept)

    return Changed


def scored(score: Callable[[Task], Any]) -> type[Method]:
    class Scored(Faulty):
        def score(self, task: Task) -> Scores:
            found: Scores = score(task)
            return found

    return Scored


def zeros(task: Task, width: int | None = None) -> Any:
    import torch

    return {group.name: torch.zeros(width or group.size) for group in task.groups}


def first(task: Task) -> str:
    return task.groups[0].name


def last_and_first(task: Task, kept: dict[str, tuple[int, ...]]) -> None:
    kept[first(task)] = tuple(reversed(kept[first(task)]))


def hooked(task: Task, kept: dict[str, tuple[int, ...]]) -> None:
    layer = task.network.get_submodule(task.groups[0].producers[0])
    layer.register_forward_hook(lambda module, inputs, output: output * 0.5)


def renamed(task: Task, kept: dict[str, tuple[int, ...]]) -> None:
    import torch

    task.network.register_buffer("mask_of_mine", torch.zeros(3))


def torn(task: Task, kept: dict[str, tuple[int, ...]]) -> None:
    import torch

    with torch.no_grad():
        next(task.network.parameters()).flatten()[0] = float("nan")


class Trainer(Faulty):
    """Trains an epoch that it does not declare."""

    def compress(self, task: Task) -> Compressed:
        task.train(
            task.network,
            epochs=1,
            learning_rate=0.01,
            parameters=task.network.parameters(),
            momentum=0.9,
            weight_decay=0.0,
        )
        return super().compress(task)


class Everything(Faulty):
    """Keeps all whatever the budget."""

    def compress(self, task: Task) -> Compressed:
        return Compressed(kept={})


BROKEN: dict[str, tuple[type[Method], str]] = {
    "budget": (Everything, r"crashed: it misses its budget by \+100\.0%: [\d,]+ macs, and [\d,]+ asked for"),
    "shape": (
        scored(lambda task: zeros(task, 3)),
        r"crashed: scores of group '.*' have shape \(3,\), expected \(\d+,\)",
    ),
    "no score": (scored(lambda task: {}), "crashed: the method gave no score for group"),
    "out of range": (
        decided(lambda task, kept: kept.update({first(task): (0, 9999)})),
        r"invalid network: group '.*' keeps channel 9999, and its channels are 0 to \d+",
    ),
    "twice": (
        decided(lambda task, kept: kept.update({first(task): (0, 2, 2)})),
        "invalid network: group '.*' keeps channel 2 2 times",
    ),
    "unsorted": (
        decided(last_and_first),
        r"invalid network: kept channels of group '.*' must be in ascending order, and \d+ stands before \d+",
    ),
    "emptied": (
        decided(lambda task, kept: kept.update({first(task): ()})),
        r"invalid network: group '.*' keeps 0 of \d+ channels; no branch can go with it, so it keeps 1",
    ),
    "unknown group": (
        decided(lambda task, kept: kept.update({first(task) + "x": (0,)})),
        "invalid network: unknown channel group",
    ),
    "hook": (
        decided(hooked),
        r"invalid network: the masked and the cut network disagree by \d\.\de[+-]\d\d of the largest logit",
    ),
    "tensors": (
        decided(renamed),
        r"invalid network: the network must go on with the \d+ tensors it was given, and has \d+: of 'mask_of_mine'",
    ),
    "not finite": (decided(torn), "diverged: '.*' holds numbers that are not finite"),
    "epochs": (Trainer, "crashed: `compress` trained for 1 epochs, and `search_epochs` declares 0"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_run_fails_the_cell_and_says_what_is_broken(what: str, tmp_path: Path) -> None:
    author, expected = BROKEN[what]
    with registered(author):
        [row] = run([small("faulty", budget=0.5)], tmp_path).rows
    assert row.state == "failed"
    import re

    assert re.match(expected, row.reason), row.reason


@pytest.mark.parametrize("what", ["budget", "twice", "epochs"])
def test_the_checker_says_the_same(what: str) -> None:
    author, expected = BROKEN[what]
    with pytest.raises(BrokenContract, match=expected):
        harness.check_method(author, budgets=[0.5])


def test_a_sound_method_passes() -> None:
    harness.check_method(Faulty)
    assert "faulty" not in methods()


def test_a_budget_that_is_missed_by_little_is_told_by_the_checker() -> None:
    class Narrow(Faulty):
        def compress(self, task: Task) -> Compressed:
            kept = dict(task.allocate(self.score(task)))
            widest = max(kept, key=lambda name: len(kept[name]))
            kept[widest] = kept[widest][: len(kept[widest]) - len(kept[widest]) // 6]
            return Compressed(kept=kept)

    with pytest.raises(BrokenContract, match=r"at macs=0\.5: the budget is missed by -\d+\.\d%: [\d,]+ MACs, and"):
        harness.check_method(Narrow, budgets=[0.5])


def test_a_method_that_draws_elsewhere_than_from_its_generator_is_told() -> None:
    import os

    import torch

    class Free(Faulty):
        def score(self, task: Task) -> Scores:
            generator = torch.Generator().manual_seed(int.from_bytes(os.urandom(4), "big"))
            return {group.name: torch.rand(group.size, generator=generator) for group in task.groups}

    with pytest.raises(BrokenContract, match="the same seed keeps other channels the second time"):
        harness.check_method(Free, budgets=[0.5])


def test_torch_at_the_top_of_a_file_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from harness.authoring.check import _imports_torch_early

    (tmp_path / "early_author.py").write_text("import os\nfrom torch import nn\n\nclass Early:\n    pass\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    import importlib

    found = importlib.import_module("early_author")
    assert _imports_torch_early(found.Early) == [
        "line 2 imports torch at the top of its file: import it inside functions"
    ]


def test_an_unfinished_class_and_a_taken_name_are_refused_in_one_line() -> None:
    class Unfinished(ScoreMethod):
        name = "unfinished"
        title = "Unfinished"

    with pytest.raises(UserError, match="Unfinished is not finished: it lacks score"):
        harness.check_method(Unfinished)  # type: ignore[type-abstract]

    class Taken(Faulty):
        name = "l1_norm"

    with pytest.raises(UserError, match=r"the name 'l1_norm' is taken by methods\.l1_norm"):
        harness.check_method(Taken)


def test_wrong_parameters_are_refused_in_one_line() -> None:
    with pytest.raises(UserError, match="parameters of 'faulty': power: "):
        harness.check_method(Faulty, params={"power": 2})


def test_a_network_too_coarse_for_its_budget_is_a_row_and_no_failure(tmp_path: Path) -> None:
    """What the harness allocates itself is never held against the method."""
    from harness.execute.contract import check_budget

    check_budget(150, 100, "macs", granted=True)
    check_budget(109, 100, "macs", granted=False)
    check_budget(150, None, "macs", granted=False)


class Refuser(Faulty):
    """Decides by itself."""

    takes_budget: ClassVar[Literal["required", "optional", "refused"]] = "refused"
    name = "refuser"

    def compress(self, task: Task) -> Compressed:
        return Compressed(kept={task.groups[0].name: (0, 1)})


def test_a_method_without_a_budget_is_checked_at_its_own_outcome() -> None:
    harness.check_method(Refuser)
