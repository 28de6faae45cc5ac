"""Removed branches, scattered branches and drained streams, in the network that is cut."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from harness.channels.cost import CostModel
from harness.channels.graph import ChannelGraph
from harness.channels.modules import Removed, ScatterBatchNorm2d, ScatterConv2d, Zeros
from harness.channels.surgery import cut, mask
from harness.errors import StageFailure
from harness.measure.macs import count_macs, count_macs_torch, count_params
from tests.channels.networks import (
    IMAGES,
    Depthwise,
    DepthwiseOnStream,
    Grouped,
    Mixed,
    Nested,
    OptionA,
    PreActivation,
    Residual,
    backbone,
    drawn,
    example,
    images,
    pictures,
    same,
)

BRANCHES = [
    (Residual, "conv2"),
    (Residual, "conv4"),
    (Depthwise, "project"),
    (OptionA, "block2.conv2"),
    (Mixed, "mixed1.1.project"),
    (DepthwiseOnStream, "project"),
    (PreActivation, "conv1"),
    (Grouped, "conv3"),
    (Nested, "inner2"),
    (Nested, "end"),
]
removable = pytest.mark.parametrize(("kind", "branch"), BRANCHES)


@removable
def test_no_layer_of_a_removed_branch_is_left(kind: type[nn.Module], branch: str) -> None:
    network, graph = example(kind)
    narrow = cut(network, graph, {branch: ()})
    for name in graph.branches[branch].layers:
        found = [type(module) for module in narrow.get_submodule(name).modules()]
        assert set(found) <= {Removed, nn.Identity, Zeros, nn.Sequential}
        assert list(narrow.get_submodule(name).parameters()) == []


@removable
def test_a_removed_branch_is_not_run(kind: type[nn.Module], branch: str) -> None:
    network, graph = example(kind)
    narrow = cut(network, graph, {branch: ()})
    saved = [layer for layer in graph.layers if layer.name in graph.branches[branch].layers]
    fewer = sum(
        layer.positions * layer.area * layer.out_channels * layer.in_channels // layer.groups for layer in saved
    )
    whole = count_macs_torch(network, images(1))
    assert count_macs_torch(narrow, images(1)) == count_macs(narrow, images(1)) == whole - fewer < whole


@removable
def test_without_a_branch_the_logits_are_those_of_the_masked_network(kind: type[nn.Module], branch: str) -> None:
    network, graph = example(kind)
    with torch.no_grad():
        narrow = cut(network, graph, {branch: ()})(images())
        assert same(narrow, mask(network, graph, {branch: ()})(images()))
        assert not same(narrow, network(images()), 1e-6)


@removable
def test_any_size_of_images_runs_through_a_network_without_a_branch(kind: type[nn.Module], branch: str) -> None:
    network, graph = example(kind)
    large = torch.randn(3, 2, 13, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert same(cut(network, graph, {branch: ()})(large), mask(network, graph, {branch: ()})(large))


def test_a_branch_that_keeps_a_part_writes_it_into_its_place() -> None:
    network, graph = example(Residual)
    narrow = cut(network, graph, {"conv2": (1, 4, 6)})
    assert type(narrow.bn2) is ScatterBatchNorm2d
    assert narrow.bn2.places.tolist() == [1, 4, 6]
    assert narrow.bn2.stream_width == 8
    assert narrow.conv2.weight.shape == (3, 6, 3, 3)
    with torch.no_grad():
        written = narrow.bn2(torch.randn(2, 3, 5, 5, dtype=torch.float64))
    assert written.shape == (2, 8, 5, 5)
    assert bool((written[:, [0, 2, 3, 5, 7]] == 0).all())
    assert bool((written[:, [1, 4, 6]] != 0).any())


def test_a_branch_without_batch_norm_scatters_at_its_convolution() -> None:
    network, graph = example(PreActivation)
    assert type(cut(network, graph, {"conv1": (0, 2)}).conv1) is ScatterConv2d


def test_a_branch_that_keeps_all_that_its_stream_keeps_is_a_plain_layer() -> None:
    network, graph = example(Residual)
    narrow = cut(network, graph, {"stream:stem": (1, 4, 6)})
    assert type(narrow.bn2) is nn.BatchNorm2d
    assert narrow.conv2.weight.shape == (3, 6, 3, 3)


def test_scattering_keeps_the_memory_format() -> None:
    network, graph = example(Residual)
    narrow = cut(copy.deepcopy(network).to(memory_format=torch.channels_last), graph, {"conv2": (1, 4)})
    written = narrow.bn2(torch.randn(2, 2, 5, 5, dtype=torch.float64).to(memory_format=torch.channels_last))
    assert written.is_contiguous(memory_format=torch.channels_last)


def test_the_weights_of_a_scattered_network_have_the_names_of_the_plain_one() -> None:
    network, graph = example(Residual)
    narrow = cut(network, graph, {"conv2": (1, 4), "stem": (0, 1, 2)})
    assert narrow.state_dict().keys() == network.state_dict().keys()


def test_a_scattered_network_is_copied_and_loaded() -> None:
    network, graph = example(OptionA)
    narrow = cut(network, graph, {"block2.conv2": (1, 4), "stem": (0, 2), "block3.conv1": ()})
    other = cut(network, graph, {"block2.conv2": (1, 4), "stem": (0, 2), "block3.conv1": ()})
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.zero_()
        other.load_state_dict(narrow.state_dict())
        assert torch.equal(other(images()), narrow(images()))
        assert torch.equal(copy.deepcopy(narrow)(images()), narrow(images()))
        assert copy.deepcopy(narrow).float()(images().float()).dtype == torch.float32


def test_stream_channels_that_nobody_writes_are_cut_without_a_change_of_the_logits() -> None:
    network, graph = example(Residual)
    kept = {"stem": (0, 1, 2), "conv2": (2, 5)}
    narrow = cut(network, graph, kept)
    assert narrow.conv1.in_channels == narrow.conv3.in_channels == narrow.projection.in_channels == 4
    with torch.no_grad():
        assert same(narrow(images()), mask(network, graph, kept)(images()))


def test_a_shortcut_without_weights_is_cut_on_both_sides() -> None:
    network, graph = example(OptionA)
    kept = {"stream:stem": (0, 2, 3), "stream:block2.conv2": (2, 4, 6)}
    shortcut = cut(network, graph, kept).block2.shortcut
    assert (shortcut.in_channels, shortcut.out_channels) == (3, 3)
    assert shortcut.channel_targets() == (0, 1, -1)


@pytest.mark.parametrize("name", ["resnet20_quarter", "resnet56_quarter", "mobilenetv2_quarter"])
@pytest.mark.parametrize("kinds", [("stream",), ("branch",), ("inner", "branch"), ("inner", "branch", "stream")])
def test_any_cut_of_a_residual_backbone_is_its_mask(name: str, kinds: tuple[str, ...]) -> None:
    network, graph = backbone(name)
    kept = drawn(graph, kinds, seed=len(kinds))
    narrow = cut(network, graph, kept)
    with torch.no_grad():
        assert same(narrow(pictures()), mask(network, graph, kept)(pictures()))
    cost = CostModel(network, graph, pictures())
    widths = {group: len(channels) for group, channels in graph.settled(kept).items()}
    counted = count_macs(narrow, pictures(1))
    assert cost.macs(widths) == counted == count_macs_torch(narrow, pictures(1)) < cost.dense_macs
    assert cost.params(widths) == count_params(narrow) < cost.dense_params


def test_a_cut_of_every_stream_of_resnet56_makes_plain_narrower_layers() -> None:
    network, graph = backbone("resnet56_quarter")
    kept = {name: tuple(range(0, graph.groups[name].size, 2)) for name in graph.streams}
    narrow = cut(network, graph, kept)
    assert not any(isinstance(module, ScatterBatchNorm2d) for module in narrow.modules())
    assert narrow.conv1.out_channels == 2
    assert narrow.linear.in_features == 8


def test_resnet56_without_any_branch_is_its_stem_its_shortcuts_and_its_classifier() -> None:
    network, graph = backbone("resnet56_quarter")
    kept: dict[str, tuple[int, ...]] = {name: () for name, branch in graph.branches.items() if branch.sum is not None}
    narrow = cut(network, graph, kept)
    assert [name for name, module in narrow.named_modules() if isinstance(module, nn.Conv2d)] == ["conv1"]
    assert narrow.linear.in_features == narrow.conv1.out_channels
    with torch.no_grad():
        assert same(narrow(pictures()), mask(network, graph, kept)(pictures()))


def test_a_network_whose_every_path_is_cut_is_an_invalid_network() -> None:
    network, graph = example(Mixed)
    kept: dict[str, tuple[int, ...]] = {f"mixed1.{number}.project": () for number in range(3)}
    with pytest.raises(StageFailure, match="every path is cut") as failure:
        cut(network, graph, kept)
    assert failure.value.reason == "invalid network"


def test_a_branch_that_does_not_run_without_channels_keeps_one() -> None:
    class Choosy(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if x.shape[1] == 0:
                raise ValueError("no channels")
            return x

    class Odd(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem = nn.Conv2d(2, 6, 3, padding=1)
            self.first = nn.Conv2d(6, 8, 3, padding=1)
            self.middle = Choosy()
            self.second = nn.Conv2d(8, 6, 3, padding=1)
            self.linear = nn.Linear(6, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = self.stem(x).relu()
            return self.linear((x + self.second(self.middle(self.first(x)))).mean((2, 3)))

    graph = ChannelGraph.trace(Odd(), IMAGES)
    assert graph.branches["second"].sum is None
    with pytest.raises(StageFailure, match="group 'first' keeps no channel"):
        graph.settled({"first": ()})
