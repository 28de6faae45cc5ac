"""NISP: importance of final responses, and its way back through the network."""

from __future__ import annotations

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr
from torch import Tensor, nn

from harness.channels.graph import ChannelGraph
from methods.nisp import infinite_selection, propagated
from tests.channels.networks import NETWORKS, example
from tests.methods.scoring import scored, small

seeds = st.integers(0, 2**31 - 1)


def noise(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def back(network: nn.Module, graph: ChannelGraph, final: Tensor, *, scaled: bool = False) -> dict[str, Tensor]:
    return propagated(network, graph, list(graph.groups.values()), final, scaled=scaled)


def kernels(network: nn.Module, layer: str) -> Tensor:
    """|weight| of a layer, summed over each kernel."""
    weight = network.get_parameter(f"{layer}.weight").detach().abs()
    return weight.flatten(2).sum(dim=2) if weight.dim() > 2 else weight


class Chain(nn.Module):
    """Three layers that all read single pixels, as convolutions or as linear layers."""

    def __init__(self, convolutions: bool) -> None:
        super().__init__()
        self.convolutions = convolutions
        self.one: nn.Module = nn.Conv2d(4, 6, 1) if convolutions else nn.Linear(4, 6)
        self.two: nn.Module = nn.Conv2d(6, 5, 1) if convolutions else nn.Linear(6, 5)
        self.linear = nn.Linear(5, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.two(self.one(x if self.convolutions else x.flatten(1)).relu()).relu()
        return self.linear(x.flatten(1))


def test_importance_goes_back_as_the_product_of_absolute_weights_and_a_1_x_1_convolution_is_a_linear_layer() -> None:
    torch.manual_seed(0)
    linear, convolution = Chain(convolutions=False).double(), Chain(convolutions=True).double()
    for layer in ("one", "two"):
        weight = linear.get_parameter(f"{layer}.weight")
        convolution.get_parameter(f"{layer}.weight").data = weight.data[:, :, None, None]
    final = noise(1, 5).abs()
    for network in (linear, convolution):
        graph = ChannelGraph.trace(network, torch.zeros(1, 4, 1, 1))
        found = back(network, graph, final)
        torch.testing.assert_close(found["two"], final)
        torch.testing.assert_close(found["one"], linear.get_parameter("two.weight").detach().abs().T @ final)


def test_kernels_are_summed_and_flattened_pixels_and_pooling_change_nothing_else() -> None:
    network, graph = small("Chain")
    final = noise(0, 7).abs()
    found = back(network, graph, final)
    hidden = kernels(network, "linear1").view(7, 5, 16).sum(dim=2).T @ final
    second = kernels(network, "conv3").T @ hidden
    torch.testing.assert_close(found["conv3"], hidden)
    torch.testing.assert_close(found["conv2"], second)
    torch.testing.assert_close(found["conv1"], kernels(network, "conv2").T @ second)


def test_a_sum_hands_its_importance_to_all_that_is_added_and_several_readers_count_together() -> None:
    network, graph = small("Residual")
    final = noise(0, 12).abs()
    found = back(network, graph, final)
    inside = kernels(network, "conv4").T @ final
    stream = kernels(network, "conv3").T @ inside + kernels(network, "projection").T @ final
    inner = kernels(network, "conv2").T @ stream
    stem = stream + kernels(network, "conv1").T @ inner
    expected = {"conv4": final, "conv3": inside, "conv2": stream, "conv1": inner, "stem": stem}
    for name, values in expected.items():
        torch.testing.assert_close(found[name], values)
    torch.testing.assert_close(found["stream:stem"], stem + stream)


def test_a_depthwise_filter_multiplies_by_its_own_weights_and_a_factor_counts_as_what_it_multiplies() -> None:
    network, graph = small("Depthwise")
    final = noise(0, 6).abs()
    found = back(network, graph, final)
    product = kernels(network, "project").T @ final
    squeezed = kernels(network, "excite").T @ product
    torch.testing.assert_close(found["squeeze"], squeezed)
    torch.testing.assert_close(found["expand"], product + kernels(network, "squeeze").T @ squeezed)
    torch.testing.assert_close(
        found["stem"],
        final + kernels(network, "expand").T @ (kernels(network, "filter").flatten() * found["expand"]),
    )


def test_a_concatenation_is_taken_apart() -> None:
    network, graph = small("Concatenated")
    final = noise(0, 15).abs()
    found = back(network, graph, final)
    both = final[5:] + kernels(network, "one").T @ final[:5]
    torch.testing.assert_close(found["left"], both[:4])
    torch.testing.assert_close(found["right"], both[4:])


def test_a_shortcut_without_weights_hands_on_the_channels_that_it_writes() -> None:
    network, graph = small("OptionA")
    final = noise(0, 8).abs()
    found = back(network, graph, final)
    third = kernels(network, "block3.conv2").T @ final
    second = final + kernels(network, "block3.conv1").T @ third
    inner = kernels(network, "block2.conv2").T @ second
    torch.testing.assert_close(found["block2.conv2"], second)
    torch.testing.assert_close(found["block1.conv2"], second[2:6] + kernels(network, "block2.conv1").T @ inner)


def test_batch_norm_counts_with_its_factor_if_asked_for() -> None:
    network, graph = small("Residual")
    final = noise(0, 12).abs()
    plain, scaled = back(network, graph, final), back(network, graph, final, scaled=True)
    norm = network.get_submodule("bn4")
    assert isinstance(norm, nn.BatchNorm2d)
    assert norm.running_var is not None
    factor = norm.weight.detach().abs() / (norm.running_var + norm.eps).sqrt()
    torch.testing.assert_close(plain["conv3"], kernels(network, "conv4").T @ final)
    torch.testing.assert_close(scaled["conv3"], kernels(network, "conv4").T @ (factor * final))


@pytest.mark.parametrize("kind", [kind.__name__ for kind in NETWORKS])
@settings(max_examples=5)
@given(seed=seeds, factor=st.floats(1e-3, 1e3))
def test_importance_is_linear_in_that_of_the_final_responses(kind: str, seed: int, factor: float) -> None:
    network, graph = small(kind)
    units = graph.layers[-1].in_channels
    one, other = noise(seed, units).abs(), noise(seed + 1, units).abs()
    first, second, both = (back(network, graph, final) for final in (one, other, factor * one + other))
    for name in graph.groups:
        assert float(first[name].min()) >= 0
        torch.testing.assert_close(both[name], factor * first[name] + second[name])


def test_a_channel_that_nobody_reads_scores_0() -> None:
    original, graph = small("Chain")
    network = copy.deepcopy(original)
    network.get_parameter("conv2.weight").data[:, 4] = 0.0
    found = scored("nisp", network, graph)["conv1"]
    assert float(found[4]) == 0
    assert int((found == 0).sum()) == 1


def test_the_mean_of_a_group_is_1() -> None:
    network, graph = example(NETWORKS[1])
    for values in scored("nisp", network, graph).values():
        assert float(values.mean()) == pytest.approx(1)


@settings(max_examples=25)
@given(seed=seeds, units=st.integers(3, 8), alpha=st.floats(0, 1))
def test_infinite_selection_is_the_sum_over_paths_of_every_length(seed: int, units: int, alpha: float) -> None:
    responses = noise(seed, 20, units) * noise(seed + 1, units).exp()
    spread = responses.std(dim=0)
    spread = (spread - spread.min()) / (spread.max() - spread.min())
    correlation = torch.from_numpy(spearmanr(responses.numpy()).statistic)
    edges = alpha * torch.maximum(spread[:, None], spread[None, :]) + (1 - alpha) * (1 - correlation.abs())
    paths = edges * 0.9 / torch.linalg.eigvalsh(edges).abs().max()
    total, longer = torch.zeros_like(paths), paths
    for _ in range(400):
        total, longer = total + longer, longer @ paths
    torch.testing.assert_close(infinite_selection(responses, alpha), total.sum(dim=1), rtol=1e-6, atol=1e-9)


def test_a_unit_that_repeats_another_matters_less_than_one_of_its_own() -> None:
    responses = noise(0, 50, 4)
    responses[:, 1] = responses[:, 0]
    found = infinite_selection(responses / responses.std(dim=0), alpha=0.0)
    assert float(found[:2].max()) < float(found[2:].min())


def test_units_that_never_change_are_finite_and_matter_least() -> None:
    responses = noise(0, 50, 4)
    responses[:, 2] = 0.0
    found = infinite_selection(responses, alpha=0.5)
    assert bool(found.isfinite().all())
    assert int(found.argmin()) == 2
    assert infinite_selection(torch.zeros(9, 3, dtype=torch.float64), alpha=0.5).tolist() == [1, 1, 1]
    assert infinite_selection(noise(0, 9, 1), alpha=0.5).shape == (1,)
