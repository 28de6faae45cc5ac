from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.data.batches import Share, batch_bounds, shared_bounds, steps_per_epoch


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


@pytest.mark.parametrize(
    ("images", "sizes"), [(24, [12, 12]), (31, [12, 12, 7]), (30, [12, 12, 6]), (29, [12, 17]), (25, [12, 13])]
)
def test_a_last_batch_with_fewer_than_two_images_a_micro_batch_joins_the_one_before(
    images: int, sizes: list[int]
) -> None:
    assert [end - start for start, end in batch_bounds(images, 12, 3)] == sizes
    assert steps_per_epoch(images, 12, 3) == len(sizes)


@given(data=st.data(), own=st.integers(1, 4), ranks=st.integers(1, 4), spare=st.integers(0, 20))
def test_ranks_share_every_batch_out_among_them(data: st.DataObject, own: int, ranks: int, spare: int) -> None:
    parts = own * ranks
    batch = 2 * parts + spare
    images = data.draw(st.integers(2 * parts, 500))
    shares = [shared_bounds(images, batch, Share(parts, rank, ranks)) for rank in range(ranks)]
    assert sorted(bounds for share in shares for bounds in share) == shared_bounds(images, batch, Share(parts))
    for share in shares:
        assert len(share) == own * steps_per_epoch(images, batch, parts)
    sizes = [end - start for start, end in shared_bounds(images, batch, Share(parts))]
    assert sum(sizes) == images
    for first in range(0, len(sizes), parts):
        assert 2 <= min(sizes[first : first + parts]) >= max(sizes[first : first + parts]) - 1


def test_too_few_images_for_the_micro_batches_of_a_step_are_refused() -> None:
    with pytest.raises(ValueError, match="5 images are too few for 3 micro-batches of two"):
        shared_bounds(5, 12, Share(3))
