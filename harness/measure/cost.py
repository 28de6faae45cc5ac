"""What a backbone of the catalogue costs on a data set."""

from __future__ import annotations

from typing import Any


def network_cost(backbone: str, data_set: str) -> dict[str, Any]:
    """Costs of a whole network for one image, as JSON values.

    Returns:
        {"backbone", "dataset", "macs", "params", "paper_flops", "paper_params",
        "groups": [{"name", "kind", "size"}, ...] in network order}; the paper's figures are by `paper_cost`'s rule.

    Raises:
        UserError: there is no such backbone or data set, or they do not fit.
    """
    import torch

    from harness.backbones import build
    from harness.channels.cost import CostModel
    from harness.channels.graph import ChannelGraph
    from harness.channels.paper import paper_cost
    from harness.data.catalogue import data_set as look_up

    declared = look_up(data_set)
    with torch.device("meta"):  # counting needs shapes, not weights
        network = build(backbone, declared)
        example = torch.empty(1, declared.channels, declared.size, declared.size)
    graph = ChannelGraph.trace(network, example)
    cost = CostModel(network, graph, example)
    paper = paper_cost(network, graph, {})
    return {
        "backbone": backbone,
        "dataset": data_set,
        "macs": cost.dense_macs,
        "params": cost.dense_params,
        "paper_flops": paper.flops,
        "paper_params": paper.params,
        "groups": [{"name": group.name, "kind": group.kind, "size": group.size} for group in graph.groups.values()],
    }
