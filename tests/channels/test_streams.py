"""Residual streams: who writes them, where a branch ends, and what hangs on it."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import pytest
import torch
from torch import Tensor, nn

from harness.backbones import build
from harness.channels.graph import ChannelGraph
from harness.channels.groups import Part, Shortcut, Sum
from harness.data.catalogue import data_set
from tests.channels.networks import (
    IMAGES,
    Depthwise,
    DepthwiseOnStream,
    Grouped,
    HalfNormalised,
    Mixed,
    Nested,
    OptionA,
    PreActivation,
    Residual,
    example,
)


@cache
def small(name: str) -> ChannelGraph:
    with torch.device("meta"):
        network = build(name, data_set("cifar10"))
    return ChannelGraph.trace(network, torch.zeros(1, 3, 32, 32))


class Block(nn.Module):
    """A stem and a classifier, with a function of the stream and two layers between them."""

    def __init__(self, body: Callable[[Block, Tensor], Tensor], first: int = 8) -> None:
        super().__init__()
        self.stem = nn.Conv2d(2, 6, 3, padding=1)
        self.first = nn.Conv2d(6, first, 3, padding=1)
        self.second = nn.Conv2d(first, 6, 3, padding=1)
        self.linear = nn.Linear(6, 3)
        self.body = body

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(self.body(self, self.stem(x).relu()).relu().mean((2, 3)))

    def branch(self, x: Tensor) -> Tensor:
        return self.second(self.first(x).relu())


def block(body: Callable[[Block, Tensor], Tensor], first: int = 8) -> ChannelGraph:
    return ChannelGraph.trace(Block(body, first), IMAGES)


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


def test_candidates_that_are_added_up_are_branches_of_one_sum() -> None:
    graph = example(Mixed)[1]
    names = [[f"mixed{layer}.{number}.project" for number in range(count)] for layer, count in ((1, 3), (2, 2))]
    assert graph.sums == (Sum(tuple(names[0]), shortcut=False), Sum(tuple(names[1]), shortcut=True))
    assert graph.streams["stream:mixed1.0.project"].writers == (*names[0], *names[1])
    assert all(graph.branches[name].inside == (name.replace("project", "expand"),) for name in names[0] + names[1])


def test_squeeze_and_excitation_is_inside_its_branch() -> None:
    graph = example(Depthwise)[1]
    branch = graph.branches["project"]
    assert branch.inside == ("expand", "squeeze")
    assert {"squeeze", "excite", "filter", "project_bn"} <= set(branch.layers)
    assert graph.may_empty("squeeze")


def test_excitation_of_the_branchs_own_end_leaves_the_stream_to_be_cut_as_a_whole() -> None:
    def body(own: Block, x: Tensor) -> Tensor:
        return x + own.second(x).mul(own.first(x).sigmoid())

    graph = block(body, first=6)
    assert [group.kind for group in graph.groups.values()] == ["stream"]
    assert graph.branches == {}


def test_a_branch_inside_a_branch_goes_alone_or_with_it() -> None:
    graph = example(Nested)[1]
    assert graph.branches["end"].inside == ("stream:begin", "begin")
    assert graph.branches["inner2"].inside == ("inner1",)
    assert graph.removed({"inner2": ()}) == ["inner2"]
    assert graph.removed({"begin": ()}) == graph.removed({"end": ()}) == ["inner2", "end"]


def test_a_convolution_with_groups_inside_a_branch_is_removed_with_it() -> None:
    assert example(Grouped)[1].branches["conv3"].layers == ("conv1", "bn1", "conv2", "conv3", "bn3")


def test_a_branch_of_one_convolution_is_a_branch() -> None:
    graph = example(PreActivation)[1]
    assert graph.groups["conv1"].kind == "branch"
    assert graph.branches["conv1"].end == "conv1"
    assert graph.branches["conv1"].layers == ("bn1", "conv1")


def test_a_stream_that_its_readers_normalise_does_not_drain() -> None:
    for kind in (PreActivation, HalfNormalised):
        stream = example(kind)[1].streams["stream:stem"]
        assert stream.writers == ("stem", "conv1")
        assert not stream.drains


def test_a_depthwise_filter_of_the_stream_is_cut_with_the_stream() -> None:
    graph = example(DepthwiseOnStream)[1]
    assert graph.groups["stream:stem"].producers == ("stem", "filter", "project")
    assert graph.streams["stream:stem"].writers == ("stem", "project")
    assert graph.branches["project"].inside == ()
    assert graph.branches["project"].layers == ("filter", "filter_bn", "project", "project_bn")


def test_a_stream_that_a_depthwise_filter_reads_does_not_drain() -> None:
    assert not example(DepthwiseOnStream)[1].streams["stream:stem"].drains


def test_a_scaled_branch_is_a_branch() -> None:
    graph = block(lambda own, x: x + 0.2 * own.branch(x))
    assert graph.streams["stream:stem"].writers == ("stem", "second")
    assert graph.streams["stream:stem"].drains


def test_a_sum_that_begins_with_zero_has_the_branches_that_it_adds() -> None:
    graph = block(lambda own, x: sum([own.branch(x), x]))  # type: ignore[return-value]
    assert graph.sums == (Sum(("second",), shortcut=True),)


def test_a_subtracted_branch_is_a_branch() -> None:
    assert block(lambda own, x: x - own.branch(x)).branches["second"].sum == 0


def test_a_branch_of_layers_without_activation_between_them_is_a_branch() -> None:
    graph = block(lambda own, x: x + own.second(own.first(x)))
    assert graph.branches["second"].layers == ("first", "second")


def test_of_two_branches_that_are_added_at_once_each_can_be_removed() -> None:
    graph = block(lambda own, x: own.first(x) + (x + own.second(x)), first=6)
    assert graph.sums == (Sum(("first", "second"), shortcut=True),)
    assert graph.branches["first"].layers == ("first",)


def test_of_terms_of_different_depth_the_shallower_ones_are_the_way_past_the_branch() -> None:
    class Uneven(Block):
        def __init__(self) -> None:
            super().__init__(lambda own, x: own.branch(x) + own.get_submodule("short")(x))
            self.short = nn.Conv2d(6, 6, 1)

    graph = ChannelGraph.trace(Uneven(), IMAGES)
    assert graph.sums == (Sum(("second",), shortcut=True),)
    assert [layer.name for layer in graph.layers if layer.projection] == ["short"]


def test_a_layer_that_others_read_too_is_not_removed_with_the_branch() -> None:
    class Tapped(Block):
        def __init__(self) -> None:
            super().__init__(lambda own, x: x)
            self.linear = nn.Linear(14, 3)

        def forward(self, x: Tensor) -> Tensor:
            x = self.stem(x).relu()
            y = self.first(x).relu()
            x = x + self.second(y)
            return self.linear(torch.cat([x.relu(), y], 1).mean((2, 3)))

    graph = ChannelGraph.trace(Tapped(), IMAGES)
    assert graph.branches["second"].inside == ()
    assert graph.branches["second"].layers == ("second",)
    assert not graph.may_empty("first")


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
