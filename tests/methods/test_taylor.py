"""Taylor-FO: the first-order change of the loss without a channel."""

from __future__ import annotations

import copy
from typing import cast

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from harness.channels.graph import ChannelGraph
from harness.method import Task
from methods.taylor import Taylor
from tests.channels.networks import images
from tests.methods.scoring import scored, scoring, small

PICTURES, LABELS = images(8), torch.arange(8) % 3


def loss_slope(network: nn.Module, layer: str, tensors: tuple[str, ...], row: int, part: slice) -> float:
    """The slope of the loss in a factor on one row of a layer's tensors, by central differences."""
    sides = []
    for factor in (1 + 1e-6, 1 - 1e-6):
        scaled = copy.deepcopy(network).eval()
        for tensor in tensors:
            parameter = getattr(scaled.get_submodule(layer), tensor, None)
            if parameter is not None:
                parameter.data[row] *= factor
        sides.append(functional.cross_entropy(scaled(PICTURES[part]), LABELS[part]))
    return float((sides[0] - sides[1]).detach() / 2e-6)


def batches(of: str, values: list[float]) -> float:
    return sum(abs(value) if of == "filter" else value**2 for value in values) / len(values)


@pytest.mark.parametrize(("group", "layer"), [("conv1", "conv1"), ("conv3", "conv3"), ("linear1", "linear1")])
def test_a_filters_saliency_is_the_slope_in_its_scale_bias_included_averaged_in_absolute_value_over_batches(
    group: str, layer: str
) -> None:
    network, graph = small("Chain")
    found = scored("taylor", network, graph)[group]
    for row in range(graph.groups[group].size):
        slopes = [loss_slope(network, layer, ("weight", "bias"), row, part) for part in (slice(4), slice(4, 8))]
        assert float(found[row]) == pytest.approx(batches("filter", slopes), rel=1e-4, abs=1e-8)


@pytest.mark.parametrize(("group", "layer"), [("conv1", "bn1"), ("conv3", "conv3"), ("linear1", "bn")])
def test_a_gates_saliency_is_the_squared_slope_in_a_factor_behind_the_batch_norm(group: str, layer: str) -> None:
    network, graph = small("Chain")
    found = scored("taylor", network, graph, of="gate")[group]
    for row in range(graph.groups[group].size):
        slopes = [loss_slope(network, layer, ("weight", "bias"), row, part) for part in (slice(4), slice(4, 8))]
        assert float(found[row]) == pytest.approx(batches("gate", slopes), rel=1e-4, abs=1e-8)


def test_products_of_a_filter_that_cancel_out_count_nothing() -> None:
    """The absolute value is that of the sum: with the sum of absolute values, this filter would be the best."""

    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(2, 2, 1, bias=False)
            self.linear = nn.Linear(2, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.linear(self.conv(x).mean((2, 3)))

    torch.manual_seed(0)
    network = Two().double()
    network.conv.weight.data = torch.tensor([[1.0, -1.0], [0.1, 0.1]], dtype=torch.float64).view(2, 2, 1, 1)
    graph = ChannelGraph.trace(network, torch.zeros(1, 2, 8, 8))
    task = scoring("taylor", network, graph)
    task.pictures = task.pictures[:, :1].repeat(1, 2, 1, 1)  # both inputs see the same
    found = Taylor().score(cast("Task", task))["conv"]
    assert float(found[0]) == pytest.approx(0, abs=1e-12)
    assert float(found[1]) > 1e-6


@pytest.mark.parametrize("of", ["filter", "gate"])
def test_a_filter_multiplied_by_zero_has_saliency_zero(of: str) -> None:
    original, graph = small("Residual")
    network = copy.deepcopy(original)
    for name in ("conv1.weight", "bn1.weight", "bn1.bias"):
        network.get_parameter(name).data[3] = 0.0
    found = scored("taylor", network, graph, of=of)["conv1"]
    assert float(found[3]) == 0
    assert int((found == 0).sum()) == 1


@pytest.mark.parametrize("of", ["filter", "gate"])
def test_layers_that_write_one_stream_count_with_their_mean(of: str) -> None:
    network, graph = small("Residual")
    found = scored("taylor", network, graph, of=of)
    torch.testing.assert_close(found["stream:stem"], (found["stem"] + found["conv2"]) / 2)


def test_all_layers_that_write_a_channel_of_a_plain_group_count_together() -> None:
    network, graph = small("Depthwise")
    found = scored("taylor", network, graph)["expand"]
    slopes = [
        [
            [loss_slope(network, layer, ("weight", "bias"), row, part) for part in (slice(4), slice(4, 8))]
            for row in (0, 5)
        ]
        for layer in ("expand", "filter", "excite")
    ]
    for place, row in enumerate((0, 5)):
        total = sum(batches("filter", layer[place]) for layer in slopes)
        assert float(found[row]) == pytest.approx(total, rel=1e-4, abs=1e-8)


def test_batches_beyond_a_pass_come_from_the_next_one() -> None:
    network, graph = small("Residual")
    task = scoring("taylor", network, graph, batches=5)
    Taylor().score(cast("Task", task))
    assert task.epochs == [0, 1, 2]
