"""FPGM: distances between the filters of a layer."""

from __future__ import annotations

import copy

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from methods.fpgm import distances
from tests.methods.scoring import scored, small

seeds = st.integers(0, 2**31 - 1)


@settings(max_examples=30)
@given(seed=seeds, count=st.integers(1, 40), length=st.integers(1, 12))
def test_each_filter_has_the_sum_of_its_distances_to_the_others(seed: int, count: int, length: int) -> None:
    filters = torch.randn(count, length, generator=torch.Generator().manual_seed(seed))
    expected = [sum(float((one - other).double().norm()) for other in filters) for one in filters]
    torch.testing.assert_close(distances(filters), torch.tensor(expected, dtype=torch.float64), rtol=1e-5, atol=1e-5)


@settings(max_examples=30)
@given(seed=seeds, shift=st.floats(-10, 10))
def test_a_shift_of_all_filters_changes_nothing(seed: int, shift: float) -> None:
    filters = torch.randn(6, 9, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    torch.testing.assert_close(distances(filters + shift), distances(filters))


def test_equal_filters_are_at_no_distance_even_if_they_are_many() -> None:
    assert float(distances(torch.full((100, 7), 0.1)).max()) < 1e-5


def test_the_filter_in_the_middle_goes_first_not_the_smallest() -> None:
    filters = torch.tensor([[0.0, 0.0], [5.0, 5.0], [5.0, 6.0], [6.0, 5.0], [9.0, 9.0]])
    assert int(distances(filters).argmin()) == 1


def test_layers_that_write_one_channel_count_together() -> None:
    original, graph = small("Residual")
    stream = scored("fpgm", original, graph)["stream:stem"]
    stem, conv2 = (original.get_parameter(f"{layer}.weight").flatten(1) for layer in ("stem", "conv2"))
    torch.testing.assert_close(stream, (distances(stem) + distances(conv2)).detach())


def test_a_bias_does_not_count() -> None:
    original, graph = small("Chain")
    network = copy.deepcopy(original)
    network.get_parameter("conv1.bias").data.add_(torch.arange(6))
    assert torch.equal(scored("fpgm", network, graph)["conv1"], scored("fpgm", original, graph)["conv1"])
