"""HRank: ranks of feature maps."""

from __future__ import annotations

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from methods.hrank import ranks_of
from tests.methods.scoring import scored, small

seeds = st.integers(0, 2**31 - 1)
sides = st.integers(1, 9)


def noise(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_zeros_have_rank_0_a_constant_1_and_the_identity_its_size() -> None:
    assert ranks_of(torch.stack([torch.zeros(5, 5), torch.full((5, 5), -2.0), torch.eye(5)])).tolist() == [0, 1, 5]
    assert int(ranks_of(torch.eye(4, 7))) == 4


@settings(max_examples=30)
@given(seed=seeds, height=sides, width=sides)
def test_an_outer_product_has_rank_1(seed: int, height: int, width: int) -> None:
    assert int(ranks_of(noise(seed, height, 1) @ noise(seed + 1, 1, width))) == 1


@settings(max_examples=30)
@given(seed=seeds, side=st.integers(2, 9), rank=st.integers(1, 9), factor=st.floats(1e-3, 1e3), sign=st.booleans())
def test_rank_is_that_of_the_factors_whatever_the_scale_and_the_order_of_rows_and_columns(
    seed: int, side: int, rank: int, factor: float, sign: bool
) -> None:
    rank = min(rank, side)
    generator = torch.Generator().manual_seed(seed)
    left = torch.linalg.qr(torch.randn(side, side, generator=generator))[0][:, :rank]
    right = torch.linalg.qr(torch.randn(side, side, generator=generator))[0][:rank]
    maps = left @ right
    turned = maps[torch.randperm(side, generator=generator)][:, torch.randperm(side, generator=generator)]
    assert int(ranks_of(maps)) == rank
    assert int(ranks_of(turned * (-factor if sign else factor))) == rank


def test_ranks_of_many_maps_at_once_are_those_of_each() -> None:
    maps = noise(0, 3, 4, 5, 5).relu()
    each = [[int(ranks_of(one)) for one in image] for image in maps]
    assert ranks_of(maps).tolist() == each


def test_a_channel_that_is_dead_behind_its_activation_scores_0_and_no_other_does() -> None:
    original, graph = small("Residual")
    network = copy.deepcopy(original)
    network.get_parameter("bn1.weight").data[2] = 0.0
    network.get_parameter("bn1.bias").data[2] = -1.0
    ranks = scored("hrank", network, graph)["conv1"]
    assert float(ranks[2]) == 0
    assert int((ranks == 0).sum()) == 1


def test_a_channel_that_is_constant_scores_1() -> None:
    original, graph = small("Chain")
    network = copy.deepcopy(original)
    network.get_parameter("bn1.weight").data[0] = 0.0
    network.get_parameter("bn1.bias").data[0] = 0.5
    assert float(scored("hrank", network, graph)["conv1"][0]) == 1


@pytest.mark.parametrize("kind", ["Chain", "Residual"])
def test_of_equal_ranks_the_smaller_filter_goes_first_if_asked_for_and_no_order_of_ranks_changes(kind: str) -> None:
    network, graph = small(kind)
    plain, broken = scored("hrank", network, graph), scored("hrank", network, graph, ties="l1")
    ties = 0
    for name, group in graph.groups.items():
        weights = sum(network.get_parameter(f"{layer}.weight").abs().flatten(1).sum(dim=1) for layer in group.producers)
        assert isinstance(weights, Tensor)
        for one in range(group.size):
            for other in range(group.size):
                if plain[name][one] < plain[name][other]:
                    assert broken[name][one] < broken[name][other]
                elif plain[name][one] == plain[name][other] and weights[one] < weights[other]:
                    assert broken[name][one] < broken[name][other]
                    ties += 1
    assert ties
