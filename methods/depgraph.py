"""Channels whose coupled parameters are small together go first (Fang et al., DepGraph, CVPR 2023)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from harness.method import Paper, Params, ScoreMethod, Scores, Task

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import nn

    from harness.channels.graph import ChannelGroup


class DepGraphParams(Params):
    """Parameters of `depgraph`, as Torch-Pruning's `GroupMagnitudeImportance` has them."""

    p: Annotated[int, Field(ge=1, le=4)] = 2
    """Power of the absolute weights that are summed."""
    reduction: Literal["mean", "sum"] = "mean"
    """What becomes of the sums of the group's layers."""
    normalizer: Literal["mean", "max", "sum"] | None = "mean"
    """What each group's importances are divided by: their own mean, largest or sum."""


class DepGraph(ScoreMethod):
    """The importance of a channel is the mean over all coupled layers of the sum of its squared parameters.

    Torch-Pruning computes it, on a group of its own kind that holds the rows, batch norms and columns of ours. So a
    residual branch that is cut alone counts alone. Depthwise filters do not count, as in the library. The group lasso
    of the paper, which makes the groups sparse beforehand, is not part of it.
    """

    name = "depgraph"
    title = "DepGraph"
    Params = DepGraphParams
    paper = Paper("Fang, Ma, Song, Mi, Wang", "DepGraph: Towards Any Structural Pruning", "CVPR", 2023)

    def score(self, task: Task) -> Scores:
        """{group: importance}, by default of mean 1."""
        from torch_pruning.pruner.importance import GroupMagnitudeImportance

        params = task.params
        importance = GroupMagnitudeImportance(p=params.p, group_reduction=params.reduction, normalizer=None)
        modules = dict(task.network.named_modules())
        scores = {}
        for group in task.groups:
            # As long as the first layer's rows; where a channel has several, what is behind the channels is empty.
            values = importance(coupled(group, modules))[: group.size].cpu()
            scores[group.name] = values / getattr(values, params.normalizer)() if params.normalizer else values
        return scores


def coupled(group: ChannelGroup, modules: dict[str, nn.Module]) -> Any:
    """The `torch_pruning` group of all channels of one of ours: what writes, normalises and reads them."""
    from torch import nn
    from torch_pruning._helpers import GroupItem
    from torch_pruning.dependency import Dependency, Group, Node
    from torch_pruning.pruner import function

    made = Group()

    def add(layer: str, handler: Any, places: Iterable[int], repeat: int) -> None:
        node = Node(modules[layer], None, layer)
        found = list(places)
        item = GroupItem(Dependency(None, handler, node, node), found)
        item.root_idxs = [place // repeat for place in range(len(found))]
        made.items.append(item)

    for layer in group.producers:
        module = modules[layer]
        if isinstance(module, nn.Linear):
            handler = function.prune_linear_out_channels
        elif isinstance(module, nn.Conv2d) and 1 < module.groups == module.in_channels:
            handler = function.prune_depthwise_conv_out_channels
        else:
            handler = function.prune_conv_out_channels
        add(layer, handler, range(group.size * group.rows), group.rows)
    readers = [(part, function.prune_conv_in_channels, function.prune_linear_in_channels) for part in group.consumers]
    norms = [(part, function.prune_batchnorm_out_channels, None) for part in group.norms]
    for part, plain, linear in (*norms, *readers):
        handler = linear if isinstance(modules[part.layer], nn.Linear) else plain
        add(part.layer, handler, range(part.start, part.start + group.size * part.repeat), part.repeat)
    return made
