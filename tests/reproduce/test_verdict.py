"""What two runs of a cell say about each other."""

from __future__ import annotations

from dataclasses import replace

import numpy
import pytest

from harness.reproduce.verdict import FIGURES, Verdict, repeated, verdicts
from harness.reproduce.words import outcome_of, verdict_text
from harness.store.rows import Row
from tests.report.made_up import grid

ROWS = grid(strengths=(1e-4,))
LINE = [row for row in ROWS if row.cell.method == "dnal"]


def judged(again: Row, stored: list[Row] = ROWS) -> Verdict:
    [verdict] = verdicts([repeated(LINE[0], again)], stored)
    return verdict


def test_the_same_row_is_bit_equal() -> None:
    verdict = judged(LINE[0])
    assert verdict.outcome == "bit-equal"
    assert outcome_of([verdict]) == 0


@pytest.mark.parametrize("figure", FIGURES)
def test_every_figure_that_is_compared_can_tell_two_runs_apart(figure: str) -> None:
    row = replace(LINE[0], top5=0.99)
    changes = {"widths": {"features.0": (1, 64)}, "curve": row.curve[:-1], "epochs": {"dense": 1}}
    changed = changes[figure] if figure in changes else 2 * getattr(row, figure)
    assert repeated(row, replace(row, **{figure: changed})).unequal == (figure,)


def test_another_last_bit_within_what_seeds_spread_is_within_its_interval() -> None:
    assert LINE[0].top1 is not None
    verdict = judged(replace(LINE[0], top1=LINE[0].top1 + 1e-4))
    assert verdict.outcome == "within its interval"
    assert "Top-1" in verdict_text(verdict)
    assert "inside" in verdict_text(verdict)


def test_the_same_accuracy_at_another_cost_is_different() -> None:
    assert LINE[0].macs is not None
    verdict = judged(replace(LINE[0], macs=3 * LINE[0].macs))
    assert verdict.outcome == "different"
    assert [spread.figure for spread in verdict.spreads if not spread.inside] == ["macs"]
    assert outcome_of([verdict]) == 1


def test_a_single_stored_seed_gives_no_interval_to_be_within() -> None:
    assert LINE[0].top1 is not None
    verdict = judged(replace(LINE[0], top1=LINE[0].top1 + 1e-4), stored=[LINE[0]])
    assert verdict.outcome == "different"
    assert "a single stored seed has no interval" in verdict_text(verdict)


def test_a_cell_that_fails_now_is_different_and_its_reason_is_told() -> None:
    failed = Row(cell=LINE[0].cell, state="failed", reason="diverged: the loss is nan")
    verdict = judged(failed)
    assert verdict.outcome == "different"
    assert "failed now: diverged: the loss is nan" in verdict_text(verdict)


def test_other_images_classified_right_at_the_same_accuracy_are_seen() -> None:
    ones = numpy.array([True, False, True])
    assert repeated(LINE[0], LINE[0], ones, ~ones).unequal == ("hits",)
    assert repeated(LINE[0], LINE[0], ones, ones).unequal == ()


def test_what_differs_in_the_environment_is_named_with_both_values() -> None:
    moved = replace(LINE[0], key="other", provenance=LINE[0].provenance | {"threads": 8, "load_average": 3.0})
    found = repeated(LINE[0], moved).environment
    assert found["threads"] == (1, 8)
    assert set(found) == {"threads", "key"}
    assert "threads: 1 then, 8 now" in verdict_text(judged(moved))
