"""The strength that lands on a budget is found by few searches, and what is not found is said."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.plan.solve import Solution, Try, limits_of, next_strength
from harness.registry import method

WITHIN = 0.02
DENSE = 10_000_000


def searched(
    cost: Callable[[float], int],
    target: int,
    *,
    start: float = 1e-4,
    limits: tuple[float, float] = (0.0, 1.0),
    most: int = 40,
) -> Solution:
    """The searches that are made where a strength costs `cost(strength)`."""
    found = Solution(target, WITHIN, ())
    while (strength := next_strength(found, start, limits, most)) is not None:
        found = Solution(target, WITHIN, (*found.tries, Try(strength, cost(strength))))
    return found


@given(share=st.floats(0.05, 0.95), turn=st.floats(-12, -1), slope=st.floats(0.5, 3), start=st.floats(-12, -1))
def test_a_budget_on_a_falling_curve_is_always_met(share: float, turn: float, slope: float, start: float) -> None:
    def cost(strength: float) -> int:
        return round(DENSE / (1 + (strength / math.exp(turn)) ** slope))

    found = searched(cost, round(share * DENSE), start=math.exp(start), limits=(0.0, math.inf))
    assert found.reached
    assert found.monotone
    assert abs(found.best.cost / found.target - 1) <= WITHIN
    assert len(found.tries) <= 16


@given(share=st.floats(0.1, 0.9))
def test_a_strength_that_keeps_instead_of_cutting_is_found_too(share: float) -> None:
    found = searched(lambda strength: round(DENSE * min(1.0, strength)), round(share * DENSE), start=1.0)
    assert found.reached


def test_the_first_search_is_the_start_and_the_second_cuts_more_if_that_was_too_large() -> None:
    falling = lambda strength: round(DENSE * (1 - strength))  # noqa: E731
    tries = searched(falling, DENSE // 2, start=0.1).tries
    assert [each.strength for each in tries[:2]] == [0.1, 0.4]


def test_no_search_is_made_once_the_budget_is_met() -> None:
    assert len(searched(lambda _: DENSE // 2, DENSE // 2).tries) == 1


def test_there_are_never_more_searches_than_allowed() -> None:
    found = searched(lambda strength: DENSE if strength < 1.2345e-3 else 10, DENSE // 2, most=5)
    assert len(found.tries) == 5
    assert not found.reached


def test_a_jump_over_the_budget_ends_the_search_and_the_nearest_side_is_the_best() -> None:
    found = searched(lambda strength: DENSE if strength < 1.2345e-3 else DENSE // 3, DENSE // 2)
    assert not found.reached
    assert found.best.cost == DENSE // 3
    assert len(found.tries) < 20


def test_the_search_ends_at_the_methods_limits() -> None:
    found = searched(lambda _: DENSE, DENSE // 2, start=0.5, limits=(0.25, 1.0))
    assert sorted({each.strength for each in found.tries}) == [0.25, 0.5, 1.0]


def test_a_curve_that_goes_up_and_down_is_noticed_and_searched_all_the_same() -> None:
    outcomes = {1e-4: 9_000_000, 4e-4: 9_500_000}

    def cost(strength: float) -> int:
        return outcomes.get(strength, round(DENSE / (1 + (strength / 1e-3) ** 2)))

    found = searched(cost, DENSE // 2)
    assert not found.monotone
    assert found.reached


def test_dnals_limits_are_those_that_its_parameters_declare() -> None:
    assert limits_of(method("dnal")) == (0.0, 1.0)


@pytest.mark.parametrize(("costs", "monotone"), [([3, 2, 1], True), ([1, 2, 2], True), ([2, 3, 1], False)])
def test_monotone_means_in_one_direction_only(costs: list[int], monotone: bool) -> None:
    tries = tuple(Try(float(number), cost) for number, cost in enumerate(costs, start=1))
    assert Solution(2, WITHIN, tries).monotone is monotone
