"""DepGraph: importance of coupled parameters, against Torch-Pruning on groups that it found itself."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
import torch_pruning
from torch import nn
from torch_pruning.pruner.importance import GroupMagnitudeImportance

from tests.channels.networks import IMAGES
from tests.methods.scoring import scored, small


def by_the_library(network: nn.Module, root: str, **options: Any) -> torch.Tensor:
    traced = copy.deepcopy(network).float()
    graph = torch_pruning.DependencyGraph().build_dependency(traced, IMAGES)
    layer = traced.get_submodule(root)
    linear = isinstance(layer, nn.Linear)
    function = torch_pruning.prune_linear_out_channels if linear else torch_pruning.prune_conv_out_channels
    width = layer.out_features if isinstance(layer, nn.Linear) else layer.out_channels  # type: ignore[union-attr]
    group = graph.get_pruning_group(layer, function, idxs=list(range(int(width))))  # type: ignore[arg-type]
    found: torch.Tensor = GroupMagnitudeImportance(**options)(group)
    return found


@pytest.mark.parametrize(
    ("kind", "group", "root"),
    [
        ("Chain", "conv1", "conv1"),
        ("Chain", "conv3", "conv3"),
        ("Chain", "linear1", "linear1"),
        ("Residual", "conv1", "conv1"),
        ("Residual", "stream:stem", "stem"),
        ("Depthwise", "stream:stem", "stem"),
        ("Concatenated", "right", "right"),
    ],
)
@pytest.mark.parametrize("options", [{}, {"p": 1, "reduction": "sum", "normalizer": None}])
def test_importance_is_that_of_the_librarys_own_group(
    kind: str, group: str, root: str, options: dict[str, Any]
) -> None:
    network, graph = small(kind)
    translated = {("group_reduction" if key == "reduction" else key): value for key, value in options.items()}
    expected = by_the_library(network, root, **translated)
    found = scored("depgraph", network, graph, **options)[group]
    torch.testing.assert_close(found.double(), expected.double(), rtol=1e-5, atol=1e-6)


def test_a_branch_counts_alone() -> None:
    network, graph = small("Residual")
    rows = network.get_parameter("conv2.weight").detach().square().flatten(1).sum(dim=1)
    norm = network.get_parameter("bn2.weight").detach().square()
    found = scored("depgraph", network, graph, normalizer=None)["conv2"]
    torch.testing.assert_close(found.double(), (rows + norm) / 2, rtol=1e-5, atol=1e-6)
