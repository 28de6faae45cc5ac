"""Residual streams: who writes them, where a branch ends, and what hangs on it."""

from __future__ import annotations

from functools import cache

import pytest
import torch
from torch import nn

from harness.backbones import build
from harness.channels.graph import ChannelGraph
from harness.channels.groups import Part, Shortcut, Sum
from harness.data.catalogue import data_set
from tests.channels.networks import (
    IMAGES,
    OptionA,
    Residual,
    example,
)


@cache
def small(name: str) -> ChannelGraph:
    with torch.device("meta"):
        network = build(name, data_set("cifar10"))
    return ChannelGraph.trace(network, torch.zeros(1, 3, 32, 32))


def test_a_stream_and_each_of_its_writers_are_groups() -> None:
    groups = example(Residual)[1].groups
    assert {name: group.kind for name, group in groups.items()} == {
        "stream:stem": "stream",
        "stem": "branch",
        "conv1": "inner",
        "conv2": "branch",
        "conv3": "inner",
        "stream:conv4": "stream",
        "conv4": "branch",
    }


def test_a_writers_group_is_gated_and_normalised_where_it_ends() -> None:
    writer = example(Residual)[1].groups["conv2"]
    assert writer.producers == ("conv2",)
    assert writer.norms == writer.gate_points == (Part("bn2"),)
    assert writer.stream == "stream:stem"


def test_a_writers_channels_are_read_through_the_stream_alone() -> None:
    groups = example(Residual)[1].groups
    assert groups["conv2"].consumers == ()
    assert [part.layer for part in groups["stream:stem"].consumers] == ["conv1", "conv3", "projection"]


def test_a_projection_belongs_to_the_stream_and_is_no_group() -> None:
    graph = example(Residual)[1]
    assert graph.groups["stream:conv4"].producers == ("conv4", "projection")
    assert "projection" not in graph.groups
    assert graph.streams["stream:conv4"].writers == ("conv4",)
    assert graph.streams["stream:conv4"].fixed
    assert [layer.name for layer in graph.layers if layer.projection] == ["projection"]
    assert [norm.name for norm in graph.norms if norm.projection] == ["projection_bn"]


def test_without_a_projection_a_stream_is_written_by_its_branches_alone() -> None:
    stream = example(Residual)[1].streams["stream:stem"]
    assert stream.writers == ("stem", "conv2")
    assert not stream.fixed
    assert stream.shortcuts == ()


def test_what_only_a_branch_reads_is_inside_it_and_removed_with_it() -> None:
    branches = example(Residual)[1].branches
    assert branches["conv4"].inside == ("conv3",)
    assert branches["conv4"].layers == ("conv3", "bn3", "conv4", "bn4")
    assert branches["conv4"].end == "bn4"


def test_the_layer_that_begins_a_stream_is_no_part_of_a_sum_and_cannot_be_removed() -> None:
    graph = example(Residual)[1]
    assert graph.branches["stem"].sum is None
    assert not graph.may_empty("stem")
    assert not graph.may_empty("stream:stem")


def test_all_groups_of_a_branch_may_be_emptied() -> None:
    graph = example(Residual)[1]
    assert all(graph.may_empty(name) for name in ("conv1", "conv2", "conv3", "conv4"))


def test_each_addition_knows_its_branches() -> None:
    graph = example(Residual)[1]
    assert graph.sums == (Sum(("conv2",), shortcut=True), Sum(("conv4",), shortcut=True))
    assert [graph.branches[name].sum for name in ("conv2", "conv4")] == [0, 1]


def test_a_reader_of_a_stream_knows_the_branches_added_last() -> None:
    after = {layer.name: layer.after for layer in example(Residual)[1].layers}
    assert after == {
        "stem": (),
        "conv1": ("stem",),
        "conv2": (),
        "conv3": ("conv2",),
        "conv4": (),
        "projection": ("conv2",),
        "linear": ("conv4",),
    }


def test_a_shortcut_without_weights_says_which_channel_it_writes_where() -> None:
    graph = example(OptionA)[1]
    assert graph.streams["stream:block2.conv2"].shortcuts == (Shortcut("block2.shortcut", "stream:stem", (2, 3, 4, 5)),)
    assert graph.groups["stream:block2.conv2"].producers == ("block2.conv2", "block3.conv2")
    assert not graph.streams["stream:block2.conv2"].fixed


def test_a_shortcut_without_weights_is_gated_with_the_stream_that_it_writes() -> None:
    points = example(OptionA)[1].groups["stream:block2.conv2"].gate_points
    assert {part.layer for part in points} == {"block2.shortcut", "block2.bn2", "block3.bn2"}


def test_a_shortcut_may_read_channels_that_are_no_stream() -> None:
    from harness.backbones.resnet_cifar import BasicBlock

    parts = [nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), BasicBlock(4, 8, 2), nn.AdaptiveAvgPool2d(1)]
    graph = ChannelGraph.trace(nn.Sequential(*parts, nn.Flatten(), nn.Linear(8, 3)), IMAGES)
    assert graph.groups["0"].kind == "inner"
    assert graph.streams["stream:3.conv2"].shortcuts[0].source == "0"


def test_resnet20_has_three_streams_and_nine_removable_branches() -> None:
    graph = small("resnet20_quarter")
    assert [len(stream.writers) for stream in graph.streams.values()] == [4, 3, 3]
    assert sum(branch.sum is not None for branch in graph.branches.values()) == 9
    assert [len(stream.shortcuts) for stream in graph.streams.values()] == [0, 1, 1]
    assert all(stream.drains and not stream.fixed for stream in graph.streams.values())


def test_each_block_of_resnet56_is_a_branch_with_its_first_convolution_inside() -> None:
    graph = small("resnet56_quarter")
    assert len(graph.branches) == 28
    for name, branch in graph.branches.items():
        block = name.rpartition(".")[0]
        assert branch.inside == ((f"{block}.conv1",) if block else ())
        assert branch.end == (f"{block}.bn2" if block else "bn1")


def test_projections_of_mobilenetv2_write_all_of_their_streams() -> None:
    graph = small("mobilenetv2_quarter")
    fixed = [name for name, stream in graph.streams.items() if stream.fixed]
    assert len(fixed) == 4
    assert sum(layer.projection for layer in graph.layers) == 4
    assert all(not branch.startswith("blocks.0.shortcut") for branch in graph.branches)


def test_inner_cuts_leave_branches_and_streams() -> None:
    graph = example(Residual)[1]
    assert [group.name for group in graph.cuttable(["inner"])] == ["conv1", "conv3"]
    assert [group.name for group in graph.cuttable(["branch"])] == ["stem", "conv2", "conv4"]
    assert [group.name for group in graph.cuttable(["stream"])] == ["stream:stem", "stream:conv4"]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (
            "conv2",
            "conv2: 8 branch channels, written by conv2; normalised by bn2; added into stream:stem; gate at bn2",
        ),
        (
            "stream:conv4",
            "stream:conv4: 12 stream channels, written by conv4, projection; normalised by bn4, projection_bn; "
            "read by linear; gate at bn4, projection_bn",
        ),
    ],
)
def test_branches_and_streams_print_what_they_are(name: str, text: str) -> None:
    assert str(example(Residual)[1].groups[name]) == text
