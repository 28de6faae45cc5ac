"""Costs as the tables of the DNAL paper count them, for comparison with its columns alone.

The rule was recovered from the counts that the paper's code gives: FLOPs are the multiply-adds of convolutions and
linear layers, and one for every channel of a 2-d batch norm and for every bias; parameters are weights, biases and
two for every channel of a 2-d batch norm. The classifier's 1-d batch norm counts nowhere.

In a residual network the rule drops a stream's column if the branches added last lost that channel, although the
identity path still feeds it. A branch that lost a whole group counts for nothing, as it computes nothing. Projections
on the shortcut are never cut; those of ResNet50 count their weights alone, without batch norm (the network says so).
What the executed network costs is the cost model's business.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import nn

from harness.channels.graph import ChannelGraph
from harness.channels.settle import without_removed
from harness.channels.structure import Layer


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
    selection = without_removed(graph, kept)
    plain_projections = getattr(network, "paper_leaves_out_projection_norms", False)

    def live(group: str) -> Sequence[int]:
        """What is kept of a group by the methods' own decision."""
        if group in selection:
            return selection[group]
        stream = graph.groups[group].stream
        return live(stream) if stream is not None else range(graph.groups[group].size)

    def columns_of(layer: Layer) -> int:
        if layer.projection:
            return layer.in_channels
        columns = 0
        for segment in layer.reads:
            if segment.group is None:
                columns += segment.places
            elif layer.after and graph.groups[segment.group].kind == "stream":
                written = set().union(*(live(branch) for branch in layer.after))
                columns += segment.repeat * len(written & set(live(segment.group)))
            else:
                columns += segment.repeat * len(live(segment.group))
        return columns

    removed = [branch for name, branch in graph.branches.items() if branch.sum is not None and not live(name)]
    gone = {layer for branch in removed for layer in branch.layers}
    flops = params = 0
    for layer in graph.layers:
        if layer.name in gone:
            continue
        rows = layer.out_channels
        if layer.writes is not None and not layer.projection:
            rows = layer.rows * len(live(layer.writes))
        columns = layer.in_channels // layer.groups if layer.grouped else columns_of(layer)
        # A row without any live input counts for nothing, its bias included.
        rows = rows if columns else 0
        weights = layer.area * columns * rows
        biases = rows if layer.bias else 0
        flops += weights * layer.positions + biases
        params += weights + biases
    for norm in graph.norms:
        if norm.kind == "conv" and norm.name not in gone and not (norm.projection and plain_projections):
            channels = sum(
                part.places if part.group is None else part.repeat * len(live(part.group)) for part in norm.parts
            )
            flops += channels
            params += 2 * channels
    return PaperCost(flops, params)
