"""Two networks on the same images."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save

from harness.stats.hits import McNemar, mcnemar, packed_hits, unpacked


def counted(both: int, only_a: int, only_b: int, neither: int) -> McNemar:
    a = [True] * (both + only_a) + [False] * (only_b + neither)
    b = [True] * both + [False] * only_a + [True] * only_b + [False] * neither
    return mcnemar(np.array(a), np.array(b))


def test_agrestis_approval_ratings() -> None:
    # Agresti, Categorical Data Analysis, 3rd ed., table 11.1; the exact p as R's exact2x2 and binom.test give it.
    found = counted(794, 150, 86, 570)
    assert (found.only_a, found.only_b) == (150, 86)
    assert found.p == pytest.approx(3.716e-05, rel=1e-3)


@given(st.integers(0, 60), st.integers(0, 60), st.integers(0, 5))
def test_agrees_with_the_sign_test(only_a: int, only_b: int, alike: int) -> None:
    found = counted(alike, only_a, only_b, alike + 1)
    expected = scipy.stats.binomtest(only_a, only_a + only_b).pvalue if only_a + only_b else 1.0
    assert found.p == pytest.approx(expected, rel=1e-9)


@given(st.integers(0, 60), st.integers(0, 60))
def test_exchanging_the_networks_changes_no_p(only_a: int, only_b: int) -> None:
    assert counted(5, only_a, only_b, 5).p == pytest.approx(counted(5, only_b, only_a, 5).p, rel=1e-12)


def test_different_test_splits_are_refused() -> None:
    with pytest.raises(ValueError, match="8 and of 16 images"):
        mcnemar(np.zeros(8, bool), np.zeros(16, bool))


@given(st.dictionaries(st.text("abc", min_size=1), st.lists(st.booleans(), min_size=1, max_size=40), max_size=3))
def test_stored_bits_come_back_and_are_filled_up_with_misses(hits: dict[str, list[bool]]) -> None:
    found = unpacked(save({name: packed_hits(np.array(values)) for name, values in hits.items()}))
    assert found.keys() == hits.keys()
    for name, values in hits.items():
        assert found[name][: len(values)].tolist() == values
        assert not found[name][len(values) :].any()
        assert len(found[name]) == -(-len(values) // 8) * 8


@pytest.mark.parametrize("stored", [b"", b"{}", b"nothing", save({"other": np.zeros(1, np.float32)})])
def test_what_holds_no_bits_is_refused(stored: bytes) -> None:
    with pytest.raises(ValueError, match="not a file of hits"):
        unpacked(stored)
