"""Networks whose channels nobody here knows how to cut are refused by the layer's name, never cut wrongly."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from harness.backbones.shortcut import ZeroPadShortcut
from harness.channels import proof
from harness.channels.gates import insert_gates
from harness.channels.graph import ChannelGraph
from harness.channels.structure import Segment, skeleton
from harness.errors import UserError
from tests.channels.networks import IMAGES, Chain, PreActivation, Residual, example


class Between(nn.Module):
    """Two convolutions with something between them."""

    def __init__(self, middle: nn.Module | Callable[[Tensor], Tensor], width: int = 8) -> None:
        super().__init__()
        self.first = nn.Conv2d(2, 8, 3, padding=1)
        self.middle = middle
        self.second = nn.Conv2d(width, 6, 3, padding=1)
        self.linear = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(self.second(self.middle(self.first(x))).relu().mean((2, 3)))


def refusal(network: nn.Module) -> str:
    with pytest.raises(UserError) as refused:
        ChannelGraph.trace(network, IMAGES)
    assert "\n" not in str(refused.value)
    return str(refused.value)


@pytest.mark.parametrize(
    "layer",
    [
        nn.GroupNorm(2, 8),
        nn.GroupNorm(2, 8, affine=False),
        nn.LayerNorm([8, 8, 8]),
        nn.InstanceNorm2d(8),
        nn.PReLU(8),
        nn.Conv2d(8, 16, 3, padding=1, groups=2),
        nn.Conv2d(8, 16, 3, padding=1, groups=8),
        nn.ConvTranspose2d(8, 8, 1),
        nn.ChannelShuffle(2),
    ],
)
def test_an_unsupported_layer_is_named(layer: nn.Module) -> None:
    message = refusal(Between(layer, width=16 if getattr(layer, "out_channels", 8) == 16 else 8))
    assert "'middle'" in message
    assert type(layer).__name__ in message


def test_attention_is_named() -> None:
    class Attention(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.attention = nn.MultiheadAttention(8, 2, batch_first=True)

        def forward(self, x: Tensor) -> Tensor:
            tokens = x.flatten(2).transpose(1, 2)
            return self.attention(tokens, tokens, tokens)[0].transpose(1, 2).view_as(x)

    assert "'middle.attention' (MultiheadAttention)" in refusal(Between(Attention()))


def test_a_channel_shuffle_by_reshaping_is_refused() -> None:
    def shuffle(x: Tensor) -> Tensor:
        return x.view(len(x), 2, 4, 8, 8).transpose(1, 2).reshape(len(x), 8, 8, 8)

    assert "first" in refusal(Between(shuffle))


def test_a_concatenation_of_a_layer_with_itself_is_refused() -> None:
    assert "first" in refusal(Between(lambda x: torch.cat([x, x], dim=1), width=16))


def test_convolutions_that_group_the_same_channels_otherwise_are_refused() -> None:
    layers = nn.Sequential(nn.Conv2d(8, 8, 3, padding=1, groups=4), nn.Conv2d(8, 8, 3, padding=1, groups=2))
    assert "channels of layer 'first' cannot be cut" in refusal(Between(layers))


def test_channels_that_are_split_are_refused() -> None:
    assert refusal(Between(lambda x: x.chunk(2, dim=1)[0], width=4)).startswith("the channels of layer 'first'")


def test_a_module_that_splits_its_channels_is_named() -> None:
    class Half(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.chunk(2, dim=1)[0]

    assert "layer 'middle' (Half) splits its channels" in refusal(Between(Half(), width=4))


def test_a_flatten_of_layers_side_by_side_is_refused_where_each_has_several_pixels() -> None:
    class Flattened(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.left, self.right = nn.Conv2d(2, 4, 1), nn.Conv2d(2, 5, 1)
            self.linear = nn.Linear(9 * 64, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.linear(torch.cat([self.left(x), self.right(x)], 1).flatten(1))

    assert "'left'" in refusal(Flattened())


def test_a_stream_to_which_layers_side_by_side_are_added_is_refused() -> None:
    class Joined(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.left, self.right = nn.Conv2d(8, 3, 1), nn.Conv2d(8, 5, 1)

        def forward(self, x: Tensor) -> Tensor:
            return x + torch.cat([self.left(x), self.right(x)], 1)

    message = refusal(Between(Joined()))
    assert "middle.left" in message
    assert "'first'" in message


def test_a_branch_that_ends_in_an_activation_that_does_not_send_zero_to_zero_is_refused() -> None:
    class Shifted(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(8, 8, 1)

        def forward(self, x: Tensor) -> Tensor:
            return x + self.conv(x).sigmoid()

    assert "cannot be cut" in refusal(Between(Shifted()))


def test_a_shortcut_that_reads_the_images_is_refused() -> None:
    class Image(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(2, 8, 1)
            self.shortcut = ZeroPadShortcut(2, 8, 1)
            self.linear = nn.Linear(8, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.linear((self.conv(x) + self.shortcut(x)).relu().mean((2, 3)))

    assert "shortcut 'shortcut' reads channels that cannot be cut" in refusal(Image())


def test_half_of_the_channels_taken_by_index_is_refused() -> None:
    assert "first" in refusal(Between(lambda x: x[:, torch.arange(4)], width=4))


def test_a_softmax_over_channels_is_refused() -> None:
    message = refusal(Between(lambda x: x.softmax(dim=1)))
    assert message.startswith("channels of layer 'first' cannot be cut")


def test_an_activation_that_does_not_send_zero_to_zero_is_refused() -> None:
    assert "channels of layer 'first' cannot be cut" in refusal(Between(torch.sigmoid))


def test_a_width_written_into_the_forward_pass_is_refused() -> None:
    assert "channels of layer 'first' cannot be cut" in refusal(Between(lambda x: x.view(-1, 8, 8, 8)))


def test_a_wrong_layer_at_the_start_of_a_deep_network_is_found() -> None:
    class Softmax(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return 8 * x.softmax(dim=1)

    rest = [part for _ in range(40) for part in (nn.Conv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU())]
    assert "channels of layer 'first' cannot be cut" in refusal(Between(nn.Sequential(Softmax(), *rest)))


def test_a_layer_that_runs_twice_is_refused() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(8, 8, 1)

        def forward(self, x: Tensor) -> Tensor:
            return self.conv(self.conv(x))

    assert "layer 'middle.conv' runs more than once" in refusal(Between(Twice()))


def test_shared_weights_are_refused() -> None:
    network = Between(nn.Sequential(nn.Conv2d(8, 8, 1), nn.Conv2d(8, 8, 1)))
    network.middle[1].weight = network.middle[0].weight
    assert "'middle.1.weight' and 'middle.0.weight' are one tensor" in refusal(network)


def test_weights_outside_of_layers_are_refused() -> None:
    class Scale(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.ones(8, 1, 1))

        def forward(self, x: Tensor) -> Tensor:
            return x * self.scale

    assert "layer 'middle' (Scale) has weights of its own" in refusal(Between(Scale()))


def test_images_that_do_not_fit_are_refused() -> None:
    with pytest.raises(UserError, match=r"does not run on images \[3, 8, 8\]"):
        ChannelGraph.trace(Chain(), torch.zeros(1, 3, 8, 8))


def test_an_error_inside_torch_pruning_is_a_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch_pruning

    def fail(*arguments: object, **options: object) -> None:
        raise ZeroDivisionError("by zero")

    monkeypatch.setattr(torch_pruning.DependencyGraph, "get_all_groups", fail)
    assert refusal(Chain()) == "Torch-Pruning cannot trace the network: ZeroDivisionError: by zero"


def test_a_gated_network_is_refused() -> None:
    network = Chain()
    insert_gates(network, [example(Chain)[1].groups["conv1"]], torch.sigmoid, 0.0)
    assert "'bn1' (GatedBatchNorm2d) carries a gate" in refusal(network)


def test_a_graph_that_forgets_a_reader_does_not_pass_its_own_proof() -> None:
    network, graph = example(Residual)
    name = "stream:stem"
    fewer = graph.groups[name].consumers[1:]
    wrong = replace(graph.groups[name], consumers=fewer)
    layers = tuple(
        replace(layer, reads=(Segment(None, 8),)) if layer.name == "conv1" else layer for layer in graph.layers
    )
    with pytest.raises(UserError, match="channels of layer 'stem' cannot be cut"):
        proof.prove(network, skeleton(network), replace(graph, groups=graph.groups | {name: wrong}, layers=layers))


@pytest.mark.parametrize("name", ["stream:stem", "stream:conv4"])
def test_a_graph_that_forgets_a_writers_gate_does_not_pass_its_own_proof(name: str) -> None:
    network, graph = example(Residual)
    wrong = replace(graph.groups[name], gate_points=graph.groups[name].gate_points[:1])
    with pytest.raises(UserError, match=f"channels of layer '{name.removeprefix('stream:')}' cannot be cut"):
        proof.prove(network, skeleton(network), replace(graph, groups=graph.groups | {name: wrong}))


def test_a_graph_that_drains_a_stream_which_its_readers_shift_does_not_pass_its_own_proof() -> None:
    network, graph = example(PreActivation)
    wrong = replace(graph.streams["stream:stem"], drains=True)
    with pytest.raises(UserError, match="cannot be cut"):
        proof.prove(network, skeleton(network), replace(graph, streams={"stream:stem": wrong}))


def test_a_graph_that_takes_too_much_for_a_branch_does_not_remove_it() -> None:
    network, graph = example(Residual)
    wrong = replace(graph.branches["conv2"], layers=(*graph.branches["conv2"].layers, "projection"))
    branches = graph.branches | {"conv2": wrong}
    assert proof.prove(network, skeleton(network), graph)
    assert not proof.prove(network, skeleton(network), replace(graph, branches=branches))
