"""Where residual branches begin and end, in whatever way they are added."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from harness.channels.graph import ChannelGraph
from harness.channels.groups import Sum
from tests.channels.networks import (
    IMAGES,
    Depthwise,
    DepthwiseOnStream,
    Grouped,
    HalfNormalised,
    Mixed,
    Nested,
    PreActivation,
    example,
)


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
