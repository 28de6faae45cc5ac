"""The loaders' benchmark does the same work on both sides."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from PIL import Image

from bench import loader
from harness.data.catalogue import DATA_SETS, DataSet
from harness.data.loader import DeviceLoader


@pytest.mark.parametrize("transform", [loader.of_pil, loader.of_tensors])
def test_where_nothing_is_left_to_chance_both_sides_give_the_same_image(
    transform: Callable[[DataSet], Callable[[Any], torch.Tensor]],
) -> None:
    declared = replace(DATA_SETS["cifar10"], padding=0)
    half = torch.randint(256, (1, 32, 16, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    symmetric = torch.cat([half, half.flip(2)], dim=2)
    [(expected, _)] = DeviceLoader(symmetric, torch.zeros(1).long(), declared).epoch(0, 0, 1, True)
    found = transform(declared)(Image.fromarray(symmetric[0].numpy()))
    torch.testing.assert_close(found, expected[0], atol=1e-6, rtol=1e-6)


def test_a_line_states_images_a_second_and_their_ratio() -> None:
    images = torch.zeros(6, 8, 8, 1, dtype=torch.uint8)
    ours = DeviceLoader(images, torch.arange(6), DATA_SETS["digits"])
    theirs = torch.utils.data.DataLoader([(0, 0)] * 6, batch_size=2)
    line = loader.line("digits", "a list", lambda: ours.epoch(0, 0, 2, True), theirs, 6, "≥ 10")
    assert line.ours.endswith(" images/s")
    assert line.theirs.endswith(" images/s")
    assert line.ratio > 0
    assert line.note == "against a list"
