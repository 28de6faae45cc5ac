"""The shortcut without parameters: what it writes where, whole and narrowed."""

from __future__ import annotations

import copy
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from harness.backbones.shortcut import ZeroPadShortcut


def images(channels: int, size: int = 6) -> Tensor:
    return torch.randn(3, channels, size, size, generator=torch.Generator().manual_seed(channels))


def narrowed() -> ZeroPadShortcut:
    """Reads channels 0, 2, 3 of 4 and writes 0, 1, 3, 4, 6 of 8: the second keeps its place, the others lose theirs."""
    shortcut = ZeroPadShortcut(4, 8, stride=2)
    shortcut.narrow((0, 2, 3), (0, 1, 3, 4, 6))
    return shortcut


def test_every_other_pixel_lands_in_the_middle_channels_with_zeros_around() -> None:
    stream = images(4)
    out = ZeroPadShortcut(4, 8, stride=2)(stream)
    assert torch.equal(out[:, 2:6], stream[:, :, ::2, ::2])
    assert not out[:, :2].any()
    assert not out[:, 6:].any()


def test_an_odd_number_of_zeros_has_the_larger_half_behind() -> None:
    assert ZeroPadShortcut(2, 5, stride=1).channel_targets() == (1, 2)


def test_fewer_outputs_than_inputs_are_refused() -> None:
    with pytest.raises(ValueError, match="8 channels cannot be padded to 4"):
        ZeroPadShortcut(8, 4, stride=1)


def test_a_channel_whose_place_is_gone_is_dropped() -> None:
    shortcut = narrowed()
    assert shortcut.channel_targets() == (-1, 3, -1)
    assert (shortcut.in_channels, shortcut.out_channels) == (3, 5)


def test_a_channel_that_is_not_there_is_refused() -> None:
    with pytest.raises(IndexError, match="of 8"):
        ZeroPadShortcut(4, 8, stride=2).narrow((0,), (8,))


@st.composite
def selections(draw: st.DrawFn) -> tuple[int, int, list[tuple[list[int], list[int]]]]:
    """Widths, and one or two selections one after the other, any of which may be empty."""
    inputs = draw(st.integers(0, 5))
    outputs = draw(st.integers(inputs, inputs + 4))
    steps, present = [], (inputs, outputs)
    for _ in range(draw(st.integers(1, 2))):
        kept_in, kept_out = ([c for c in range(width) if draw(st.booleans())] for width in present)
        steps.append((kept_in, kept_out))
        present = (len(kept_in), len(kept_out))
    return inputs, outputs, steps


@given(selections(), st.integers(1, 3))
def test_narrowing_is_masking_and_then_taking_the_kept_channels(
    case: tuple[int, int, list[tuple[list[int], list[int]]]], stride: int
) -> None:
    inputs, outputs, steps = case
    whole = ZeroPadShortcut(inputs, outputs, stride)
    narrow = copy.deepcopy(whole)
    left_in, left_out = list(range(inputs)), list(range(outputs))
    for kept_in, kept_out in steps:
        narrow.narrow(kept_in, kept_out)
        left_in, left_out = [left_in[c] for c in kept_in], [left_out[c] for c in kept_out]
    stream = images(inputs) if inputs else torch.zeros(3, 0, 6, 6)
    masked = torch.zeros_like(stream)
    masked[:, left_in] = stream[:, left_in]
    assert torch.equal(narrow(stream[:, left_in]), whole(masked)[:, left_out])
    targets = narrow.channel_targets()
    assert len(targets) == narrow.in_channels == len(left_in)
    written = [target for target in targets if target >= 0]
    assert all(before < after < narrow.out_channels for before, after in pairwise(written))


@pytest.mark.parametrize("shortcut", [ZeroPadShortcut(3, 5, stride=2), narrowed()], ids=["whole", "narrowed"])
class TestEitherPath:
    def test_gradients_are_those_of_the_numbers(self, shortcut: ZeroPadShortcut) -> None:
        stream = images(3).double().requires_grad_()
        assert torch.autograd.gradcheck(shortcut, (stream,))

    def test_the_type_and_the_memory_format_stay(self, shortcut: ZeroPadShortcut) -> None:
        for kind in (torch.float64, torch.bfloat16):
            out = shortcut(images(3).to(kind).contiguous(memory_format=torch.channels_last))
            assert out.dtype == kind
            assert out.is_contiguous(memory_format=torch.channels_last)
        assert shortcut(images(3)).is_contiguous()

    def test_a_copy_does_the_same_and_is_independent(self, shortcut: ZeroPadShortcut) -> None:
        stream = images(3)
        before = shortcut(stream)
        copied = copy.deepcopy(shortcut)
        assert torch.equal(copied(stream), before)
        copied.narrow((), (0,))
        assert torch.equal(shortcut(stream), before)

    def test_the_meta_device_gives_shapes_and_leaves_the_values_alone(self, shortcut: ZeroPadShortcut) -> None:
        stream = images(3)
        before = shortcut(stream)
        hollow = copy.deepcopy(shortcut).to("meta")
        assert hollow(stream.to("meta")).shape == before.shape
        assert torch.equal(hollow.to_empty(device="cpu")(stream), before)

    def test_it_trains_after_it_ran_in_inference_mode(self, shortcut: ZeroPadShortcut) -> None:
        fresh = copy.deepcopy(shortcut)
        fresh._indices = {}
        with torch.inference_mode():
            fresh(images(3))
        stream = images(3).requires_grad_()
        fresh(stream).sum().backward()
        assert stream.grad is not None

    def test_there_is_nothing_to_save(self, shortcut: ZeroPadShortcut) -> None:
        shortcut(images(3))
        assert not list(shortcut.parameters())
        assert not list(shortcut.buffers())
        assert not nn.Sequential(shortcut).state_dict()
