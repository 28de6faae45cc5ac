"""CHIP: the nuclear norm that a layer's maps lose without a channel."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import methods.chip
from methods.chip import independence

seeds = st.integers(0, 2**31 - 1)
shapes = st.tuples(st.integers(1, 3), st.integers(1, 7), st.integers(1, 4), st.integers(1, 4))


def maps_of(seed: int, shape: tuple[int, ...]) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).relu()


def by_definition(maps: Tensor) -> Tensor:
    found = torch.empty(maps.shape[:2], dtype=torch.float64)
    for image, rows in enumerate(maps.flatten(2)):
        for channel in range(len(rows)):
            without = rows.clone()
            without[channel] = 0.0
            found[image, channel] = torch.linalg.matrix_norm(rows, "nuc") - torch.linalg.matrix_norm(without, "nuc")
    return found


@settings(max_examples=40)
@given(seed=seeds, shape=shapes)
def test_independence_is_that_of_the_definition(seed: int, shape: tuple[int, ...]) -> None:
    maps = maps_of(seed, shape)
    torch.testing.assert_close(independence(maps), by_definition(maps), rtol=1e-6, atol=1e-6)


@settings(max_examples=40)
@given(seed=seeds, shape=shapes, factor=st.floats(-100, 100))
def test_independence_is_not_negative_and_scales_with_the_maps(
    seed: int, shape: tuple[int, ...], factor: float
) -> None:
    maps = maps_of(seed, shape)
    found = independence(maps)
    assert float(found.min()) >= -1e-6
    torch.testing.assert_close(independence(factor * maps), abs(factor) * found, rtol=1e-6, atol=1e-4)


@settings(max_examples=20)
@given(seed=seeds, shape=shapes)
def test_independence_does_not_depend_on_the_order_of_pixels(seed: int, shape: tuple[int, ...]) -> None:
    maps = maps_of(seed, shape)
    order = torch.randperm(shape[2] * shape[3], generator=torch.Generator().manual_seed(seed))
    turned = maps.flatten(2)[:, :, order].view(shape)
    torch.testing.assert_close(independence(turned), independence(maps), rtol=1e-6, atol=1e-6)


def test_an_empty_map_scores_0_one_of_its_own_direction_its_length_and_a_copy_less() -> None:
    maps = torch.zeros(1, 4, 1, 3, dtype=torch.float64)
    maps[0, 1, 0, 0] = 5.0
    maps[0, 2, 0, 1] = maps[0, 3, 0, 1] = 3.0
    zero, alone, copy, same = independence(maps)[0].tolist()
    assert abs(zero) < 1e-6
    assert abs(alone - 5) < 1e-6
    assert abs(copy - 3 * (2**0.5 - 1)) < 1e-6
    assert abs(same - copy) < 1e-12


@pytest.mark.parametrize("shape", [(2, 6, 4, 4), (1, 9, 2, 2)])
def test_channels_that_are_taken_in_turns_score_the_same(
    shape: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    maps = maps_of(3, shape)
    whole = independence(maps)
    monkeypatch.setattr(methods.chip, "_NUMBERS", 50)
    torch.testing.assert_close(independence(maps), whole)
