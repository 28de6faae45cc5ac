"""The contract that a method fulfils: what its author reads. `harness.task` has what a method is given.

A method is a class with a name and one act: `compress(task)`, which decides what is kept of a network. Most methods
derive from a family below and write one small function instead:

* `ScoreMethod`: write `score(task)`, an importance for every channel. The harness allocates to the budget and cuts.
* `RoundsMethod`: write `rounds(task)`, a generator that gives up channels a few at a time; the harness trains between.
* `GateMethod`: write the gate, its penalty or step, and how it decides. The harness inserts one gate a channel (or a
  branch), trains, and reads the kept channels.
* `SearchMethod`: write `search(task, evaluate, space)`, which tries widths and returns the best. The harness cuts,
  evaluates on held-out images, and bills.
* `BuildMethod`: write `widths(task)`; the network is built at these widths and trained from scratch.

A method never sees the test split, never trains outside `task.train` (which bills what it trains) and never imports
torch at the top of its file, so that listing and planning stay fast.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from harness.task import Compressed, Evaluate, Fidelity, Round, Scores, Task

if TYPE_CHECKING:
    from torch import Tensor, nn

    from harness.channels.graph import KeptChannels
    from harness.channels.space import WidthSpace
    from harness.suite.recipe import Epochs, Recipe

__all__ = [
    "BuildMethod",
    "Compressed",
    "Evaluate",
    "Fidelity",
    "FinetuneSchedule",
    "GateMethod",
    "Gates",
    "Method",
    "Paper",
    "Params",
    "Round",
    "RoundsMethod",
    "ScoreMethod",
    "Scores",
    "SearchMethod",
    "SearchParams",
    "Task",
]


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
    chooses_widths: ClassVar[bool] = False
    """Whether it decides by itself how wide each layer is, so that a suite must not give it `allocate`."""
    strength: ClassVar[str | None] = None
    """The parameter that sets how much is cut. With a budget, a list of its values is a set of candidates."""
    reopens: ClassVar[bool] = False
    """Whether a budget above all candidates is met by ranking all channels of the largest; else it is out of reach."""

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
    def is_finetuned(cls, params: Any) -> bool:
        """Whether what follows `compress` is fine-tuning, whose learning rate a recipe may choose.

        It is not where new weights are trained, nor where nothing is cut and the shared training just goes on.
        """
        del params
        return cls.starts_from == "dense" and cls.takes_budget != "refused"

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


class RoundsMethod(Method):
    """Scores and trains in rounds. All weights train; what was given up is zero and stays so until the cut.

    The epochs of all rounds together are the method's `search_epochs`, so that it fine-tunes for so many fewer.
    """

    @classmethod
    def search_epochs(cls, params: Any, recipe_epochs: int) -> int:
        """All of the recipe's search epochs."""
        del params
        return recipe_epochs

    @abstractmethod
    def rounds(self, task: Task) -> Generator[Round, None, Compressed]:
        """Yields each round and returns the decision.

        After a kill the generator runs again from its start, and rounds that were trained come back from their
        checkpoints: between two `yield`s it must do the same for the same network.
        """

    def compress(self, task: Task) -> Compressed:
        """Runs the rounds; a channel that was given up must not come back."""
        return task.run_rounds(self.rounds(task), self.search_epochs(task.params, task.epochs))


class SearchParams(Params):
    """Parameters that all searches have."""

    epochs: Annotated[float, Field(ge=0, le=100, description="of training in an evaluation, in parts; 0: none")] = 0.0
    lr: Annotated[float, Field(gt=0, le=10, description="learning rate of that training")] = 0.01
    recalibrate: Annotated[int, Field(ge=0, description="training batches that renew batch norms' statistics")] = 20
    multiple: Annotated[int, Field(ge=1, le=256, description="widths are multiples of it, or whole")] = 1

    @property
    def fidelity(self) -> Fidelity:
        """What an evaluation does."""
        return Fidelity(self.epochs, self.recalibrate, self.lr)


class SearchMethod(Method):
    """Tries widths on held-out images with inherited weights and keeps the best that meet the budget.

    What evaluations train is billed in MACs and seconds beside the recipe's epochs, and thrown away: the network goes
    on with the weights that it inherits, like that of every other method.
    """

    Params = SearchParams
    needs_held_out: ClassVar[bool] = True
    chooses_widths: ClassVar[bool] = True
    norm: ClassVar[int] = 1
    """Channels are inherited by the sum of |weight| ** norm."""

    @abstractmethod
    def search(self, task: Task, evaluate: Evaluate, space: WidthSpace) -> Mapping[str, int]:
        """Widths in `space` that meet its budget: {group: channels}.

        What it draws comes from `task.generator`, and it depends on nothing but what `evaluate` returns: after a kill
        it is called again and reads finished evaluations from the journal.
        """

    def compress(self, task: Task) -> Compressed:
        """Searches; keeps the channels of largest norm at the widths found."""
        from harness.channels.space import WidthSpace
        from harness.errors import StageFailure

        if task.target is None:
            raise StageFailure("crashed", "a search needs a budget, and the cell has none")
        evaluate = task.evaluator(self.norm)

        def settled_cost(widths: Mapping[str, int]) -> int:
            kept = task.graph.settled(evaluate.kept(widths))
            return task.cost({group: len(channels) for group, channels in kept.items()})

        sizes = {group.name: group.size for group in task.groups}
        space = WidthSpace(sizes, task.target, task.cost, settled_cost, task.params.multiple)
        space.refuse_out_of_reach()
        widths = sizes if space.holds_everything else self.search(task, evaluate, space)
        return Compressed(kept=evaluate.kept(widths))


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
        values: {group: parameter [channels]}; [1] where a branch has one gate. Under `own_norms` {batch norm: its γ}.
        state: what the gate function reads beside the scalars, such as an annealing factor; plain floats.
    """

    values: dict[str, nn.Parameter]
    state: dict[str, float] = field(default_factory=dict)


class GateMethod(Method):
    """Learns one gate a channel. The gate multiplies the channel after its batch norm, at no cost."""

    takes_budget: ClassVar[Literal["required", "optional", "refused"]] = "optional"
    own_norms: ClassVar[bool] = False
    """Whether the gates are the batch norms' own γ: nothing is inserted."""
    folds: ClassVar[bool] = False
    """Whether the gates of what is kept are multiplied into the weights in the end; else they are dropped."""
    keeps_one: ClassVar[bool] = False
    """Whether every group keeps a channel; else one inside a residual branch may be emptied, and the branch goes."""

    def gate(self, values: Tensor, state: Mapping[str, float]) -> Tensor:
        """The factor of each channel, given its scalar: [channels] → [channels]; by default the scalar itself."""
        del state
        return values

    def penalty(self, task: Task, gates: Gates) -> Tensor:
        """What a search adds to the loss of every step: a scalar tensor; by default zero."""
        import torch

        del gates
        return torch.zeros((), device=task.device)

    @abstractmethod
    def keeps(self, task: Task, values: Tensor, state: Mapping[str, float]) -> Tensor:
        """The decision on what `scores` gives: boolean [channels], true stays."""

    @abstractmethod
    def search(self, task: Task, gates: Gates, network: nn.Module) -> None:
        """Trains the gates with `task.train`."""

    def initial_value(self, task: Task) -> float:
        """Where every gate's scalar starts."""
        del task
        return 0.0

    def by_branch(self, task: Task) -> bool:
        """Whether there is one gate for each residual branch, which goes as a whole, instead of one a channel."""
        del task
        return False

    def scores(self, task: Task, gates: Gates) -> Scores:
        """What channels are ranked by and decided on, after the search: by default the scalars (γ: mean |γ|)."""
        from harness.channels.gates import norm_scores

        if self.own_norms:
            return norm_scores(task.network, task.groups)
        return {group: values.detach().cpu().clone() for group, values in gates.values.items()}

    def compress(self, task: Task) -> Compressed:
        """Inserts gates, searches, decides; a group loses its last channel only if a branch can go with it."""
        import torch

        from harness.channels.choose import with_a_way
        from harness.channels.gates import fold_gates, insert_gates, norm_weights, remove_gates

        gates = Gates({})
        by_branch = self.by_branch(task)
        if self.own_norms:
            gates.values = norm_weights(task.network, task.groups)
        else:
            gates.values = insert_gates(
                task.network,
                task.graph.removable(task.groups) if by_branch else task.groups,
                lambda values: self.gate(values, gates.state),
                self.initial_value(task),
                whole=by_branch,
            )
        task.record_gates(lambda: [self.gate(values.detach(), gates.state) for values in gates.values.values()])
        self.search(task, gates, task.network)
        scores = self.scores(task, gates)
        notes = []
        if self.folds:

            def lasting(values: Tensor) -> Tensor:
                # What is closed keeps its weights, so that a budget may open it again.
                return torch.where(self.keeps(task, values, gates.state), self.gate(values, gates.state), 1.0)

            if lost := fold_gates(task.network, lasting):
                notes.append(f"gates of {lost} streams dropped: a shortcut without weights cannot carry them")
        remove_gates(task.network)
        kept: KeptChannels = {}
        rescued = 0
        for group, values in scores.items():
            stays = self.keeps(task, values, gates.state)
            if not bool(stays.any()) and (self.keeps_one or not task.graph.may_empty(group)):
                stays = torch.zeros_like(stays).index_fill_(0, values.argmax().reshape(1), True)
                rescued += 1
            size = task.graph.groups[group].size
            kept[group] = tuple(torch.nonzero(stays.expand(size)).flatten().tolist())
        chosen, kept = kept, with_a_way(task.graph, kept, scores)
        rescued += sum(chosen[group] != kept[group] for group in kept)
        if rescued:
            notes.append(f"{rescued} emptied layers kept their best channel")
        return Compressed(kept=kept, network=task.network, scores=scores, notes=tuple(notes))
