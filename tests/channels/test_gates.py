"""Gates in batch norm: the value and the gradient of a multiplication, at no cost, and without a trace."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from harness.channels.gates import GatedBatchNorm1d, GatedBatchNorm2d, fold_gates, insert_gates, remove_gates
from harness.channels.surgery import mask
from harness.errors import UserError
from tests.channels.networks import NETWORKS, Chain, Mixed, OptionA, Residual, example, images, randomised


def gated_chain() -> tuple[nn.Module, dict[str, nn.Parameter]]:
    network = copy.deepcopy(example(Chain)[0])
    groups = example(Chain)[1].groups
    chosen = [groups[name] for name in ("conv1", "conv2", "linear1")]
    return network, insert_gates(network, chosen, torch.sigmoid, 0.3)


class Explicit(nn.Module):
    """Batch norm, then a multiplication."""

    def __init__(self, norm: nn.Module, values: nn.Parameter) -> None:
        super().__init__()
        self.norm, self.values = norm, values

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(x)
        return y * torch.sigmoid(self.values).view(1, -1, *[1] * (y.dim() - 2))


@pytest.mark.parametrize("training", [True, False])
def test_a_gate_is_a_multiplication_after_batch_norm(training: bool) -> None:
    network, values = gated_chain()
    explicit = copy.deepcopy(example(Chain)[0])
    copies = {name: nn.Parameter(value.detach().clone()) for name, value in values.items()}
    for name, norm in (("conv1", "bn1"), ("conv2", "bn2"), ("linear1", "bn")):
        with torch.no_grad():
            values[name].copy_(torch.linspace(-1, 1, len(values[name])))
            copies[name].copy_(values[name])
        explicit.set_submodule(norm, Explicit(explicit.get_submodule(norm), copies[name]))
    logits, expected = network.train(training)(images()), explicit.train(training)(images())
    assert torch.allclose(logits, expected, rtol=0, atol=1e-12)
    logits.square().sum().backward()
    expected.square().sum().backward()
    for name, value in values.items():
        assert value.grad is not None
        assert torch.allclose(value.grad, copies[name].grad, rtol=1e-9, atol=1e-12)
    assert torch.allclose(network.bn1.weight.grad, explicit.bn1.norm.weight.grad, rtol=1e-9, atol=1e-12)
    assert torch.allclose(network.bn1.running_mean, explicit.bn1.norm.running_mean, rtol=0, atol=1e-12)
    assert network.bn1.num_batches_tracked == explicit.bn1.norm.num_batches_tracked


@pytest.mark.parametrize("kind", NETWORKS)
def test_gates_of_one_change_nothing(kind: type[nn.Module]) -> None:
    plain, graph = example(kind)
    network = copy.deepcopy(plain)
    assert insert_gates(network, list(graph.groups.values()), torch.ones_like, 0.0).keys() == graph.groups.keys()
    with torch.no_grad():
        assert torch.equal(network(images()), plain(images()))


@pytest.mark.parametrize("kind", NETWORKS)
def test_a_gate_of_zero_is_a_masked_channel(kind: type[nn.Module]) -> None:
    plain, graph = example(kind)
    groups = list(graph.groups.values())
    network = copy.deepcopy(plain)
    values = insert_gates(network, groups, lambda scalars: scalars, 1.0)
    with torch.no_grad():
        for scalars in values.values():
            scalars[::2] = 0.0
        kept = {group.name: tuple(range(1, group.size, 2)) for group in groups}
        assert torch.allclose(network(images()), mask(plain, graph, kept)(images()), rtol=0, atol=1e-12)


def test_names_of_the_weights_stay_and_gates_are_added() -> None:
    network, _ = gated_chain()
    before, after = example(Chain)[0].state_dict(), network.state_dict()
    assert after.keys() - before.keys() == {f"{layer}.gate_values.0" for layer in ("bn1", "bn2", "bn")}
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    assert isinstance(network.bn1, GatedBatchNorm2d)
    assert isinstance(network.bn, GatedBatchNorm1d)


def test_inserting_and_removing_is_no_change() -> None:
    network = randomised(Chain()).train()
    network.bn1.eval()
    network.bn1.weight.requires_grad_(False)
    network.bn2.momentum = None
    tensors = {name: id(value) for name, value in network.state_dict(keep_vars=True).items()}
    printed = str(network)
    insert_gates(network, [example(Chain)[1].groups[name] for name in ("conv1", "conv2")], torch.sigmoid, 0.0)
    remove_gates(network)
    assert {name: id(value) for name, value in network.state_dict(keep_vars=True).items()} == tensors
    assert str(network) == printed
    assert type(network.bn1) is nn.BatchNorm2d
    assert not network.bn1.training
    assert network.bn2.training


def test_statistics_that_moved_under_the_gates_stay() -> None:
    network, _ = gated_chain()
    network.train()(images())
    moved = network.bn1.running_mean.clone()
    remove_gates(network)
    assert torch.equal(network.bn1.running_mean, moved)
    assert not torch.equal(moved, example(Chain)[0].bn1.running_mean)


def test_a_cumulative_average_works_as_in_plain_batch_norm() -> None:
    plain = randomised(Chain()).train()
    plain.bn1.momentum = None
    gated = copy.deepcopy(plain)
    insert_gates(gated, [example(Chain)[1].groups["conv1"]], torch.sigmoid, 0.0)
    for seed in range(3):
        plain(images(seed=seed))
        gated(images(seed=seed))
    assert torch.equal(gated.bn1.running_var, plain.bn1.running_var)


def test_without_running_statistics_those_of_the_batch_are_used() -> None:
    plain = Chain().double().eval()
    plain.bn1 = nn.BatchNorm2d(6, track_running_stats=False).double().eval()
    gated = copy.deepcopy(plain)
    insert_gates(gated, [example(Chain)[1].groups["conv1"]], torch.ones_like, 0.0)
    assert torch.equal(gated(images()), plain(images()))


def test_the_batch_norms_of_a_group_share_one_gate() -> None:
    network = copy.deepcopy(example(Residual)[0])
    name = "stream:stem"
    values = insert_gates(network, [example(Residual)[1].groups[name]], torch.sigmoid, 0.5)
    assert network.stem_bn.gate_values[0] is network.bn2.gate_values[0] is values[name]
    assert values[name].tolist() == [0.5] * 8
    assert sum(parameter is values[name] for parameter in network.parameters()) == 1
    assert values[name].dtype == torch.float64


def test_the_function_is_asked_anew_in_every_pass() -> None:
    network, state = copy.deepcopy(example(Chain)[0]), {"delta": 1.0}
    insert_gates(network, [example(Chain)[1].groups["conv1"]], lambda v: torch.sigmoid(state["delta"] * v), 0.3)
    with torch.no_grad():
        before = network(images())
        state["delta"] = 100.0
        assert not torch.allclose(network(images()), before)


def test_weights_that_are_frozen_get_no_gradient() -> None:
    network, values = gated_chain()
    for parameter in network.parameters():
        parameter.requires_grad_(any(parameter is value for value in values.values()))
    network(images()).sum().backward()
    assert all(value.grad is not None for value in values.values())
    assert network.conv2.weight.grad is None


def test_a_layer_that_a_gate_cannot_be_folded_into_is_refused_and_nothing_is_changed() -> None:
    class Own(nn.Conv2d):
        pass

    network = copy.deepcopy(example(Chain)[0])
    network.conv3.__class__ = Own
    groups = example(Chain)[1].groups
    with pytest.raises(UserError, match=r"layer 'conv3' \(Own\) has nothing that a gate could be folded into"):
        insert_gates(network, [groups["conv1"], groups["conv3"]], torch.sigmoid, 0.0)
    assert type(network.bn1) is nn.BatchNorm2d


def test_a_second_gate_is_refused() -> None:
    network, _ = gated_chain()
    with pytest.raises(UserError, match="'bn1' carries a gate already"):
        insert_gates(network, [example(Chain)[1].groups["conv1"]], torch.sigmoid, 0.0)


def test_a_batch_norm_without_weights_is_refused() -> None:
    network = Chain()
    network.bn1 = nn.BatchNorm2d(6, affine=False)
    with pytest.raises(UserError, match="'bn1' has no weight and bias"):
        insert_gates(network, [example(Chain)[1].groups["conv1"]], torch.sigmoid, 0.0)


def test_one_gate_for_a_whole_group_multiplies_all_its_channels() -> None:
    network, single = copy.deepcopy(example(Chain)[0]), copy.deepcopy(example(Chain)[0])
    groups = [example(Chain)[1].groups[name] for name in ("conv2", "linear1")]
    values = insert_gates(network, groups, torch.sigmoid, 0.3)
    whole = insert_gates(single, groups, torch.sigmoid, 0.3, whole=True)
    assert {name: tuple(value.shape) for name, value in whole.items()} == {"conv2": (1,), "linear1": (1,)}
    one, other = network(images()), single(images())
    assert torch.equal(one, other)
    one.sum().backward()
    other.sum().backward()
    for name, value in values.items():
        assert value.grad is not None
        assert whole[name].grad is not None
        assert torch.allclose(whole[name].grad, value.grad.sum().reshape(1), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("kind", [each for each in NETWORKS if each is not OptionA and each is not Mixed])
def test_folded_gates_leave_a_plain_network_that_computes_the_same(kind: type[nn.Module]) -> None:
    plain, graph = example(kind)
    network = copy.deepcopy(plain)
    values = insert_gates(network, list(graph.groups.values()), torch.sigmoid, 0.0)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for scalars in values.values():
            scalars.copy_(torch.randn(scalars.shape, generator=generator))
        expected = network(images())
        lost = fold_gates(network, torch.sigmoid)
        remove_gates(network)
        assert lost == 0
        assert torch.allclose(network(images()), expected, rtol=0, atol=1e-10)
        assert not torch.allclose(expected, plain(images()))


def test_gates_that_multiply_a_shortcut_without_weights_stay_out_of_all_their_layers() -> None:
    plain, graph = example(OptionA)
    streams = {stream.group for stream in graph.streams.values() if stream.shortcuts}
    assert streams
    network = copy.deepcopy(plain)
    insert_gates(network, list(graph.groups.values()), lambda scalars: scalars, 0.5)
    assert fold_gates(network, lambda scalars: scalars) == len(streams)
    remove_gates(network)
    alone = copy.deepcopy(plain)
    insert_gates(alone, [group for group in graph.groups.values() if group.name not in streams], lambda v: v, 0.5)
    with torch.no_grad():
        assert torch.allclose(network(images()), alone(images()), rtol=0, atol=1e-10)
