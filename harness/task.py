"""What a method is given, a `Task`, and what it gives back, a `Compressed`: the other half of `harness.method`."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from pathlib import Path

    import torch
    from torch import Tensor, nn

    from harness.channels.graph import ChannelGraph, ChannelGroup, KeptChannels
    from harness.suite.cell import Mode

Scores = dict[str, "Tensor"]
"""An importance for every channel of every group: {group: Tensor[channels]}, larger is more important."""


@dataclass
class Compressed:
    """What a method decided.

    Attributes:
        kept: {group: indices that stay}, ascending; a group that is absent is kept whole.
        network: the network, still uncut, whose weights go on (None: the task's own).
        scores: what the channels were ranked by, so that a budget can be met by trimming; a group that has one score
            for all its channels goes as a whole.
        fresh: the kept widths are trained from new weights on the whole schedule.
        notes: what a reader of the table must know, one short phrase each.
    """

    kept: KeptChannels
    network: nn.Module | None = None
    scores: Scores | None = None
    fresh: bool = False
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Round:
    """What a `RoundsMethod` asks for between two of its own acts: a partial plan, and training under it.

    Attributes:
        kept: {group: indices that are left from here on}, ascending. A group that is absent stays as it is. What is
            given up is gone for good.
        epochs: passes over the training images; 0 only gives up channels.
        learning_rate: of all epochs, or one an epoch.
        rebuild_momentum: momentum starts each epoch at zero; a round always begins without any.
        before_step, state: as in `Task.train`.
    """

    kept: KeptChannels
    epochs: int
    learning_rate: float | Sequence[float] = 0.01
    momentum: float = 0.9
    weight_decay: float = 0.0
    rebuild_momentum: bool = False
    before_step: Callable[[int], None] | None = None
    state: Mapping[str, Tensor] | None = None


@dataclass(frozen=True)
class Fidelity:
    """How much an evaluation of a search does before it measures.

    Attributes:
        epochs: passes over the training images that the narrow network trains for, in parts; 0: it does not train.
        recalibration_batches: training batches that give the batch norms new statistics; 0: they keep the inherited.
        learning_rate: of that training.
    """

    epochs: float = 0.0
    recalibration_batches: int = 20
    learning_rate: float = 0.01

    def steps(self, steps_per_epoch: int) -> int:
        """The steps of the training, at least one if there is any."""
        return max(1, round(self.epochs * steps_per_epoch)) if self.epochs > 0 else 0


class Evaluate(Protocol):
    """Tries widths: cuts for real with inherited weights, and measures on held-out images. Billed, and never redone."""

    def __call__(self, widths: Mapping[str, int], fidelity: Fidelity) -> float:
        """The share of the held-out images, 0..1, that a network of these widths classifies right."""

    def kept(self, widths: Mapping[str, int]) -> KeptChannels:
        """The channels that a network of these widths inherits: those of largest norm."""

    def adopt_best(self) -> dict[str, int]:
        """From now on networks inherit the weights of the most accurate one since the last adoption; its widths."""


class Task(Protocol):
    """What a method is given: one network to make smaller."""

    params: Any
    """The method's own parameters, an instance of its `Params`."""
    network: nn.Module
    """The network: trained for the dense stage's epochs, or fresh if the method `starts_from` "scratch"."""
    graph: ChannelGraph
    """Which channels live or die together."""
    groups: list[ChannelGroup]
    """The groups of `graph` that this cell may cut."""
    target: int | None
    """The budget as a count, or None: the method decides how much."""
    allocation: Mode
    """How much each layer keeps in `allocate`, as the suite says."""
    generator: torch.Generator
    """Seeded for this cell and this purpose (CPU)."""
    epochs: int
    """How long the recipe lets a method search."""
    steps_per_epoch: int
    """Batches in a pass over the training images."""
    device: torch.device

    def cost(self, widths: Mapping[str, int]) -> int:
        """The executed network's cost at these widths, in the budget's metric (MACs without a budget)."""

    def allocate(self, scores: Scores) -> KeptChannels:
        """The channels to keep so that the budget is met, by the cell's allocation mode."""

    def arrange(self, widths: Mapping[str, int]) -> KeptChannels:
        """Channels of a network of these widths, where any will do."""

    def run_rounds(self, rounds: Generator[Round, None, Compressed], epochs: int) -> Compressed:
        """What a `RoundsMethod` decides in the end; its rounds train so many epochs together."""

    def training_batches(
        self, limit: int | None = None, *, augment: bool = True, epoch: int = 0
    ) -> Iterable[tuple[Tensor, Tensor]]:
        """Training batches of one pass (or the first `limit`): images [B, C, H, W], labels [B]; not billed.

        Args:
            limit: how many batches.
            augment: crop and mirror as the recipe does.
            epoch: each has an order of its own.
        """

    def held_out_batches(self, limit: int | None = None) -> Iterable[tuple[Tensor, Tensor]]:
        """Held-out batches, not augmented, in a fixed order; for a method that declares `needs_held_out`."""

    def bill(self, macs: int) -> None:
        """Adds multiply-adds that the method spent outside `train` to the cell's training MACs.

        An image's forward pass costs the network's MACs, a forward and backward pass three times as many.
        """

    def record_gates(self, factors: Callable[[], Iterable[Tensor]]) -> None:
        """Has each later epoch of `train` note how the factors that gates then have are spread, for the report."""

    def evaluator(self, power: int) -> Evaluate:
        """What a search tries widths with; for a method that declares `needs_held_out`.

        Args:
            power: channels are inherited by the sum of |weight| ** power over the filters that write them.
        """

    def work_folder(self) -> Path:
        """A folder for unfinished work that a killed run goes on from; removed once the stage is done."""

    def train(
        self,
        network: nn.Module,
        *,
        epochs: int,
        learning_rate: float | Sequence[float],
        parameters: Iterable[nn.Parameter],
        momentum: float,
        weight_decay: float,
        penalty: Callable[[], Tensor] | None = None,
        before_epoch: Callable[[int], None] | None = None,
        frozen_batch_norm: bool = False,
        rebuild_momentum: bool = True,
        loss: Callable[[nn.Module, Tensor, Tensor], tuple[Tensor, Tensor]] | None = None,
        before_step: Callable[[int], None] | None = None,
        after_backward: Callable[[], None] | None = None,
        after_step: Callable[[float], None] | None = None,
        state: Mapping[str, Tensor] | None = None,
        extra_macs_per_image: int = 0,
    ) -> None:
        """Trains `parameters` by SGD on cross-entropy plus `penalty`, and bills it.

        Survives a kill: after an interruption the same call goes on after the last epoch that was saved, with the
        tensors of `state` as they were then.

        Args:
            learning_rate: one for all epochs, or one an epoch.
            penalty: added to the loss of every step.
            before_epoch: called with the epoch (from 0) before it starts, and again with the last finished one after
                an interruption: what it does must be a function of the epoch and of `state`.
            frozen_batch_norm: batch norm uses and keeps its running statistics.
            rebuild_momentum: momentum starts each epoch at zero.
            loss: (network, images, labels) → (logits, loss), in place of cross-entropy: a mean over the images, which
                are a micro-batch where the recipe accumulates.
            before_step: called with the number of the step, from 0 in this call. A step is one, and `penalty` is added
                once, whatever the number of its micro-batches.
            after_backward: called once the gradients are there; may change them.
            after_step: called with the learning rate that the step used; may change weights.
            state: tensors that these functions keep between steps; they are changed in place when a training goes on.
            extra_macs_per_image: what an image costs beside the network, such as a teacher's forward pass.
        """
