"""BN scale: |γ|."""

from __future__ import annotations

import torch

from tests.methods.scoring import scored, small


def test_the_score_is_the_absolute_scale_of_the_last_batch_norm_before_the_readers() -> None:
    network, _ = small("Depthwise")
    found = scored_some("Depthwise", ["expand", "project", "stream:stem"])
    assert torch.equal(found["expand"], network.get_parameter("filter_bn.weight").detach().abs())
    assert torch.equal(found["project"], network.get_parameter("project_bn.weight").detach().abs())
    stem = network.get_parameter("stem_bn.weight").detach().abs()
    torch.testing.assert_close(found["stream:stem"], (stem + found["project"]) / 2)


def test_layers_side_by_side_have_their_own_share_of_a_batch_norm() -> None:
    network, _ = small("Concatenated")
    scale = network.get_parameter("bn.weight").detach().abs()
    found = scored_some("Concatenated", ["left", "right"])
    assert torch.equal(torch.cat([found["left"], found["right"]]), scale)


def test_a_batch_norm_further_back_counts_where_none_is_last() -> None:
    network, graph = small("Grouped")
    scale = network.get_parameter("bn1.weight").detach().abs()
    found = scored_some("Grouped", ["conv1"])["conv1"]
    torch.testing.assert_close(found, scale.view(4, 3).mean(dim=1))
    assert graph.groups["conv1"].rows == 3


def scored_some(kind: str, groups: list[str]) -> dict[str, torch.Tensor]:
    network, graph = small(kind)
    return scored("bn_scale", network, graph, groups=groups)
