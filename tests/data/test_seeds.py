from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from harness.data.seeds import derive, fixed_permutation


def test_seeds_are_the_same_for_ever() -> None:
    assert derive(0, "order", 3) == 8_307_221_573_466_005_009
    assert fixed_permutation(8, "name") == [2, 5, 4, 1, 0, 7, 6, 3]


@given(st.integers(0, 2**40), st.text(max_size=20), st.lists(st.integers() | st.text(max_size=5), max_size=3))
def test_a_seed_has_63_bits(seed: int, purpose: str, coordinates: list[int | str]) -> None:
    assert 0 <= derive(seed, purpose, *coordinates) < 2**63


def test_purposes_and_coordinates_give_seeds_of_their_own() -> None:
    asked = [(0, "a"), (1, "a"), (0, "b"), (0, "a", 0), (0, "a", 1), (0, "a", "1"), (0, "a", 1, 1), (0, "a", 11)]
    assert len({derive(*each) for each in asked}) == len(asked)  # type: ignore[arg-type]


@given(st.integers(0, 200), st.text(max_size=10))
def test_an_order_holds_every_number_once(count: int, name: str) -> None:
    assert sorted(fixed_permutation(count, name)) == list(range(count))
