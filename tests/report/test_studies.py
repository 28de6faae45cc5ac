"""The report shows every trial of a study, its bill, and which rows come from it."""

from __future__ import annotations

import csv
import io
from dataclasses import replace

from harness.report.markdown import markdown
from harness.report.records import studies_csv
from harness.report.table import Table, tables
from harness.store.rows import Row
from harness.store.studies import StudyRecord, TrialRecord
from harness.suite.cell import Solve
from harness.suite.study import Domain, Stopping, Study, Tuned
from tests.report.made_up import DENSE_MACS, budgeted, cell, done, facts, waiting

TRIAL = cell("dnal", params={"lambda_a": 1e-5})
STUDY = Study(
    "front", (("lambda_a", Domain("loguniform", (1e-5, 1e-3))),), ("top1", "macs"), 4, 2, 4, Stopping(2, 3), 0, TRIAL
)
STAGES = {
    "dense": {"kind": "dense", "epochs": 100, "training_macs": 7_000_000, "seconds": 50.0},
    "a": {"kind": "compress", "epochs": 20, "training_macs": 1_000_000, "seconds": 5.0},
    "b": {"kind": "finetune", "epochs": 30, "training_macs": 2_000_000, "seconds": 6.0},
}
RECORD = StudyRecord(
    "key",
    STUDY,
    (
        TrialRecord(0, {"lambda_a": 0.000123456}, "complete", "", 0.91, 90_000_000, 900, 140),
        TrialRecord(1, {"lambda_a": 0.00002}, "stopped", "", 0.85, 200_000_000, 2000, 24),
        TrialRecord(2, {"lambda_a": 0.0005}, "failed", "diverged: the loss is nan", None, None, None, 20),
        TrialRecord(3, {"lambda_a": 0.00005}, "complete", "", 0.93, 150_000_000, 1500, 140),
    ),
    (3, 0),
    STAGES,
)


def row(rank: int, seed: int) -> Row:
    """A measured row of one of the two configurations that were chosen."""
    params = RECORD.trials[RECORD.best[rank]].params
    of = replace(cell("dnal", seed, params=params), tuned=Tuned(STUDY, rank))
    return done(of, 0.92, DENSE_MACS // 3, study=RECORD, tuning_epochs=150)


def table(*more: Row) -> Table:
    rows = [done(cell("dense", seed), 0.94) for seed in (0, 1)]
    (made,) = tables([*rows, *(row(rank, seed) for rank in (0, 1) for seed in (0, 1)), *more], facts())
    return made


def test_a_study_is_a_block_with_every_trial_in_its_order() -> None:
    (block,) = table().studied
    assert block.heading == "Study 'front': 4 trials of DNAL"
    assert block.header[:4] == ("Trial", "State", "lambda_a", "Held-out top-1 (%)")
    assert [line.cells[:4] for line in block.lines] == [
        ("0", "chosen (2)", "1.23e-4", "91.00"),
        ("1", "stopped", "2e-5", "85.00"),
        ("2", "failed", "5e-4", "—"),
        ("3", "chosen (1)", "5e-5", "93.00"),
    ]
    assert block.footnotes == (("a", "diverged: the loss is nan"),)


def test_a_study_says_its_seed_its_rules_and_its_total_bill() -> None:
    (block,) = table().studied
    told = " ".join(block.notes)
    assert "Trials ran on seed 0" in told
    assert "the test split is read only by the rows" in told
    assert "each without the 3 trials before it; stopped early by ASHA (first after 2 epochs of fine-tuning" in told
    assert "which is hard on small networks" in told
    assert "Total bill: 150 epochs (100 of dense training), 10.00 M training MACs, 61.0 s of device time" in told


def test_tuned_lines_are_marked_and_carry_the_bill() -> None:
    made = table()
    titles = [entry.title for entry in made.entries]
    assert "DNAL (front 1, λ = 5e-5)" in titles
    assert "DNAL (front 2, λ = 1.23e-4)" in titles
    entry = made.entries[titles.index("DNAL (front 1, λ = 5e-5)")]
    assert entry.epochs.endswith(" + 150 of tuning")
    notes = [text for _, text in made.footnotes]
    assert (
        "parameters of trial 3 of the study 'front' (4 trials on seed 0), whose 150 epochs, 10.00 M training MACs "
        "and 61.0 s are in its cost"
    ) in notes


def test_the_block_is_in_the_report_and_its_trials_are_data() -> None:
    made = table()
    assert "### Study 'front': 4 trials of DNAL" in markdown([made], facts())
    records = list(csv.DictReader(io.StringIO(studies_csv([made]))))
    assert [record["rank"] for record in records] == ["2", "", "", "1"]
    assert records[0]["params"] == '{"lambda_a":0.000123456}'
    assert float(records[3]["held_out_top1"]) == 0.93


def test_a_line_whose_study_has_not_ended_shows_no_values_that_stand_in() -> None:
    of = replace(cell("dnal", params={"lambda_a": 1e-5}), tuned=Tuned(replace(STUDY, name="later"), 0))
    assert "Not in the table yet: DNAL (later 1)." in table(waiting(of)).above


def test_a_control_finds_the_tuned_line_that_it_matches() -> None:
    partner = replace(cell("dnal", params={"lambda_a": 1e-5}), tuned=Tuned(STUDY, 0))
    matching = done(cell("l1_norm", match=partner), 0.91, DENSE_MACS // 3)
    made = table(matching)
    assert "L1-norm @ DNAL (front 1, λ = 5e-5) MACs" in [entry.title for entry in made.entries]
    assert [difference.partner.title for difference in made.differences] == ["DNAL (front 1, λ = 5e-5)"]


def test_a_suite_without_studies_has_no_block() -> None:
    (made,) = tables([done(cell("dense"), 0.94)], facts())
    assert made.studied == ()
    assert studies_csv([made]) == ""


def test_seeds_that_were_solved_for_are_one_line_whatever_strength_they_found() -> None:
    solved = [
        done(
            replace(budgeted("dnal", 0.5, seed, params={"lambda_a": 1e-4}, shown=()), solve=Solve(0.02, 8, 1e-4)),
            0.93,
            round(0.49 * DENSE_MACS),
            strength=("lambda_a", strength, 1.0),
            target=round(0.5 * DENSE_MACS),
        )
        for seed, strength in enumerate((2e-4, 3e-4))
    ]
    (made,) = tables(solved, facts())
    assert [entry.title for entry in made.entries] == ["DNAL (λ solved for) @ 50 % MACs"]
    assert not any("misses its budget" in text for _, text in made.footnotes)
