"""`lambda_a: solve` is one cell at each budget, whose strength is found by searching."""

from __future__ import annotations

from harness.suite.cell import Solve
from tests.suite.conftest import Load


def test_solve_is_a_cell_for_each_budget_and_no_axis(load: Load) -> None:
    suite = load(methods="  - dnal: {lambda_a: solve, budget: {macs: [0.5, 0.25]}}")
    assert [cell.variant for cell in suite.cells] == ["dnal[solved,macs=0.5]", "dnal[solved,macs=0.25]"]
    assert {cell.solve for cell in suite.cells} == {Solve(0.02, 8, 1e-4)}
    assert all(not cell.candidates for cell in suite.cells)


def test_how_it_is_solved_can_be_stated(load: Load) -> None:
    block = "{solve: {within: 0.01, searches: 5, start: 2e-4}}"
    (cell,) = load(methods=f"  - dnal: {{lambda_a: {block}, budget: {{macs: 0.5}}}}").cells
    assert cell.solve == Solve(0.01, 5, 2e-4)


def test_a_solved_cell_stands_beside_one_with_candidates(load: Load) -> None:
    lines = ["  - dnal: {lambda_a: solve, budget: {macs: 0.5}}", "  - dnal: {lambda_a: [1e-4], budget: {macs: 0.5}}"]
    assert len(load(methods="\n".join(lines)).cells) == 2
