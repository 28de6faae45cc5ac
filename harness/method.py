"""The contract that a method fulfils: the one file that a method's author reads.

A method is a class with a name and one act: `compress(task)`, which decides what is kept of a network. Most methods
derive from a family below and write one small function instead:

* `ScoreMethod`: write `score(task)`, an importance for every channel. The harness allocates to the budget and cuts.
* `GateMethod`: write the gate, its penalty, how it anneals and how it decides. The harness inserts one gate a
  channel, trains, and reads the kept channels.
* `BuildMethod`: write `widths(task)`; the network is built at these widths and trained from scratch.

A method never sees the test split, never trains outside `task.train` (which bills what it trains) and never imports
torch at the top of its file, so that listing and planning stay fast.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol

from pydantic import BaseModel, ConfigDict

if TYPE_CHECKING:
    from pathlib import Path

    import torch
    from torch import Tensor, nn

    from harness.channels.graph import ChannelGraph, ChannelGroup, KeptChannels
    from harness.suite.recipe import Epochs, Recipe

Scores = dict[str, "Tensor"]
"""An importance for every channel of every group: {group: Tensor[channels]}, larger is more important."""


class Params(BaseModel):
    """Base of a method's parameters: the YAML block under the method's name. Unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


@dataclass(frozen=True)
class Paper:
    """Where a method comes from, for the table's citation."""

    authors: str
    title: str
    venue: str
    year: int


@dataclass(frozen=True)
class FinetuneSchedule:
    """Which part of a schedule the weights are trained on after `compress`: epochs `start` to `length`."""

    length: int
    start: int


@dataclass
class Compressed:
    """What a method decided.

    Attributes:
        kept: {group: indices that stay}, ascending; a group that is absent is kept whole.
        network: the network, still uncut, whose weights go on (None: the task's own).
        scores: what the channels were ranked by, so that a budget can be met by trimming.
        fresh: the kept widths are trained from new weights on the whole schedule.
        notes: what a reader of the table must know, one short phrase each.
    """

    kept: KeptChannels
    network: nn.Module | None = None
    scores: Scores | None = None
    fresh: bool = False
    notes: tuple[str, ...] = ()


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
            loss: (network, images, labels) → (logits, loss), in place of cross-entropy.
            before_step: called with the number of the step, from 0 in this call.
            after_backward: called once the gradients are there; may change them.
            after_step: called with the learning rate that the step used; may change weights.
            state: tensors that these functions keep between steps; they are changed in place when a training goes on.
            extra_macs_per_image: what an image costs beside the network, such as a teacher's forward pass.
        """


class Method(ABC):
    """A way to make a network smaller."""

    name: ClassVar[str]
    """What a suite calls it."""
    title: ClassVar[str]
    """What a table calls it."""
    title_with_widths: ClassVar[str | None] = None
    """What a table calls it when it takes another method's widths (None: its title)."""
    paper: ClassVar[Paper | None] = None
    Params: ClassVar[type[Params]] = Params
    starts_from: ClassVar[Literal["dense", "scratch"]] = "dense"
    """Whether it starts from the shared dense training, or from new weights."""
    needs_held_out: ClassVar[bool] = False
    """Whether it reads the held-out images, which then are kept out of its training under every recipe."""
    takes_budget: ClassVar[Literal["required", "optional", "refused"]] = "required"
    """Whether a suite must, may or must not give it a budget (`budget:` or `allocate: {from: …}`)."""
    strength: ClassVar[str | None] = None
    """The parameter that sets how much is cut. With a budget, a list of its values is a set of candidates."""

    @classmethod
    def recipe(cls, params: Any, recipe: Recipe) -> Recipe:
        """The recipe that this method's cells train by: the suite's, unless the parameters change it."""
        del params
        return recipe

    @classmethod
    def search_epochs(cls, params: Any, recipe_epochs: int) -> int:
        """How many of the recipe's search epochs `compress` uses; the rest goes to fine-tuning."""
        del params, recipe_epochs
        return 0

    @classmethod
    def finetune_schedule(cls, params: Any, epochs: Epochs) -> FinetuneSchedule:
        """The learning rates after `compress`: by default the tail of the baseline's schedule.

        It takes all epochs that the dense stage and the search leave of the total.
        """
        left = epochs.total - epochs.dense - cls.search_epochs(params, epochs.search)
        length = max(epochs.schedule, left)
        return FinetuneSchedule(length=length, start=length - left)

    @classmethod
    def strength_factor(cls, params: Any, steps_per_epoch: int, recipe_epochs: int) -> float:
        """The factor by which the recipe's step count scales the strength; 1 where it does not."""
        del params, steps_per_epoch, recipe_epochs
        return 1.0

    @abstractmethod
    def compress(self, task: Task) -> Compressed:
        """Decides what is kept."""


class ScoreMethod(Method):
    """Ranks channels by an importance; the harness keeps the best of each group so that the budget is met."""

    @abstractmethod
    def score(self, task: Task) -> Scores:
        """The importance of every channel of `task.groups`: {group: Tensor[channels]}, larger stays longer."""

    def compress(self, task: Task) -> Compressed:
        """Scores, allocates to the budget, keeps the best."""
        scores = self.score(task)
        return Compressed(kept=task.allocate(scores), scores=scores)


class BuildMethod(Method):
    """Builds a network of given widths and trains it from scratch, for the same total of epochs."""

    starts_from: ClassVar[Literal["dense", "scratch"]] = "scratch"

    @classmethod
    def finetune_schedule(cls, params: Any, epochs: Epochs) -> FinetuneSchedule:
        """The baseline's schedule from its start, stretched to the total of epochs."""
        return FinetuneSchedule(length=epochs.total, start=0)

    @abstractmethod
    def widths(self, task: Task) -> dict[str, int]:
        """{group: number of channels} of the network to build."""

    def compress(self, task: Task) -> Compressed:
        """Keeps channels by their number alone: with new weights, which ones does not matter."""
        return Compressed(kept=task.arrange(self.widths(task)), fresh=True)


@dataclass
class Gates:
    """The gates of a search: one scalar a channel.

    Attributes:
        values: {group: parameter [channels]}.
        state: what the gate function reads beside the scalars, such as an annealing factor; plain floats.
    """

    values: dict[str, nn.Parameter]
    state: dict[str, float] = field(default_factory=dict)


class GateMethod(Method):
    """Learns one gate a channel. The gate multiplies the channel after its batch norm, at no cost."""

    takes_budget: ClassVar[Literal["required", "optional", "refused"]] = "optional"

    @abstractmethod
    def gate(self, values: Tensor, state: Mapping[str, float]) -> Tensor:
        """The factor of each channel, given its scalar: [channels] → [channels]."""

    @abstractmethod
    def penalty(self, task: Task, gates: Gates) -> Tensor:
        """What is added to the loss of every search step: a scalar tensor."""

    @abstractmethod
    def keeps(self, task: Task, values: Tensor, state: Mapping[str, float]) -> Tensor:
        """The decision: boolean [channels], true stays."""

    @abstractmethod
    def search(self, task: Task, gates: Gates, network: nn.Module) -> None:
        """Trains the gates with `task.train`."""

    def initial_value(self, task: Task) -> float:
        """Where every gate's scalar starts."""
        del task
        return 0.0

    def compress(self, task: Task) -> Compressed:
        """Inserts gates, searches, decides; a group loses its last channel only if a branch can go with it."""
        import torch

        from harness.channels.gates import insert_gates, remove_gates

        gates = Gates({})
        gates.values = insert_gates(
            task.network, task.groups, lambda values: self.gate(values, gates.state), self.initial_value(task)
        )
        task.record_gates(lambda: [self.gate(values.detach(), gates.state) for values in gates.values.values()])
        self.search(task, gates, task.network)
        scores = {group: values.detach().cpu().clone() for group, values in gates.values.items()}
        remove_gates(task.network)
        kept: KeptChannels = {}
        rescued = []
        for group, values in scores.items():
            stays = self.keeps(task, values, gates.state)
            if not bool(stays.any()) and not task.graph.may_empty(group):
                stays = torch.zeros_like(stays).index_fill_(0, values.argmax().reshape(1), True)
                rescued.append(group)
            kept[group] = tuple(torch.nonzero(stays).flatten().tolist())
        notes = (f"{len(rescued)} emptied layers kept their best channel",) if rescued else ()
        return Compressed(kept=kept, network=task.network, scores=scores, notes=notes)
