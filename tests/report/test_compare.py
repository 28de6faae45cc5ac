"""Two methods against each other."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest

from harness.errors import UserError
from harness.report.compare import Comparison, compare
from harness.report.compare_words import compare_records, compare_text
from harness.store.rows import Row

from .made_up import budgeted, cell, done, facts, grid

if TYPE_CHECKING:
    from harness.stats.hits import Hits


def no_hits(_: Row) -> None:
    return None


def one(rows: list[Row], a: str = "l1_norm", b: str = "random") -> Comparison:
    [found] = compare(rows, facts(), a, b, no_hits)
    return found


def budgets(ahead: float, noise: tuple[float, ...] = (0.0, 0.001, -0.0005)) -> list[Row]:
    """Two methods at three budgets, the first ahead by a constant and what each seed adds."""
    return [
        done(budgeted(method, share, seed), 0.9 + share / 20 + gain * (ahead + own), round(share * 313_463_808))
        for share in (0.5, 0.25, 0.1)
        for method, gain in (("l1_norm", 1), ("random", 0))
        for seed, own in enumerate(noise)
    ]


def test_every_budget_that_both_met_is_compared() -> None:
    found = one(budgets(0.01))
    assert [pairing.budget for pairing in found.pairings] == ["macs=0.5", "macs=0.25", "macs=0.1"]
    for pairing in found.pairings:
        assert pairing.test is not None
        assert pairing.test.difference.mean == pytest.approx(0.01 + 0.0005 / 3)


def test_the_p_values_are_corrected_over_the_budgets() -> None:
    pairing = one(budgets(0.01)).pairings[0]
    assert pairing.test is not None
    assert pairing.test.p is not None
    assert pairing.corrected == pytest.approx(3 * pairing.test.p, rel=1e-6)


@pytest.mark.parametrize(("ahead", "counts"), [(0.03, (3, 0, 0)), (-0.03, (0, 0, 3)), (0.0, (0, 3, 0))])
def test_budgets_are_won_tied_or_lost_by_the_corrected_p(ahead: float, counts: tuple[int, ...]) -> None:
    found = one(budgets(ahead))
    assert (found.count("win"), found.count("tie"), found.count("loss")) == counts


def test_exchanging_the_methods_exchanges_the_signs() -> None:
    found, back = one(budgets(0.01)), one(budgets(0.01), "random", "l1_norm")
    for pairing, other in zip(found.pairings, back.pairings, strict=True):
        assert pairing.test is not None
        assert other.test is not None
        assert pairing.test.difference.mean == pytest.approx(-other.test.difference.mean)
        assert pairing.corrected == other.corrected


def test_whole_curves_are_compared_over_the_costs_that_both_reach() -> None:
    [curves] = one(budgets(0.01)).curves
    assert curves.area is not None
    assert curves.area.difference.mean == pytest.approx(0.01 + 0.0005 / 3)
    assert curves.reach == (round(31_346_380.8), 156_731_904)
    assert curves.volume is not None
    assert curves.volume.difference.mean > 0


def test_a_control_is_compared_with_the_line_whose_widths_it_has_and_counts_for_no_budget() -> None:
    found = one(grid(strengths=(1e-4,)), "l1_norm", "dnal")
    assert [(pairing.a.kind, pairing.has_control) for pairing in found.pairings] == [("match", False), ("widths", True)]
    assert sum(found.count(outcome) for outcome in ("win", "tie", "loss")) == 1  # type: ignore[arg-type]


def test_controls_of_one_partner_are_compared_with_each_other() -> None:
    kinds = [(pairing.a.kind, pairing.b.kind) for pairing in one(grid(strengths=(1e-4,))).pairings]
    assert kinds == [("match", "match"), ("widths", "widths")]


def test_spaces_are_kept_apart() -> None:
    partner = [cell("dnal", seed) for seed in (0, 1)]
    rows = [done(of, 0.90 + of.seed / 100, 1_000_000) for of in partner]
    for cuts in (("inner",), ("inner", "branch")):
        rows += [done(cell("l1_norm", of.seed, match=of, cuts=cuts), 0.91, 1_000_000) for of in partner]
    found = one(rows, "l1_norm", "dnal")
    assert [curves.of for curves in found.curves] == [
        "cuts inner against inner, branch",
        "cuts inner, branch against inner, branch",
    ]


def test_a_variant_may_be_named_by_a_pattern() -> None:
    assert [pairing.a.kind for pairing in one(grid(), "l1_norm[match=*1e-05*]", "dnal").pairings] == ["match"]


def test_networks_of_one_seed_are_compared_by_mcnemar() -> None:
    def hits(row: Row) -> Hits:
        right = 90 if row.cell.method == "l1_norm" else 60
        return np.arange(100) < right

    [found] = compare(budgets(0.01), facts(), "l1_norm", "random", hits)
    assert len(found.networks) == 9
    assert {(of.test.only_a, of.test.only_b) for of in found.networks} == {(30, 0)}
    assert found.networks[0].corrected == pytest.approx(9 * found.networks[0].test.p)


def test_without_hits_the_text_says_so() -> None:
    assert "no hits of both are stored" in compare_text(one(budgets(0.01)))


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        ("l1norm", "random", "the suite has no method 'l1norm'; did you mean 'l1_norm'?"),
        ("l1_norm", "zzz", "the suite has no method 'zzz'; it has dense, l1_norm, random"),
        ("l1_norm", "l1_norm", "l1_norm is compared with itself"),
        ("l1_norm", "dense", "l1_norm and dense have met no budget in common"),
    ],
)
def test_mistakes_say_what_was_meant(a: str, b: str, message: str) -> None:
    with pytest.raises(UserError) as caught:
        one([*budgets(0.01), done(cell("dense"), 0.9)], a, b)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_the_text_has_a_line_a_budget_and_the_counts() -> None:
    text = compare_text(one(budgets(0.03)))
    assert "L1-norm wins 3, ties 0, loses 0 at the 5 % level." in text
    assert sum(line.strip().startswith("macs=") for line in text.splitlines()) == 3


def test_the_records_are_json_at_full_precision() -> None:
    found = one(budgets(0.01))
    [record] = json.loads(json.dumps(compare_records([found])))
    assert record["outcomes"] == {outcome: found.count(outcome) for outcome in ("win", "tie", "loss")}  # type: ignore[arg-type]
    assert record["budgets"][0]["top1"]["mean"] == pytest.approx(0.01 + 0.0005 / 3, rel=1e-12)
    assert record["curves"][0]["hypervolume"]["n"] == 3
