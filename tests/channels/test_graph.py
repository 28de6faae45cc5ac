"""Which channels live or die together, on networks with one feature each."""

from __future__ import annotations

import time

import pytest
import torch
from torch import nn

from harness.backbones import build
from harness.channels.graph import ChannelGraph
from harness.channels.groups import Part
from harness.channels.structure import Segment
from harness.data.catalogue import data_set
from harness.errors import StageFailure, UserError
from tests.channels.networks import (
    IMAGES,
    NETWORKS,
    Chain,
    Concatenated,
    Depthwise,
    Grouped,
    HalfNormalised,
    PreActivation,
    Residual,
    example,
)


def test_a_chain_has_one_group_between_two_layers() -> None:
    graph = example(Chain)[1]
    assert list(graph.groups) == ["conv1", "conv2", "conv3", "linear1"]
    second = graph.groups["conv2"]
    assert second.size == 8
    assert second.kind == "inner"
    assert second.producers == ("conv2",)
    assert second.norms == second.gate_points == (Part("bn2"),)
    assert second.consumers == (Part("conv3"),)


def test_a_flatten_gives_each_channel_several_columns() -> None:
    assert example(Chain)[1].groups["conv3"].consumers == (Part("linear1", 16),)


def test_a_group_without_batch_norm_is_gated_where_it_is_written() -> None:
    assert example(Chain)[1].groups["conv3"].gate_points == (Part("conv3"),)


def test_a_hidden_linear_layer_is_a_group_of_kind_fc() -> None:
    group = example(Chain)[1].groups["linear1"]
    assert (group.kind, group.gate_points) == ("fc", (Part("bn"),))


@pytest.mark.parametrize(("kind", "output"), [(Chain, "linear2"), (Residual, "linear")])
def test_the_classifiers_outputs_are_no_group(kind: type[nn.Module], output: str) -> None:
    groups = example(kind)[1].groups.values()
    assert all(output not in group.producers for group in groups)


def test_a_depthwise_filter_is_tied_to_the_channels_it_filters() -> None:
    group = example(Depthwise)[1].groups["expand"]
    assert group.kind == "depthwise"
    assert group.producers == ("expand", "filter", "excite")
    assert [consumer.layer for consumer in group.consumers] == ["squeeze", "project"]


def test_the_gate_of_a_depthwise_group_sits_after_the_filter() -> None:
    assert example(Depthwise)[1].groups["expand"].gate_points == (Part("filter_bn"),)


def test_of_two_factors_that_one_is_gated_whose_gates_cost_nothing() -> None:
    group = example(Depthwise)[1].groups["expand"]
    assert "excite" in group.producers
    assert Part("excite") not in group.gate_points


def test_every_batch_norm_that_reads_a_bare_stream_is_a_gate_point() -> None:
    assert example(PreActivation)[1].groups["stream:stem"].gate_points == (Part("bn1"), Part("bn2"))


def test_for_a_reader_that_no_batch_norm_guards_the_writers_are_gate_points() -> None:
    group = example(HalfNormalised)[1].groups["stream:stem"]
    assert group.norms == (Part("bn1"),)
    assert {part.layer for part in group.gate_points} == {"bn1", "stem", "conv1"}


def test_inner_cuts_include_depthwise_and_leave_streams() -> None:
    graph = example(Depthwise)[1]
    assert [group.name for group in graph.cuttable(["inner"])] == ["expand", "squeeze"]
    assert [group.name for group in graph.cuttable(["stream"])] == ["stream:stem"]
    assert example(Chain)[1].cuttable(["branch"]) == []


def test_groups_are_in_the_order_in_which_the_network_runs_and_a_stream_is_before_its_writers() -> None:
    assert list(example(Depthwise)[1].groups) == ["stream:stem", "stem", "expand", "squeeze", "project"]


def test_layers_that_are_joined_side_by_side_keep_places_of_their_own() -> None:
    groups = example(Concatenated)[1].groups
    assert list(groups) == ["left", "right", "one"]
    assert groups["left"].norms == (Part("bn"),)
    assert groups["right"].norms == (Part("bn", start=4),)
    assert groups["right"].consumers == (Part("one", start=4), Part("linear", start=9))
    assert groups["one"].consumers == (Part("linear"),)


def test_a_layer_beside_one_that_reads_it_is_gated_where_it_is_written() -> None:
    class Beside(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one = nn.Conv2d(2, 4, 1)
            self.two = nn.Conv2d(4, 5, 1)
            self.linear = nn.Linear(9, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = self.one(x)
            return self.linear(torch.cat([x, self.two(x)], 1).mean((2, 3)))

    groups = ChannelGraph.trace(Beside(), IMAGES).groups
    assert [group.gate_points for group in groups.values()] == [(Part("one"),), (Part("two"),)]


def test_a_layer_that_reads_several_groups_knows_its_segments() -> None:
    linear = example(Concatenated)[1].layers[-1]
    assert linear.reads == (Segment("one", 5), Segment("left", 4), Segment("right", 6))


def test_columns_that_read_the_images_belong_to_no_group() -> None:
    assert example(Chain)[1].layers[0].reads == (Segment(None, 2),)


def test_a_convolution_with_groups_is_cut_by_whole_groups() -> None:
    group = example(Grouped)[1].groups["conv1"]
    assert (group.size, group.rows, group.kind) == (4, 3, "depthwise")
    assert group.producers == ("conv1", "conv2")
    assert group.norms == (Part("bn1", 3),)
    assert group.consumers == (Part("conv3", 3),)


def kept_whole(kind: type[nn.Module], *layers: str) -> ChannelGraph:
    network = kind()
    network.kept_whole = layers
    return ChannelGraph.trace(network, IMAGES)


def test_a_layer_that_is_kept_whole_is_in_no_group() -> None:
    graph = kept_whole(Chain, "conv2")
    assert list(graph.groups) == ["conv1", "conv3", "linear1"]
    assert graph.layers[2].reads == (Segment(None, 8),)


@pytest.mark.parametrize("layer", ["stem", "conv2"])
def test_a_stream_is_kept_whole_with_any_layer_that_writes_it(layer: str) -> None:
    graph = kept_whole(Residual, layer)
    assert list(graph.groups) == ["conv1", "conv3", "stream:conv4", "conv4"]
    assert list(graph.branches) == ["conv4"]


def test_a_layer_to_keep_whole_that_is_not_there_is_named() -> None:
    with pytest.raises(UserError, match="unknown layer to keep whole 'conf2'; did you mean 'conv2'"):
        kept_whole(Chain, "conf2")


def test_a_convolution_with_groups_cannot_be_kept_whole() -> None:
    with pytest.raises(UserError, match="layer 'conv2' has groups, and its channels reach the output or are kept"):
        kept_whole(Grouped, "conv1")


def test_a_part_prints_its_places() -> None:
    assert str(Part("linear", 16, 32)) == "linear (16 places a channel, from place 32 on)"
    assert str(Part("conv")) == "conv"


def test_an_unknown_kind_of_cut_says_what_was_meant() -> None:
    with pytest.raises(UserError, match="did you mean 'inner'"):
        example(Chain)[1].cuttable(["iner"])


def test_a_group_prints_what_it_is() -> None:
    assert str(example(Chain)[1].groups["conv1"]) == (
        "conv1: 6 inner channels, written by conv1; normalised by bn1; read by conv2; gate at bn1"
    )


@pytest.mark.parametrize("kind", NETWORKS)
def test_tracing_changes_nothing(kind: type[nn.Module]) -> None:
    network = kind()
    network.train()
    frozen = next(network.parameters()).requires_grad_(False)
    state = {name: value.clone() for name, value in network.state_dict().items()}
    generator = torch.get_rng_state()
    with torch.inference_mode():
        ChannelGraph.trace(network, IMAGES)
    assert all(torch.equal(value, state[name]) for name, value in network.state_dict().items())
    assert torch.equal(torch.get_rng_state(), generator)
    assert all(module.training for module in network.modules())
    assert all(parameter.grad is None for parameter in network.parameters())
    assert not frozen.requires_grad
    assert not any(module._forward_hooks for module in network.modules())


@pytest.mark.parametrize("kind", NETWORKS)
def test_a_resized_graph_is_the_graph_of_the_cut_network(kind: type[nn.Module]) -> None:
    from harness.channels.surgery import cut

    network, graph = example(kind)
    kept = {name: tuple(range(1, size)) for name, size in graph.widths.items()}
    traced = ChannelGraph.trace(cut(network, graph, kept), IMAGES)
    assert graph.resized(kept) == traced


@pytest.mark.parametrize(
    ("kept", "message"),
    [
        ({"conv9": (0,)}, "did you mean 'conv"),
        ({"conv1": ()}, "keeps no channel"),
        ({"conv1": (0, 6)}, "run from 0 to 6; it has 0 to 5"),
        ({"conv1": (-1, 2)}, "run from -1"),
        ({"conv1": (2, 1)}, "ascending"),
        ({"conv1": (1, 1)}, "ascending"),
    ],
)
def test_a_wrong_selection_is_refused(kept: dict[str, tuple[int, ...]], message: str) -> None:
    with pytest.raises(StageFailure, match=message) as failure:
        example(Chain)[1].check(kept)
    assert failure.value.reason == "invalid network"


def test_vgg16_is_traced_in_seconds() -> None:
    with torch.device("meta"):
        network = build("vgg16", data_set("cifar10"))
    started = time.process_time()
    graph = ChannelGraph.trace(network, torch.zeros(1, 3, 32, 32))
    assert time.process_time() - started < 5.0
    assert list(graph.widths.values()) == [64, 64, 128, 128, *[256] * 3, *[512] * 6, 512]
    assert all(group.gate_points for group in graph.groups.values())
