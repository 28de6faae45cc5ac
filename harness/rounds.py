"""Methods that score and train in rounds: the contract, and the harness's side of it."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from harness.errors import StageFailure
from harness.method import Compressed, Method, Task

if TYPE_CHECKING:
    from torch import Tensor

    from harness.channels.graph import ChannelGraph, KeptChannels


@dataclass(frozen=True)
class Round:
    """What a `RoundsMethod` asks for between two of its own acts: a partial plan, and training under it.

    Attributes:
        kept: {group: indices that are left from here on}, ascending. A group that is absent stays as it is. What is
            given up is gone for good.
        epochs: passes over the training images; 0 only gives up channels.
        learning_rate: of all epochs, or one an epoch.
        rebuild_momentum: momentum starts each epoch at zero; a round always begins without any.
        before_step: as in `Task.train`.
        state: as in `Task.train`.
    """

    kept: KeptChannels
    epochs: int
    learning_rate: float | Sequence[float] = 0.01
    momentum: float = 0.9
    weight_decay: float = 0.0
    rebuild_momentum: bool = False
    before_step: Callable[[int], None] | None = None
    state: Mapping[str, Tensor] | None = None


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
        return run_rounds(task, self.rounds(task), self.search_epochs(task.params, task.epochs))


def run_rounds(task: Task, rounds: Generator[Round, None, Compressed], epochs: int) -> Compressed:
    """Runs the rounds to their decision.

    Args:
        task: whose network is trained and loses channels, which become zero but stay in place.
        epochs: what all rounds must train together.

    Raises:
        StageFailure: "crashed" if a channel comes back that was given up, or the epochs are not those declared;
            "invalid network" if a round leaves no way through the network.
    """
    from harness.channels.masks import Gone

    weights = list(task.network.parameters())
    gone = Gone(task.network, task.graph)
    kept: KeptChannels = {}
    trained = 0
    while True:
        try:
            each = next(rounds)
        except StopIteration as end:
            decided: Compressed = end.value
            break
        _refuse_return(task.graph, kept, each.kept)
        kept = {**kept, **each.kept}
        gone.hold(kept)
        if each.epochs:
            task.train(
                task.network,
                epochs=each.epochs,
                learning_rate=each.learning_rate,
                parameters=weights,
                momentum=each.momentum,
                weight_decay=each.weight_decay,
                rebuild_momentum=each.rebuild_momentum,
                before_step=each.before_step,
                state=each.state,
            )
        trained += each.epochs
    gone.release()
    whole = {name: tuple(range(task.graph.groups[name].size)) for name in kept}
    _refuse_return(task.graph, kept, {**whole, **decided.kept})
    if trained != epochs:
        raise StageFailure("crashed", f"the rounds trained {trained} epochs, and `search_epochs` declares {epochs}")
    return replace(decided, network=task.network)


def _refuse_return(graph: ChannelGraph, before: KeptChannels, now: Mapping[str, Sequence[int]]) -> None:
    """Raises StageFailure if a selection has a channel that an earlier one gave up."""
    graph.check(now)
    for name, channels in now.items():
        returned = set(channels) - set(before.get(name, channels))
        if returned:
            raise StageFailure("crashed", f"channel {min(returned)} of group {name!r} was given up and comes back")
