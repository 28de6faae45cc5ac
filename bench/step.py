"""A step of DNAL's search against a plain training step, and against a search with its gates as layers of their own.

The first two are the harness's own loop and the method's own search. The third is what public code does: a module after
each batch norm that multiplies the activations, while the gradients of all weights are computed and not used. Batch 64
of CIFAR-10, float32.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from bench.lines import THREADS, Line, interleaved
from bench.profile_words import explained
from harness.backbones.catalogue import build
from harness.channels.gates import insert_gates
from harness.channels.graph import ChannelGraph
from harness.channels.groups import ChannelGroup
from harness.data.catalogue import data_set
from harness.data.interface import Loader
from harness.data.loader import DeviceLoader
from harness.data.sets import load_data
from harness.method import Gates
from harness.paths import data_folder
from harness.registry import method
from harness.train.loop import Source, Step, train_epochs

BATCH, STEPS = 64, 2
BAR = 0.70
CASES = (("vgg16", 6), ("vgg16_quarter", 12), ("resnet56", 5))
"""(backbone, pairs of runs of `STEPS` steps)"""
QUICK = (("vgg16_eighth", 1),)
LAMBDA = 2e-4


def images_for(steps: int, channels_last: bool = True) -> DeviceLoader:
    """The first training images of CIFAR-10, so many batches of them."""
    declared = data_set("cifar10")
    raw = load_data(declared.name, data_folder(None))
    count = steps * BATCH
    return DeviceLoader(
        raw.train_images[:count], raw.train_labels[:count], declared, "cpu", channels_last=channels_last
    )


def built(backbone: str) -> tuple[nn.Module, ChannelGraph]:
    """A network in channels-last format and its graph."""
    declared = data_set("cifar10")
    network = build(backbone, declared, seed=0)
    graph = ChannelGraph.trace(network, torch.zeros(1, declared.channels, declared.size, declared.size))
    return network.to(memory_format=torch.channels_last), graph


def plain(network: nn.Module, images: Loader) -> Callable[[], object]:
    """An epoch that trains all weights, by the harness's loop."""
    step = Step(list(network.parameters()), 0.9, 5e-4)
    source = Source(images, None, 0, BATCH, augment=True)
    return lambda: train_epochs(network, step, source, [0.01], stage="dense")


@dataclass
class OneEpoch:
    """What DNAL's search sees of its task: one epoch on these images, without checkpoints."""

    params: Any
    images: Loader
    epochs: int = 1
    steps_per_epoch: int = STEPS

    def train(
        self,
        network: nn.Module,
        *,
        epochs: int,
        learning_rate: float,
        parameters: Sequence[nn.Parameter],
        momentum: float,
        weight_decay: float,
        penalty: Callable[[], Tensor],
        before_epoch: Callable[[int], None],
        frozen_batch_norm: bool,
        rebuild_momentum: bool,
    ) -> None:
        """As `HarnessTask.train`."""
        step = Step(parameters, momentum, weight_decay, penalty, frozen_batch_norm, rebuild_momentum)
        source = Source(self.images, None, 0, BATCH, augment=True)
        train_epochs(network, step, source, [learning_rate] * epochs, stage="compress", before_epoch=before_epoch)


def search(network: nn.Module, groups: Sequence[ChannelGroup], images: Loader) -> Callable[[], object]:
    """An epoch of DNAL's search, by the method's own code, with δ as where a search begins."""
    author = method("dnal")()
    task = OneEpoch(
        author.Params.model_validate(
            {"lambda_a": LAMBDA, "scale_lambda": False, "delta_schedule": "constant", "delta_final": 1}
        ),
        images,
    )
    gates = Gates({})
    gates.values = insert_gates(network, groups, lambda values: author.gate(values, gates.state), 0.0)  # type: ignore[attr-defined]
    return lambda: author.search(task, gates, network)  # type: ignore[attr-defined]


class GateLayer(nn.Module):
    """Multiplies each channel of what a batch norm gives by sigmoid(δ·s)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.s = nn.Parameter(torch.zeros(channels))
        self.delta = 1.0

    def forward(self, images: Tensor) -> Tensor:
        """[B, C, ...] → the same shape."""
        factor = torch.sigmoid(self.delta * self.s)
        return images * factor.view(1, -1, *[1] * (images.dim() - 2))


def with_gate_layers(network: nn.Module, groups: Iterable[ChannelGroup]) -> list[GateLayer]:
    """Puts a `GateLayer` behind every layer that the groups are gated at, in place."""
    layers = []
    for group in groups:
        for part in group.gate_points:
            parent, _, name = part.layer.rpartition(".")
            gate = GateLayer(group.size * part.repeat)
            layers.append(gate)
            setattr(network.get_submodule(parent), name, nn.Sequential(network.get_submodule(part.layer), gate))
    return layers


def separate(network: nn.Module, groups: Sequence[ChannelGroup], images: Loader) -> Callable[[], object]:
    """The same epoch with gates as layers; every weight's gradient is computed, gates and linear layers are stepped."""
    layers = with_gate_layers(network, groups)
    stepped = [gate.s for gate in layers]
    for module in network.modules():
        if isinstance(module, nn.Linear | nn.BatchNorm1d):
            stepped += list(module.parameters())

    def epoch() -> None:
        network.train()
        optimiser = torch.optim.SGD(stepped, lr=0.01, momentum=0.9)
        total = 0.0
        for pixels, labels in images.epoch(0, 0, BATCH, True):
            penalty = torch.zeros(())
            for gate in layers:
                penalty = penalty + LAMBDA * torch.sigmoid(gate.s).sum()
            network.zero_grad()
            loss = cross_entropy(network(pixels), labels) + penalty
            torch.autograd.backward(loss)
            optimiser.step()
            total += loss.item()

    return epoch


def compared(backbone: str, pairs: int, asked: str) -> list[Line]:
    """The lines of one backbone."""
    network, graph = built(backbone)
    groups = graph.cuttable(["inner"])
    images = images_for(STEPS)
    acts: Mapping[str, Callable[[], object]] = {
        "search": search(copy.deepcopy(network), groups, images),
        "plain": plain(copy.deepcopy(network), images),
        "separate": separate(copy.deepcopy(network), groups, images),
    }

    def line(theirs: str, what: str, bar: str) -> Line:
        one, other = interleaved(acts["search"], acts[theirs], pairs)
        note = f"search: {explained(acts['search'])}; {theirs}: {explained(acts[theirs])}"
        shown = [f"{1000 * seconds / STEPS:.0f} ms" for seconds in (one, other)]
        return Line(f"DNAL search step / {what}, {backbone}", shown[0], shown[1], one / other, bar, note)

    return [
        line("plain", "plain step", asked),
        line("separate", "step with separate gate layers, all gradients", "–"),
    ]


def measure(quick: bool) -> list[Line]:
    """Lines of all backbones; ratios of times, lower is better."""
    torch.set_num_threads(THREADS)
    lines = []
    for backbone, pairs in QUICK if quick else CASES:
        lines += compared(backbone, pairs, f"≤ {BAR:.2f}" if backbone == "vgg16" else "–")
    return lines
