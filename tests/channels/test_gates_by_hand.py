"""Gates on every kind of layer and group are multiplications by hand; they come, are copied and go without a trace."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from harness.channels.gates import insert_gates, remove_gates
from harness.channels.graph import ChannelGraph
from harness.channels.groups import ChannelGroup
from harness.channels.surgery import cut
from harness.train.checkpoint import tensors_from_bytes, tensors_to_bytes
from tests.channels.networks import (
    NETWORKS,
    Chain,
    Concatenated,
    Grouped,
    OptionA,
    Residual,
    backbone,
    example,
    images,
    pictures,
    same,
)

kinds = pytest.mark.parametrize("kind", NETWORKS)


def spread(groups: list[ChannelGroup]) -> dict[str, Tensor]:
    """Gates between 0.2 and 1 for every channel."""
    generator = torch.Generator().manual_seed(0)
    return {
        group.name: torch.empty(group.size, dtype=torch.float64).uniform_(0.2, 1.0, generator=generator)
        for group in groups
    }


def gated(kind: type[nn.Module], names: list[str] | None = None) -> tuple[nn.Module, dict[str, nn.Parameter]]:
    """A copy of the network with the gates of `spread`."""
    network, graph = example(kind)
    network = copy.deepcopy(network)
    groups = [graph.groups[name] for name in names or graph.groups]
    values = insert_gates(network, groups, lambda scalars: scalars, 1.0)
    with torch.no_grad():
        for name, wanted in spread(groups).items():
            values[name].copy_(wanted)
    return network, values


def by_hand(network: nn.Module, graph: ChannelGraph, factors: dict[str, Tensor]) -> nn.Module:
    """A copy whose gate points' outputs are multiplied after they were computed."""
    network = copy.deepcopy(network)

    def multiply(layer: str, start: int, factor: Tensor) -> None:
        def hook(module: nn.Module, inputs: object, output: Tensor) -> Tensor:
            end = start + len(factor)
            wide = torch.cat([torch.ones(start), factor, torch.ones(output.shape[1] - end)])
            return output * wide.view(1, -1, *[1] * (output.dim() - 2))

        network.get_submodule(layer).register_forward_hook(hook)

    for name, factor in factors.items():
        for part in graph.groups[name].gate_points:
            multiply(part.layer, part.start, factor.repeat_interleave(part.repeat))
    return network


@kinds
@pytest.mark.parametrize("training", [False, True])
def test_gates_are_multiplications_by_hand(kind: type[nn.Module], training: bool) -> None:
    network, values = gated(kind)
    plain, graph = example(kind)
    factors = {name: value.detach().clone().requires_grad_() for name, value in values.items()}
    hooked = by_hand(plain, graph, factors)
    logits, expected = network.train(training)(images()), hooked.train(training)(images())
    assert same(logits, expected)
    logits.square().sum().backward()
    expected.square().sum().backward()
    for name, value in values.items():
        gradient = factors[name].grad
        assert value.grad is not None
        assert gradient is not None
        assert same(value.grad, gradient), name
    if training:
        moved = hooked.state_dict()
        assert all(same(value, moved[name]) for name, value in network.state_dict().items() if "running" in name)


@kinds
def test_a_gate_of_one_half_everywhere_is_a_multiplication_by_one_half(kind: type[nn.Module]) -> None:
    plain, graph = example(kind)
    network = copy.deepcopy(plain)
    insert_gates(network, list(graph.groups.values()), torch.sigmoid, 0.0)
    halves = {name: torch.full((size,), 0.5, dtype=torch.float64) for name, size in graph.widths.items()}
    with torch.no_grad():
        assert same(network(images()), by_hand(plain, graph, halves)(images()))


def test_the_gate_of_a_branch_leaves_the_identity_alone() -> None:
    network, _ = gated(Residual, ["conv2"])
    plain = example(Residual)[0]
    with torch.no_grad():
        network.bn2.gate_values[0].zero_()
        stream = plain.stem_bn(plain.stem(images())).relu()
        branch = network.bn2(network.conv2(network.bn1(network.conv1(stream)).relu()))
        assert bool((branch == 0).all())
        assert torch.equal(network.stem_bn(network.stem(images())).relu(), stream)
    assert [name for name, module in network.named_modules() if hasattr(module, "function")] == ["bn2"]


def test_a_stream_and_a_branch_that_are_gated_both_multiply() -> None:
    network, values = gated(Residual, ["stream:stem", "conv2"])
    assert torch.equal(network.bn2.factor(), values["stream:stem"] * values["conv2"])
    assert torch.equal(network.stem_bn.factor(), values["stream:stem"])


def test_a_batch_norm_over_layers_side_by_side_has_the_gates_of_each_in_its_place() -> None:
    network, values = gated(Concatenated)
    assert torch.equal(network.bn.factor(), torch.cat([values["left"], values["right"]]))
    alone, values = gated(Concatenated, ["right"])
    assert torch.equal(alone.bn.factor(), torch.cat([torch.ones(4, dtype=torch.float64), values["right"]]))


def test_a_gate_of_a_convolutions_group_multiplies_all_its_rows() -> None:
    network, values = gated(Grouped, ["conv1"])
    assert torch.equal(network.conv2.factor(), values["conv1"].repeat_interleave(3))


def test_a_convolution_without_batch_norm_has_its_gates_in_weight_and_bias() -> None:
    network, values = gated(Chain, ["conv3"])
    plain, batch = example(Chain)[0].conv3, torch.randn(2, 8, 4, 4, dtype=torch.float64)
    with torch.no_grad():
        assert same(network.conv3(batch), plain(batch) * values["conv3"].view(1, -1, 1, 1))


def test_the_gates_of_a_shortcut_without_weights_multiply_what_it_writes() -> None:
    network, values = gated(OptionA, ["stream:block2.conv2"])
    plain, batch = example(OptionA)[0].block2.shortcut, torch.randn(2, 4, 8, 8, dtype=torch.float64)
    with torch.no_grad():
        expected = plain(batch) * values["stream:block2.conv2"].view(1, -1, 1, 1)
        assert torch.equal(network.block2.shortcut(batch), expected)


@kinds
def test_without_its_gates_a_network_is_what_it_was(kind: type[nn.Module]) -> None:
    plain, graph = example(kind)
    network, _ = gated(kind)
    remove_gates(network)
    assert [type(module) for module in network.modules()] == [type(module) for module in plain.modules()]
    assert list(network.state_dict()) == list(plain.state_dict())
    assert str(network) == str(plain)
    assert not any(hasattr(module, "gate_values") or hasattr(module, "function") for module in network.modules())
    with torch.no_grad():
        assert torch.equal(network(images()), plain(images()))
        assert cut(network, graph, {})(images()).shape == (4, 3)


@kinds
def test_gates_may_be_put_in_again_after_they_were_removed(kind: type[nn.Module]) -> None:
    network, _ = gated(kind)
    remove_gates(network)
    insert_gates(network, list(example(kind)[1].groups.values()), torch.ones_like, 0.0)
    with torch.no_grad():
        assert torch.equal(network(images()), example(kind)[0](images()))


@kinds
def test_a_copy_of_a_gated_network_has_gates_of_its_own(kind: type[nn.Module]) -> None:
    network, values = gated(kind)
    other = copy.deepcopy(network)
    assert len(list(other.parameters())) == len(list(network.parameters()))
    with torch.no_grad():
        logits = network(images())
        assert torch.equal(other(images()), logits)
        for value in values.values():
            value.mul_(0.5)
        assert torch.equal(other(images()), logits)
        assert not torch.equal(network(images()), logits)
    remove_gates(other)
    assert list(other.state_dict()) == list(example(kind)[0].state_dict())


@kinds
def test_a_gated_network_goes_through_a_checkpoint(kind: type[nn.Module]) -> None:
    network, values = gated(kind)
    tensors, _ = tensors_from_bytes(tensors_to_bytes(network.state_dict()))
    other, others = gated(kind)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.zero_()
    other.load_state_dict(tensors)
    with torch.no_grad():
        assert torch.equal(other(images()), network(images()))
    assert all(torch.equal(others[name], value) for name, value in values.items())


@pytest.mark.parametrize("name", ["resnet20_quarter", "mobilenetv2_quarter"])
def test_every_gate_of_a_residual_backbone_learns(name: str) -> None:
    plain, graph = backbone(name)
    network = copy.deepcopy(plain).train()
    values = insert_gates(network, list(graph.groups.values()), torch.sigmoid, 0.0)
    for parameter in network.parameters():
        parameter.requires_grad_(any(parameter is value for value in values.values()))
    network(pictures(4)).square().sum().backward()
    for group, value in values.items():
        assert value.grad is not None
        assert float(value.grad.abs().max()) > 0, group


def test_a_gate_of_several_layers_is_one_parameter_of_the_optimiser() -> None:
    network, values = gated(OptionA)
    listed = [parameter for parameter in network.parameters() if any(parameter is value for value in values.values())]
    assert len(listed) == len(values)


def test_a_layer_is_gated_in_the_format_and_type_that_it_has() -> None:
    network, _ = gated(Residual)
    half = copy.deepcopy(network).float().to(memory_format=torch.channels_last)
    logits = half(images().float().to(memory_format=torch.channels_last))
    assert logits.dtype == torch.float32
    assert same(logits.double(), network(images()), 1e-5)
