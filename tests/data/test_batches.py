from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.data.batches import batch_bounds, steps_per_epoch


@pytest.mark.parametrize(
    ("images", "batch", "sizes"),
    [
        (6, 3, [3, 3]),
        (8, 3, [3, 3, 2]),
        (7, 3, [3, 4]),
        (2, 3, [2]),
        (1, 3, [1]),
        (3, 2, [3]),
        (3, 1, [1, 1, 1]),
        (0, 3, []),
    ],
)
def test_the_last_batch_may_be_smaller_but_a_single_image_joins_the_one_before(
    images: int, batch: int, sizes: list[int]
) -> None:
    assert [end - start for start, end in batch_bounds(images, batch)] == sizes
    assert steps_per_epoch(images, batch) == len(sizes)


@given(st.integers(0, 1000), st.integers(1, 100))
def test_batches_cover_all_images_in_order(images: int, batch: int) -> None:
    covered = [index for start, end in batch_bounds(images, batch) for index in range(start, end)]
    assert covered == list(range(images))
