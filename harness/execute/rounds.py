"""The harness's side of a `RoundsMethod`: holds what was given up at zero, trains between, checks the sums."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import replace

from harness.channels.graph import ChannelGraph, KeptChannels
from harness.channels.masks import Gone
from harness.errors import StageFailure
from harness.method import Compressed, Round, Task


def run_rounds(task: Task, rounds: Generator[Round, None, Compressed], epochs: int) -> Compressed:
    """Runs the rounds to their decision.

    Args:
        task: whose network is trained and loses channels, which become zero but stay in place.
        epochs: what all rounds must train together.

    Raises:
        StageFailure: "crashed" if a channel comes back that was given up, or the epochs are not those declared;
            "invalid network" if a round leaves no way through the network.
    """
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
