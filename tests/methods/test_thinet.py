"""ThiNet's least squares against plain linear algebra on the samples themselves, and its rounds on real cells."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from harness.errors import StageFailure
from methods._contributions import contributions, grams
from methods.thinet import (
    Thinet,
    ThinetParams,
    forward_order,
    refit,
    removal_order,
    residuals,
    scale_columns,
    shares_of,
)
from tests.channels.networks import Chain, Concatenated, example, images
from tests.channels.residual_networks import Depthwise, OptionA, Residual

seeds = st.integers(0, 10_000)


def samples(seed: int, count: int = 60, channels: int = 7) -> Tensor:
    """X [count, channels], correlated as maps are, of columns that are safely independent."""
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.eye(channels, dtype=torch.float64)
    mixing += 0.2 * torch.randn(channels, channels, dtype=torch.float64, generator=generator)
    return torch.randn(count, channels, dtype=torch.float64, generator=generator) @ mixing


def rest(x: Tensor, kept: Sequence[int]) -> Tensor:
    """y less its best fit by the kept columns, found from the samples by torch's own least squares."""
    y = x.sum(dim=1)
    if not kept:
        return y
    chosen = x[:, list(kept)]
    return y - chosen @ torch.linalg.lstsq(chosen, y).solution


def forward_by_hand(x: Tensor) -> list[int]:
    """The paper's selection, each step from scratch."""
    order: list[int] = []
    for _ in range(x.shape[1]):
        r = rest(x, order)
        errors = {
            c: float((r - x[:, c] * (x[:, c] @ r) / (x[:, c] @ x[:, c])).norm())
            for c in range(x.shape[1])
            if c not in order
        }
        order.append(min(errors, key=lambda c: errors[c]))
    return order


@given(seed=seeds)
@settings(max_examples=30, deadline=None)
def test_forward_selection_picks_what_refitting_from_scratch_picks(seed: int) -> None:
    x = samples(seed)
    # The last pick has no alternative, the one before none that changes a residual of zero.
    assert forward_order(x.T @ x)[:-1] == forward_by_hand(x)[:-1]


@given(seed=seeds)
@settings(max_examples=30, deadline=None)
def test_removal_drops_what_adding_up_the_removed_drops(seed: int) -> None:
    x = samples(seed)
    removed: list[int] = []
    for _ in range(x.shape[1]):
        sums = {c: float(x[:, [*removed, c]].sum(dim=1).norm()) for c in range(x.shape[1]) if c not in removed}
        removed.append(min(sums, key=lambda c: sums[c]))
    assert removal_order(x.T @ x) == removed[::-1]


@given(seed=seeds, kept=st.sets(st.integers(0, 6), min_size=1))
@settings(max_examples=30, deadline=None)
def test_the_repair_is_the_least_squares_of_the_samples(seed: int, kept: set[int]) -> None:
    x = samples(seed)
    chosen = sorted(kept)
    expected = torch.linalg.lstsq(x[:, chosen], x.sum(dim=1)).solution
    assert torch.allclose(refit(x.T @ x, chosen), expected, rtol=1e-5, atol=1e-6)


@given(seed=seeds, kept=st.sets(st.integers(0, 6), min_size=1))
@settings(max_examples=30, deadline=None)
def test_the_repaired_residual_is_never_above_that_of_plain_removal(seed: int, kept: set[int]) -> None:
    x = samples(seed)
    chosen = sorted(kept)
    y = x.sum(dim=1)
    repaired = (y - x[:, chosen] @ refit(x.T @ x, chosen)).norm()
    assert repaired <= (y - x[:, chosen].sum(dim=1)).norm() + 1e-9 * y.norm()


@given(seed=seeds)
@settings(max_examples=30, deadline=None)
def test_residuals_fall_with_every_channel_and_are_those_of_the_samples(seed: int) -> None:
    x = samples(seed)
    order = forward_order(x.T @ x)
    found = residuals(x.T @ x, order)
    assert all(before >= after - 1e-9 for before, after in itertools.pairwise(found))
    y = x.sum(dim=1)
    for count in range(1, len(order)):
        expected = float(rest(x, order[:count]).square().sum() / y.square().sum())
        assert found[count - 1] == pytest.approx(expected, abs=1e-5)


def test_all_channels_keep_their_columns_even_where_samples_are_fewer_than_channels() -> None:
    for count in (60, 3):
        x = samples(0, count)
        assert torch.allclose(refit(x.T @ x, range(7)), torch.ones(7, dtype=torch.float64), rtol=0, atol=1e-12)


def test_with_fewer_samples_than_channels_every_pick_still_counts_and_the_fit_is_exact() -> None:
    x = samples(1, count=3)
    gram = x.T @ x
    order = forward_order(gram)
    assert sorted(order) == list(range(7))
    assert residuals(gram, order)[2] == pytest.approx(0, abs=1e-8)
    kept = sorted(order[:5])
    factors = refit(gram, kept)
    assert torch.isfinite(factors).all()
    assert torch.allclose(x[:, kept] @ factors, x.sum(dim=1), atol=1e-6)


def test_a_copy_of_a_channel_and_a_dead_one_come_last_and_the_copys_share_goes_to_the_other() -> None:
    x = samples(2, channels=4)
    x = torch.cat([x, x[:, :1], torch.zeros(len(x), 1, dtype=torch.float64)], dim=1)
    order = forward_order(x.T @ x)
    assert {0, 4} & set(order[-2:])
    assert order[-1] == 5
    assert refit(x.T @ x, [0, 1, 2, 3]).tolist() == pytest.approx([2.0, 1.0, 1.0, 1.0])


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(5, 4, 3, padding=1),
        nn.Conv2d(5, 4, (1, 3), stride=2, padding=(0, 2), dilation=(1, 2)),
        nn.Conv2d(5, 4, 3, padding="same", padding_mode="reflect"),
        nn.Conv2d(5, 4, 1, bias=False),
    ],
)
def test_contributions_of_all_channels_sum_to_the_output_without_its_bias(layer: nn.Conv2d) -> None:
    layer = layer.double()
    inputs = torch.randn(3, 5, 8, 6, dtype=torch.float64)
    every, where = contributions(layer, inputs, 40, torch.Generator().manual_seed(0))
    outputs = layer(inputs)[where]
    bias = 0 if layer.bias is None else layer.bias[where[1]]
    assert every.shape == (120, 5)
    assert torch.allclose(every.sum(dim=1), outputs - bias, atol=1e-12)


def test_contributions_to_a_linear_layer_sum_to_its_output_without_its_bias() -> None:
    layer = nn.Linear(6, 4).double()
    inputs = torch.randn(5, 6, dtype=torch.float64)
    every, (row, feature) = contributions(layer, inputs, 20, torch.Generator().manual_seed(0))
    assert torch.allclose(every.sum(dim=1), layer(inputs)[row, feature] - layer.bias[feature], atol=1e-12)


def test_samples_at_the_border_see_the_padding() -> None:
    layer = nn.Conv2d(2, 3, 3, padding=1).double()
    _, (_, _, row, column) = contributions(
        layer, torch.ones(8, 2, 4, 4, dtype=torch.float64), 50, torch.Generator().manual_seed(0)
    )
    assert (set(row.tolist()), set(column.tolist())) == ({0, 1, 2, 3}, {0, 1, 2, 3})


def test_a_layer_that_is_no_sum_over_channels_is_refused() -> None:
    with pytest.raises(StageFailure, match="no plain sum over channels"):
        contributions(nn.Conv2d(4, 4, 3, groups=2), torch.ones(1, 4, 8, 8), 1, torch.Generator())


def gram_of(kind: type[nn.Module], name: str, seed: int = 0) -> Tensor:
    network, graph = example(kind)
    found = grams(network, graph, [graph.groups[name]], [images()], 30, torch.Generator().manual_seed(seed))
    return found[name]


def by_hand(kind: type[nn.Module], name: str, seed: int = 0) -> tuple[Tensor, dict[str, Tensor]]:
    """The same from what each reader is seen to read, and that, in the order in which they read."""
    network, graph = example(kind)
    group = graph.groups[name]
    seen: dict[str, Tensor] = {}
    handles = [
        network.get_submodule(part.layer).register_forward_pre_hook(
            lambda _, inputs, layer=part.layer: seen.update({layer: inputs[0]})
        )
        for part in group.consumers
    ]
    network(images())
    for handle in handles:
        handle.remove()
    parts = {part.layer: part for part in group.consumers}
    generator = torch.Generator().manual_seed(seed)
    total = torch.zeros(group.size, group.size, dtype=torch.float64)
    for layer, inputs in seen.items():
        part = parts[layer]
        every, _ = contributions(network.get_submodule(layer), inputs, 30, generator)
        own = [
            every[:, part.start + c * part.repeat : part.start + (c + 1) * part.repeat].sum(1)
            for c in range(group.size)
        ]
        total += torch.stack(own) @ torch.stack(own).T
    return total, seen


def test_what_is_sampled_is_read_behind_the_nonlinearity() -> None:
    expected, seen = by_hand(Chain, "conv1")
    assert bool((seen["conv2"] >= 0).all())
    assert torch.allclose(gram_of(Chain, "conv1"), expected)


def test_the_places_of_a_flattened_channel_are_one_contribution() -> None:
    assert example(Chain)[1].groups["conv3"].consumers[0].repeat == 16
    assert torch.allclose(gram_of(Chain, "conv3"), by_hand(Chain, "conv3")[0])


def test_a_group_that_several_layers_read_has_the_samples_of_all() -> None:
    expected, seen = by_hand(Concatenated, "left", seed=3)
    assert seen.keys() == {"one", "linear"}
    assert torch.allclose(gram_of(Concatenated, "left", seed=3), expected)


def test_filtered_channels_are_read_behind_their_depthwise_layer() -> None:
    expected, seen = by_hand(Depthwise, "expand")
    assert "filter" in example(Depthwise)[1].groups["expand"].producers
    assert "filter" not in seen
    assert torch.allclose(gram_of(Depthwise, "expand"), expected)


def test_a_branch_is_read_by_an_addition_so_that_its_channels_count_by_their_energy() -> None:
    network, graph = example(Residual)
    name = next(iter(graph.branches))
    outputs: list[Tensor] = []
    end = network.get_submodule(graph.branches[name].end)
    handle = end.register_forward_hook(lambda _, __, output: outputs.append(output))
    found = gram_of(Residual, name)
    handle.remove()
    energy = outputs[0].square().sum(dim=(0, 2, 3))
    assert torch.allclose(found, torch.diag(energy))
    assert forward_order(found) == torch.sort(energy, descending=True).indices.tolist()
    assert refit(found, [0, 2]).tolist() == [1.0, 1.0]


def test_a_stream_is_read_by_all_layers_behind_it() -> None:
    _, graph = example(OptionA)
    for name in graph.streams:
        found = gram_of(OptionA, name)
        assert torch.linalg.eigvalsh(found).min() > -1e-8
        assert len(graph.groups[name].consumers) >= 1


def test_a_group_that_nobody_reads_is_refused() -> None:
    network, graph = example(Chain)
    unread = replace(graph.groups["conv1"], consumers=())
    with pytest.raises(StageFailure, match="nothing reads group 'conv1'"):
        grams(network, graph, [unread], [images()], 1, torch.Generator())


def test_sampling_leaves_the_networks_mode_and_statistics_alone() -> None:
    network = Chain().train()
    graph = example(Chain)[1]
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    grams(network, graph, [graph.groups["conv1"]], [images().float()], 5, torch.Generator())
    assert network.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


def test_every_reader_of_a_repaired_channel_is_scaled() -> None:
    network = Concatenated().double()
    group = example(Concatenated)[1].groups["left"]
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    scale_columns(network, group, (1, 3), torch.tensor([2.0, -0.5], dtype=torch.float64))
    expected = torch.tensor([1.0, 2.0, 1.0, -0.5], dtype=torch.float64)
    for part in group.consumers:
        now, then = network.get_submodule(part.layer).weight, before[f"{part.layer}.weight"]
        own = slice(part.start, part.start + 4)
        assert torch.equal(now[:, own], then[:, own] * expected.view(1, -1, *[1] * (now.dim() - 2)))
        now = now.detach().clone()
        now[:, own] = then[:, own]
        assert torch.equal(now, then)


def test_the_repair_brings_the_next_layers_output_nearer_to_what_it_was() -> None:
    network, graph = example(Chain)
    group = graph.groups["conv1"]
    kept = sorted(forward_order(gram_of(Chain, "conv1"))[:3])
    conv = network.get_submodule("conv2")
    seen: list[Tensor] = []
    handle = conv.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    network(images())
    handle.remove()
    whole = conv(seen[0])
    masked = torch.zeros_like(seen[0])
    masked[:, kept] = seen[0][:, kept]
    plain = (conv(masked) - whole).norm()
    repaired = Chain().double()
    repaired.load_state_dict(network.state_dict())
    scale_columns(repaired, group, kept, refit(gram_of(Chain, "conv1"), kept))
    assert (repaired.get_submodule("conv2")(masked) - whole).norm() < plain


@pytest.mark.parametrize(("epochs", "layers", "shares"), [(6, 3, [2, 2, 2]), (2, 4, [0, 1, 0, 1]), (5, 3, [1, 2, 2])])
def test_epochs_are_spread_over_the_layers(epochs: int, layers: int, shares: list[int]) -> None:
    assert shares_of(epochs, layers) == shares
    assert Thinet.search_epochs(ThinetParams(), epochs) == epochs
    assert Thinet.search_epochs(SimpleNamespace(epochs=3), epochs) == 3
