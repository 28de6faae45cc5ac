"""What widths are worth: a network cut to them for real, with inherited weights, on the held-out images.

An evaluation keeps the channels of largest norm, cuts, trains for a part of an epoch if it is asked to, gives the
batch norms the statistics of training images (as MetaPruning does, Liu et al., ICCV 2019), and scores. All of it is
billed, and what is finished is in a journal: a killed search reads it there and ends in the same bits.
"""

from __future__ import annotations

import copy
import hashlib
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import update_bn

from harness.channels.choose import best_channels_within
from harness.channels.cost import CostModel
from harness.channels.graph import ChannelGraph, ChannelGroup, KeptChannels
from harness.channels.put_back import put_back
from harness.channels.surgery import cut
from harness.data.batches import batch_bounds, steps_per_epoch
from harness.data.interface import Loader
from harness.data.limited import LimitedLoader
from harness.data.seeds import derive
from harness.errors import StageFailure
from harness.execute.journal import Evaluation, Journal
from harness.method import Fidelity
from harness.store.atomic import remove
from harness.train.checkpoint import Checkpoint
from harness.train.loop import Source, Step, accuracy, train_epochs
from harness.train.watch import Stopped, Watch


@dataclass(frozen=True)
class Bench:
    """What evaluations work with.

    Attributes:
        groups: those that may be cut.
        model: counts what is billed.
        train: the images that weights are trained on.
        held_out: the images that accuracies are measured on.
        seed: of order and augmentation. All networks see the same batches: they differ in their widths alone.
        training: batch, accumulate, momentum, weight_decay, rebuild_momentum, augment and precision of the recipe.
        folder: of the journal.
    """

    graph: ChannelGraph
    groups: list[ChannelGroup]
    model: CostModel
    train: Loader
    held_out: Loader
    seed: int
    training: Mapping[str, Any]
    folder: Path
    watch: Watch


@dataclass(frozen=True)
class _Candidate:
    """An evaluated network; its weights are gone if an earlier process made them."""

    key: str
    accuracy: float
    widths: dict[str, int]
    kept: KeptChannels
    fidelity: Fidelity
    network: nn.Module | None


class WidthEvaluator:
    """Evaluates widths, and remembers what it found.

    Attributes:
        evaluations: the different ones that were asked for, in that order.
    """

    def __init__(self, bench: Bench, network: nn.Module, power: int, bill: Callable[[Evaluation], None]) -> None:
        """Starts without adoptions.

        Args:
            network: the whole network whose weights are inherited; left alone.
            power: the norm of a channel is the sum of |weight| ** power over the filters that write it.
            bill: called with every entry of `evaluations` once.
        """
        self.evaluations: list[Evaluation] = []
        self._bench, self._base, self._power, self._bill = bench, network, power, bill
        self._adopted: list[str] = []  # keys, which tell evaluations of different inherited weights apart
        self._left: KeptChannels = {}
        self._scores = self._ranked()
        self._billed: set[str] = set()
        self._best: _Candidate | None = None
        self._journal = Journal(bench.folder / "evaluations.json")

    def kept(self, widths: Mapping[str, int]) -> KeptChannels:
        """The channels that a network of these widths inherits; those that an adoption took away come last."""
        return best_channels_within(self._bench.graph, self._scores, widths, {})

    def __call__(self, widths: Mapping[str, int], fidelity: Fidelity) -> float:
        """The share of the held-out images that a network of these widths classifies right, 0..1.

        Raises:
            Stopped: somebody asked for it; the same search goes on after the last finished evaluation.
        """
        kept = self._bench.graph.complete(self.kept(widths))
        content = [self._adopted, sorted(kept.items()), asdict(fidelity), self._power]
        key = hashlib.sha256(json.dumps(content).encode()).hexdigest()
        found, network = self._journal.get(key), None
        if found is None:
            found, network = self._evaluate(kept, fidelity, key)
            self._journal.put(key, found)
        if key not in self._billed:
            self._billed.add(key)
            self.evaluations.append(found)
            self._bill(found)
            best = max(each.accuracy for each in self.evaluations)
            self._bench.watch.note({"stage": "compress", "evaluations": len(self.evaluations), "best": best})
        if self._best is None or found.accuracy > self._best.accuracy:
            self._best = _Candidate(key, found.accuracy, dict(widths), kept, fidelity, network)
        return found.accuracy

    def adopt_best(self) -> dict[str, int]:
        """From now on networks inherit from the most accurate one since the last adoption (of equals the first).

        Returns:
            The widths that it was evaluated at.
        """
        best = self._best
        if best is None:
            raise StageFailure("crashed", "the method adopts a network and has evaluated none")
        saved = Checkpoint(self._bench.folder / f"adopted-{len(self._adopted)}.safetensors")
        loaded = saved.load()
        if loaded is not None and loaded[1] == {"key": best.key}:
            narrow = cut(self._base, self._bench.graph, best.kept)
            narrow.load_state_dict(loaded[0])
        else:
            # Weights that a kill took come out as they were; their evaluation is in the bill already.
            narrow = best.network or self._evaluate(best.kept, best.fidelity, best.key)[1]
            saved.save(narrow.state_dict(), {"key": best.key})
        self._base = copy.deepcopy(self._base)
        put_back(narrow, self._base, self._bench.graph, best.kept)
        self._adopted.append(best.key)
        self._left = best.kept
        self._scores = self._ranked()
        self._best = None
        return best.widths

    def _ranked(self) -> dict[str, Tensor]:
        """{group: norms [channels]}; channels that an adoption took away are below all others."""
        weights = self._base.state_dict()
        scores = {}
        for group in self._bench.groups:
            filters = [weights[f"{layer}.weight"].double().abs() ** self._power for layer in group.producers]
            rows = torch.stack([each.flatten(1).sum(dim=1) for each in filters]).sum(dim=0).cpu()
            norms = rows.view(group.size, group.rows).sum(dim=1)
            gone = sorted(set(range(group.size)) - set(self._left.get(group.name, range(group.size))))
            norms[gone] -= norms.max() + 1
            scores[group.name] = norms
        return scores

    def _evaluate(self, kept: KeptChannels, fidelity: Fidelity, key: str) -> tuple[Evaluation, nn.Module]:
        bench, began = self._bench, time.perf_counter()
        if bench.watch.should_stop():
            raise Stopped
        narrow = cut(self._base, bench.graph, kept)
        widths = {name: len(channels) for name, channels in kept.items()}
        batch: int = bench.training["batch"]
        accumulate: int = bench.training.get("accumulate", 1)
        per_pass = steps_per_epoch(len(bench.train), batch, accumulate)
        steps = fidelity.steps(per_pass)
        passes = -(-steps // per_pass)
        # The same pass twice would teach a network that was adopted nothing new.
        first = len(self._adopted) * passes
        train = LimitedLoader(bench.train, batch, steps, first, accumulate)
        checkpoint = Checkpoint(bench.folder / f"evaluation-{key}.safetensors")
        images, right, earlier = 3 * train.images, 0.0, 0.0
        try:
            earlier = self._train(narrow, train, fidelity, first, checkpoint) if steps else 0.0
            images += self._renew_statistics(narrow, fidelity.recalibration_batches) + len(bench.held_out)
            right = accuracy(narrow, bench.held_out)
        except StageFailure as failure:
            if failure.reason != "diverged":
                raise
        seconds = max(time.perf_counter() - began, earlier)
        remove(checkpoint.path)
        found = Evaluation(widths, right, steps / per_pass, images * bench.model.macs(widths), seconds)
        return found, narrow

    def _train(
        self, narrow: nn.Module, train: LimitedLoader, fidelity: Fidelity, first: int, checkpoint: Checkpoint
    ) -> float:
        """Trains all weights at a constant rate; the seconds, those of an interrupted process too."""
        recipe, watch = self._bench.training, self._bench.watch
        step = Step(
            list(narrow.parameters()),
            recipe["momentum"],
            recipe["weight_decay"],
            rebuild_momentum=recipe["rebuild_momentum"],
            bfloat16=recipe["precision"] == "bfloat16",
        )
        return train_epochs(
            narrow,
            step,
            Source(train, None, self._bench.seed, recipe["batch"], recipe["augment"], recipe.get("accumulate", 1)),
            [fidelity.learning_rate] * train.passes,
            first_epoch=first,
            stage="compress",
            checkpoint=checkpoint,
            watch=Watch(should_stop=watch.should_stop, checkpoint_seconds=watch.checkpoint_seconds),
        ).seconds

    def _renew_statistics(self, narrow: nn.Module, batches: int) -> int:
        """Gives batch norms the mean statistics of training batches; how many images these hold."""
        if batches == 0:
            return 0
        bench, recipe = self._bench, self._bench.training
        device = bench.train.device
        passing = bench.train.epoch(derive(bench.seed, "statistics"), 0, recipe["batch"], recipe["augment"])
        with (
            torch.random.fork_rng(devices=[device] if device.type == "cuda" else []),
            torch.autocast(device.type, torch.bfloat16, enabled=recipe["precision"] == "bfloat16"),
        ):
            torch.manual_seed(derive(bench.seed, "statistics"))
            update_bn(islice(passing, batches), narrow)
        bounds = batch_bounds(len(bench.train), recipe["batch"])
        return bounds[min(batches, len(bounds)) - 1][1]
