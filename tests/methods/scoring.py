"""A task that offers what a score needs and no more: a small network in float64, its graph, and images."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import torch
from torch import Tensor, nn

from harness.channels.graph import ChannelGraph, ChannelGroup
from harness.method import Scores, Task
from harness.registry import method
from tests.channels.networks import NETWORKS, example

ALL_KINDS = ("inner", "branch", "stream", "fc")
SCORING: dict[str, dict[str, Any]] = {
    "hrank": {"images": 6},
    "chip": {"images": 6},
    "fpgm": {},
    "bn_scale": {},
    "taylor": {"batches": 2},
    "nisp": {"images": 6},
    "depgraph": {},
}
"""The methods that score once, with parameters for a few images."""


@dataclass
class Scoring:
    """Stands in for the harness's task.

    Attributes:
        batch: images a batch; a pass has as many batches as `pictures` fill.
        billed: MACs.
        epochs: the passes that were asked for.
    """

    network: nn.Module
    graph: ChannelGraph
    params: Any
    groups: list[ChannelGroup]
    pictures: Tensor
    labels: Tensor
    batch: int = 4
    billed: int = 0
    epochs: list[int] = field(default_factory=list)
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    def training_batches(
        self, limit: int | None = None, *, augment: bool = True, epoch: int = 0
    ) -> Iterator[tuple[Tensor, Tensor]]:
        assert augment
        self.epochs.append(epoch)
        batches = list(zip(self.pictures.split(self.batch), self.labels.split(self.batch), strict=True))
        yield from batches[:limit]

    def bill(self, macs: int) -> None:
        self.billed += macs


def scoring(name: str, network: nn.Module, graph: ChannelGraph, count: int = 8, **params: Any) -> Scoring:
    """A task of a network in float64 that tells at least three classes apart, with random images."""
    stated = method(name).Params(**{**SCORING[name], **params})
    labels = torch.arange(count) % 3
    pictures = torch.randn(count, *graph.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(7))
    return Scoring(network, graph, stated, graph.cuttable(ALL_KINDS), pictures, labels)


def scored(
    name: str, network: nn.Module, graph: ChannelGraph, groups: Sequence[str] | None = None, **params: Any
) -> Scores:
    """The scores of these groups (default: all)."""
    author = cast("Any", method(name))()
    task = scoring(name, network, graph, **params)
    if groups is not None:
        task.groups = [graph.groups[group] for group in groups]
    found: Scores = author.score(cast("Task", task))
    return found


def small(kind: str) -> tuple[nn.Module, ChannelGraph]:
    """A randomised network in evaluation mode, and its graph, by the name of its class."""
    return example(next(each for each in NETWORKS if each.__name__ == kind))
