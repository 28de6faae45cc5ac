"""What `plan` says of epochs that no stage holds."""

from __future__ import annotations

from harness.cli.plan import search_lines
from tests.report.made_up import budgeted, cell


def test_what_width_searches_train_is_counted_by_method() -> None:
    params = {"trials": 30, "epochs": 0.5}
    cells = [budgeted("optuna_width", 0.5, seed, params=params) for seed in range(2)] + [cell("dense")]
    assert search_lines(cells) == [
        "search of optuna_width: 2 cells trying widths for 0.5 epochs each, at most 30 in a cell, 30 epochs in all, "
        "in none of the sums below"
    ]


def test_searches_that_train_nothing_add_nothing() -> None:
    assert search_lines([budgeted("optuna_width", 0.5, params={"trials": 30, "epochs": 0.0})]) == []


def test_where_the_network_decides_how_many_it_says_so() -> None:
    [line] = search_lines([budgeted("netadapt", 0.5, params={"epochs": 1.0})])
    assert "as many as its network's layers ask for" in line
