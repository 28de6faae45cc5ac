"""The plain script of the benchmark is the same method as the harness's: given the same batches it ends alike."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from bench.plain_dnal import GatedVgg, Recipe, accuracy, scaled, search, train_weights
from harness.backbones.vgg import _DIGITS
from harness.data.interface import Loader
from harness.data.seeds import derive
from harness.execute.network import Decision, fresh_network
from harness.execute.place import Place
from tests.cells import chain, run
from tests.execute.small import small

DENSE, SEARCH, FINETUNE, BASELINE = 2, 2, 3, 5
LAMBDA = 1e-5


@dataclass
class AsTheHarness:
    """The harness's own batches; each pass is the next epoch of the cell's life."""

    loader: Loader
    seed: int
    passes: int = field(default=0)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        self.passes += 1
        return self.loader.epoch(self.seed, self.passes - 1, 64, True)


def with_the_weights_of(config: dict[str, Any]) -> GatedVgg:
    """The script's network with the initial weights of the harness's."""
    plain = GatedVgg(_DIGITS, channels=1, size=8, classes=10)
    theirs = fresh_network(config).state_dict()
    names = [name for name in plain.state_dict() if not name.endswith((".values", ".delta", ".mask"))]
    plain.load_state_dict(dict(zip(names, theirs.values(), strict=True)), strict=False)
    return plain


def test_the_same_batches_give_the_same_channels_and_the_same_accuracy(tmp_path: Path) -> None:
    from harness.suite.recipe import Epochs
    from harness.suite.recipe import Recipe as Declared

    epochs = Epochs(dense=DENSE, search=SEARCH, finetune=FINETUNE, baseline=BASELINE)
    declared = Declared(epochs=epochs, batch=64, lr=0.05, all_train=True)
    cell = small("dnal", recipe=declared, params={"lambda_a": LAMBDA})
    done = run([cell], tmp_path)
    stages = {stage.kind: stage for stage in chain(cell, done.ledger).stages}
    config = dict(stages["dense"].config)
    train, _ = Place(tmp_path, tmp_path).loaders(config)
    batches = AsTheHarness(train, derive(config["seed"], "order"))
    network = with_the_weights_of(config)
    recipe = Recipe(DENSE, SEARCH, FINETUNE, BASELINE, lr=0.05)

    train_weights(network, batches, recipe, DENSE, start=0)
    search(network, batches, SEARCH, scaled(LAMBDA, SEARCH, steps=2))
    train_weights(network, batches, recipe, FINETUNE, start=BASELINE - FINETUNE)

    kept = Decision.read(tmp_path, stages["compress"].key).kept
    print({k: len(v) for k, v in kept.items()}, [int(g.mask.sum()) for g in network.gates])
    print([float((1e4 * g.values).sub(2.197).abs().min()) for g in network.gates])
    mine = {
        f"features.conv{number}": gate.mask.nonzero().flatten().tolist() for number, gate in enumerate(network.gates, 1)
    }
    for name, channels in kept.items():
        print(name, list(channels) == mine.get(name))
    print(
        done.rows[0].macs,
        network.macs(8),
        done.rows[0].top1,
        accuracy(network, Place(tmp_path, tmp_path).test_loader("digits").plain(64)),
    )
