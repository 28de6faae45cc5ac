"""The plain script of the benchmark is the same method as the harness's, so that only its way of computing differs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from bench.plain_dnal import Gate, GatedVgg, Recipe, accuracy, scaled, search, train_weights
from harness.backbones.vgg import _DIGITS
from harness.channels.cost import CostModel
from harness.data.interface import Loader
from harness.data.seeds import derive
from harness.execute.network import Decision, example_of, fresh_network, graph_of
from harness.execute.place import Place
from harness.suite.recipe import Epochs
from harness.suite.recipe import Recipe as Declared
from harness.suite.schedule import learning_rates
from methods.dnal import Dnal, DnalParams
from tests.cells import chain, run
from tests.execute.small import small

DENSE, SEARCH, FINETUNE, BASELINE = 3, 3, 3, 6
BATCH, STEPS = 16, 8
LAMBDA = 1e-6


@dataclass
class AsTheHarness:
    """The harness's own batches; each pass is the next epoch of the cell's life."""

    loader: Loader
    seed: int
    passes: int = 0

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        self.passes += 1
        return self.loader.epoch(self.seed, self.passes - 1, BATCH, True)


def on_digits() -> GatedVgg:
    """The script's form of `vgg_digits`."""
    return GatedVgg(_DIGITS, channels=1, size=8, classes=10)


def with_the_weights_of(config: dict[str, Any]) -> GatedVgg:
    """The script's network with the initial weights of the harness's."""
    plain, theirs = on_digits(), fresh_network(config).state_dict()
    names = [name for name in plain.state_dict() if not name.endswith((".values", ".delta", ".mask"))]
    plain.load_state_dict(dict(zip(names, theirs.values(), strict=True)), strict=False)
    return plain


def test_its_learning_rates_are_those_of_the_paper_recipe() -> None:
    recipe = Recipe(dense=5, search=1, finetune=6, baseline=10)
    declared = Declared(epochs=Epochs(dense=5, search=1, finetune=6, baseline=10))
    assert [recipe.rate(epoch) for epoch in range(10)] == pytest.approx(learning_rates(declared, 10))


def test_its_lambda_is_scaled_to_the_length_of_the_search_as_the_harness_scales_it() -> None:
    assert scaled(2e-4, 5, 157) == pytest.approx(2e-4 * Dnal.strength_factor(DnalParams(), 157, 5))


def test_it_decides_by_the_same_border() -> None:
    gate = Gate(4)
    gate.delta.fill_(1e4)
    border = 2.197224577e-4
    values = torch.tensor([border * 0.999, border * 1.001, 1.0, -1.0])
    with torch.no_grad():
        gate.values.copy_(values)
    gate.decide()
    task: Any = SimpleNamespace(params=DnalParams())
    assert gate.mask.bool().tolist() == Dnal().keeps(task, values, {"delta": 1e4}).tolist()


def test_it_counts_what_the_cut_network_would_execute() -> None:
    config = {"backbone": "vgg_digits", "data": "digits", "seed": 0}
    whole = fresh_network(config)
    graph = graph_of(config, whole)
    plain = on_digits()
    for number, gate in enumerate(plain.gates, 1):
        gate.mask[:number] = 0
    widths = {f"features.conv{number}": int(gate.mask.sum()) for number, gate in enumerate(plain.gates, 1)}
    assert plain.macs(8) == CostModel(whole, graph, example_of("digits")).macs({**graph.widths, **widths})


def test_the_same_weights_and_batches_end_in_the_same_network(tmp_path: Path) -> None:
    epochs = Epochs(dense=DENSE, search=SEARCH, finetune=FINETUNE, baseline=BASELINE)
    declared = Declared(epochs=epochs, batch=BATCH, lr=0.05, all_train=True)
    cell = small("dnal", recipe=declared, params={"lambda_a": LAMBDA})
    done = run([cell], tmp_path)
    stages = {stage.kind: stage for stage in chain(cell, done.ledger).stages}
    config, place = dict(stages["dense"].config), Place(tmp_path, tmp_path)
    train, _ = place.loaders(config)
    batches = AsTheHarness(train, derive(config["seed"], "order"))
    network = with_the_weights_of(config)
    recipe = Recipe(DENSE, SEARCH, FINETUNE, BASELINE, lr=0.05)

    train_weights(network, batches, recipe, DENSE, start=0)
    search(network, batches, SEARCH, scaled(LAMBDA, SEARCH, STEPS))
    train_weights(network, batches, recipe, FINETUNE, start=BASELINE - FINETUNE)

    kept = Decision.read(tmp_path, stages["compress"].key).kept
    agreed = []
    for number, gate in enumerate(network.gates, 1):
        theirs = torch.zeros(len(gate.mask))
        theirs[list(kept.get(f"features.conv{number}", range(len(gate.mask))))] = 1
        agreed.append(gate.mask == theirs)
    # not all: the rounding of two ways to compute the same may move a gate across the border
    together = torch.cat(agreed).float().mean().item()
    print(together, [int(g.mask.sum()) for g in network.gates], {k: len(v) for k, v in kept.items()})
    closed = torch.cat([gate.mask == 0 for gate in network.gates]).float().mean().item()
    assert 0.05 < closed < 0.95, "the search decides nothing"
    assert together > 0.97
    top1 = done.rows[0].top1
    print(top1, accuracy(network, place.test_loader("digits").plain(64)))
    assert top1 is not None
    assert accuracy(network, place.test_loader("digits").plain(64)) == pytest.approx(top1, abs=0.05)
