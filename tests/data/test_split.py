from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.data.catalogue import DATA_SETS
from harness.data.split import split
from harness.errors import UserError

CIFAR = DATA_SETS["cifar10"]
SMALL = replace(CIFAR, name="small", train_images=50, held_out_images=10)


def test_cifar10_is_split_45_000_to_5_000_in_an_order_that_never_changes() -> None:
    parts = split(CIFAR, None, all_train=False)
    assert (len(parts.train), len(parts.held_out)) == (45_000, 5_000)
    assert sorted([*parts.train.tolist(), *parts.held_out.tolist()]) == list(range(50_000))
    assert parts.train[:5].tolist() == [27482, 1880, 11014, 23782, 27991]
    assert parts.held_out[:5].tolist() == [36432, 47303, 36991, 36218, 31555]


def test_training_on_all_images_holds_none_out() -> None:
    parts = split(CIFAR, None, all_train=True)
    assert sorted(parts.train.tolist()) == list(range(50_000))
    assert parts.held_out.shape == (0,)


@settings(max_examples=50)
@given(st.integers(1, 40), st.integers(1, 40), st.booleans())
def test_fewer_images_are_the_first_of_more_and_never_held_out(few: int, many: int, all_train: bool) -> None:
    few, many = sorted((few, many))
    small, large = split(SMALL, few, all_train), split(SMALL, many, all_train)
    assert small.train.tolist() == large.train[:few].tolist()
    assert small.held_out.tolist() == large.held_out.tolist()
    assert not set(small.train.tolist()) & set(small.held_out.tolist())
    assert len(small.held_out) == (0 if all_train else 10)


@pytest.mark.parametrize(("wanted", "all_train"), [(41, False), (51, True), (0, False), (-1, True)])
def test_more_images_than_there_are_is_refused(wanted: int, all_train: bool) -> None:
    with pytest.raises(UserError, match=r"data set 'small' has 1 to (40|50) images to train on"):
        split(SMALL, wanted, all_train)
