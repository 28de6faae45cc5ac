"""Costs as the tables of the DNAL paper count them, for comparison with its columns alone.

The rule was recovered from the counts that the paper's code gives: FLOPs are the multiply-adds of convolutions and
linear layers, and one for every channel of a 2-d batch norm and for every bias; parameters are weights, biases and
two for every channel of a 2-d batch norm. The classifier's 1-d batch norm counts nowhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import nn

from harness.channels.graph import ChannelGraph


@dataclass(frozen=True)
class PaperCost:
    """Costs for one image.

    Attributes:
        flops: what the paper's tables head FLOPs; a multiply-add is one.
        params: what they head Params.
    """

    flops: int
    params: int


def paper_cost(network: nn.Module, graph: ChannelGraph, kept: Mapping[str, Sequence[int]]) -> PaperCost:
    """The cost of what is kept of a network.

    Args:
        network: the whole network of `graph`.
        kept: {group: ascending indices that stay}; a group that is absent is kept whole.

    Raises:
        StageFailure: "invalid network" if `kept` or the network does not fit the graph.
    """
    graph.check(kept)
    graph.verify(network)

    def live(group: str | None, whole: int) -> Sequence[int]:
        return range(whole) if group is None or group not in kept else kept[group]

    flops = params = 0
    for layer in graph.layers:
        if layer.depthwise:
            rows = len(live(layer.writes, layer.out_channels))
            weights = layer.area * rows
        else:
            columns = layer.repeat * len(live(layer.reads, layer.in_channels // layer.repeat))
            # A row without any live input counts for nothing, its bias included.
            rows = len(live(layer.writes, layer.out_channels)) if columns else 0
            weights = layer.area * columns * rows
        biases = rows if layer.bias else 0
        flops += weights * layer.positions + biases
        params += weights + biases
    for norm in graph.norms:
        if norm.kind == "conv":
            channels = len(live(norm.group, norm.channels))
            flops += channels
            params += 2 * channels
    return PaperCost(flops, params)
