"""Masks whose gradients go past them, against the same formulas written out for autograd."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.functional import cross_entropy

from harness.channels.gates import insert_gates
from harness.channels.straight_through import TRACE, insert_masks, remove_masks
from harness.channels.surgery import mask
from tests.channels.networks import NETWORKS, Chain, drawn, example, images, same

KINDS = ("inner", "branch", "stream", "fc")
LABELS = torch.arange(4) % 3


def masked(
    kind: type[nn.Module], *, straight_through: bool = True, share: float = 0.5, seed: int = 0
) -> tuple[nn.Module, dict[str, nn.Parameter]]:
    """A copy with about that share of every group's channels left."""
    network, graph = example(kind)
    network = copy.deepcopy(network)
    masks = insert_masks(network, graph.cuttable(KINDS), straight_through=straight_through)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for values in masks.values():
            values.copy_(torch.rand(len(values), generator=generator) < share)
            values[0] = 1.0
    return network, masks


def gradients(network: nn.Module) -> dict[str, Tensor]:
    """Of the network's own parameters on four images."""
    network.zero_grad()
    cross_entropy(network(images()), LABELS).backward()
    found = {name: parameter.grad for name, parameter in network.named_parameters() if "gate_values" not in name}
    return {name: gradient.clone() for name, gradient in found.items() if gradient is not None}


def past(values: Tensor, factor: Tensor) -> Tensor:
    """factor · values (but for a trace) going forward, values going backward."""
    shaped = (factor + (1 - factor) * TRACE).view(1, -1, *[1] * (values.dim() - 2))
    return (shaped * values).detach() + (values - values.detach())


def reading(
    layer: Callable[[Tensor, Tensor, Tensor | None], Tensor], module: nn.Module, x: Tensor, m: Tensor
) -> Tensor:
    """The layer's output; its weights get the whole gradient, its input what comes through unmasked filters."""
    weight, bias = module.weight, module.bias
    through = (weight * m.view(-1, *[1] * (weight.dim() - 1))).detach()
    return layer(x.detach(), weight, bias) + layer(x, through, None) - layer(x.detach(), through, None)


def written_out(network: nn.Module, m: dict[str, Tensor]) -> Tensor:
    """The logits of `Chain` with such masks, three convolutions computed for each."""

    def conv(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return functional.conv2d(x, weight, bias, padding=1)

    def flat(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return functional.conv2d(x, weight, bias, padding=(0, 1))

    x = past(network.bn1(reading(conv, network.conv1, images(), m["conv1"])), m["conv1"]).relu()
    x = functional.max_pool2d(x, 2)
    x = past(network.bn2(reading(conv, network.conv2, x, m["conv2"])), m["conv2"]).relu()
    x = past(reading(flat, network.conv3, x, m["conv3"]), m["conv3"]).relu()
    x = past(network.bn(reading(functional.linear, network.linear1, x.flatten(1), m["linear1"])), m["linear1"]).relu()
    return network.linear2(x)


@pytest.mark.parametrize("training", [True, False])
def test_gradients_are_those_of_the_formulas_written_out(training: bool) -> None:
    network, masks = masked(Chain)
    assert masks.keys() == {"conv1", "conv2", "conv3", "linear1"}
    assert all(0 < values.sum() < len(values) for values in masks.values())
    explicit = copy.deepcopy(example(Chain)[0]).train(training)
    cross_entropy(written_out(explicit, {name: values.detach() for name, values in masks.items()}), LABELS).backward()
    found = gradients(network.train(training))
    expected = {name: parameter.grad for name, parameter in explicit.named_parameters()}
    assert found.keys() == expected.keys()
    for name, gradient in expected.items():
        assert gradient is not None
        assert torch.allclose(found[name], gradient, rtol=1e-9, atol=1e-12), name
    assert same(network.bn1.running_var, explicit.bn1.running_var)


@pytest.mark.parametrize("kind", NETWORKS)
@pytest.mark.parametrize("straight_through", [True, False])
def test_masks_of_one_change_no_bit_of_logits_or_gradients(kind: type[nn.Module], straight_through: bool) -> None:
    network, _ = masked(kind, straight_through=straight_through, share=2.0)
    plain = copy.deepcopy(example(kind)[0]).train()
    found, expected = gradients(network.train()), gradients(plain)
    assert torch.equal(network(images()), plain(images()))
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], gradient) for name, gradient in expected.items())
    assert all(torch.equal(network.state_dict()[name], value) for name, value in plain.state_dict().items())


@pytest.mark.parametrize("kind", NETWORKS)
def test_a_network_with_masks_computes_what_the_masked_one_computes(kind: type[nn.Module]) -> None:
    plain, graph = example(kind)
    network = copy.deepcopy(plain)
    kept = drawn(graph, KINDS, seed=1, removed=0.0)
    masks = insert_masks(network, list(graph.groups.values()))
    with torch.no_grad():
        for name, channels in graph.complete(kept).items():
            masks[name].fill_(0.0)
            masks[name][list(channels)] = 1.0
        assert same(network(images()), mask(plain, graph, kept)(images()))


def test_the_trace_of_a_masked_filter_is_lost_in_any_sum() -> None:
    for kind in (torch.float64, torch.float32, torch.bfloat16):
        assert torch.tensor(1.0, dtype=kind) + torch.tensor(TRACE, dtype=kind) == 1.0
        assert torch.tensor(TRACE, dtype=kind) > 0


def test_masked_filters_learn_on_behind_a_rectifier_or_do_not() -> None:
    learning, masks = masked(Chain)
    still, _ = masked(Chain, straight_through=False)
    gone = (masks["conv2"] == 0).nonzero().flatten()
    assert len(gone)
    for name in ("conv2.weight", "bn2.weight", "bn2.bias"):
        assert bool(gradients(learning.train())[name][gone].any()), name
        assert not bool(gradients(still.train())[name][gone].any()), name


@pytest.mark.parametrize("kind", NETWORKS)
def test_the_gradient_of_a_mask_of_one_is_that_of_a_gate(kind: type[nn.Module]) -> None:
    network, masks = masked(kind, share=2.0)
    gated = copy.deepcopy(example(kind)[0])
    gates = insert_gates(gated, example(kind)[1].cuttable(KINDS), lambda values: values, 1.0)
    for each in (network, gated):
        cross_entropy(each(images()), LABELS).backward()
    for name, values in gates.items():
        assert values.grad is not None
        assert masks[name].grad is not None
        assert torch.allclose(masks[name].grad, values.grad, rtol=1e-9, atol=1e-12), name


@pytest.mark.parametrize("kind", NETWORKS)
def test_removed_masks_leave_no_trace(kind: type[nn.Module]) -> None:
    network, _ = masked(kind)
    remove_masks(network)
    plain = example(kind)[0]
    assert [type(module) for module in network.modules()] == [type(module) for module in plain.modules()]
    assert network.state_dict().keys() == plain.state_dict().keys()
    assert not any(hasattr(module, "masks") for module in network.modules())
    assert torch.equal(network(images()), plain(images()))


def test_under_autocast_gradients_are_those_of_single_precision_but_for_rounding() -> None:
    network, _ = masked(Chain)
    network.float().eval()
    single = copy.deepcopy(network)
    pictures = images().float()
    with torch.autocast("cpu", torch.bfloat16):
        cross_entropy(network(pictures), LABELS).backward()
    cross_entropy(single(pictures), LABELS).backward()
    for name, parameter in single.named_parameters():
        if "gate_values" not in name:
            found = network.get_parameter(name).grad
            assert parameter.grad is not None
            assert found is not None
            assert (found - parameter.grad).norm() <= 0.05 * parameter.grad.norm(), name
