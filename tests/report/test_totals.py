"""What a table says of tracks, totals and controls."""

from __future__ import annotations

from harness.report.entries import entries
from harness.report.table import tables
from harness.report.totals import totals
from harness.store.rows import Row
from harness.suite.cell import Budget, Cell
from tests.report.made_up import PAPER, cell, done, facts

TRAINED = {"shared_start": {"dense": 100, "finetune": 140}, "converged": {"dense": 200, "finetune": 140}}


def pruned(track: str = "shared_start", **changes: object) -> Cell:
    return cell("l1_norm", budget=Budget("macs", 0.5), **changes).in_track(track)  # type: ignore[arg-type]


def row(of: Cell, **changes: object) -> Row:
    return done(of, 0.93, 156_000_000, **({"epochs": TRAINED[of.track]} | changes))


def told(*rows: Row) -> list[str]:
    return totals(entries(rows, facts()))


def test_the_common_total_is_printed() -> None:
    assert told(row(pruned()), row(cell("dense"))) == ["Every line trains for 240 epochs in total."]


def test_a_line_with_another_total_is_named() -> None:
    longer = row(pruned(), epochs={"dense": 100, "finetune": 141})
    assert told(row(cell("dense")), longer) == [
        "Each line trains for 240 epochs in total, but for L1-norm @ 50 % MACs (241)."
    ]


def test_each_track_has_its_total() -> None:
    assert told(row(pruned()), row(pruned("converged"))) == [
        "Track shared_start (all methods start from a dense network whose schedule has not run out): every line "
        "trains for 240 epochs in total.",
        "Track converged (all methods start from a dense network at the end of its schedule): every line trains for "
        "340 epochs in total.",
    ]


def test_the_track_is_a_column_where_there_are_two_and_always_part_of_a_title_that_is_not_the_usual_one() -> None:
    [both] = tables([row(pruned()), row(pruned("converged"))], facts())
    place = both.main.header.index("Track")
    assert {line.cells[0]: line.cells[place] for line in both.main.lines} == {
        "L1-norm @ 50 % MACs": "shared_start",
        "L1-norm (converged) @ 50 % MACs": "converged",
    }
    [one] = tables([row(pruned())], facts())
    assert "Track" not in one.main.header


def test_a_control_stands_beside_its_cell_under_a_name_of_its_own() -> None:
    of = pruned()
    other = cell("random", budget=Budget("macs", 0.5))
    controls = [row(of.from_scratch(mode), epochs={"finetune": 240}) for mode in ("epochs", "macs")]  # type: ignore[arg-type]
    [table] = tables([row(of), row(other), *controls], facts())
    assert [line.cells[0] for line in table.main.lines] == [
        "L1-norm @ 50 % MACs",
        "L1-norm, new weights for equal epochs @ 50 % MACs",
        "L1-norm, new weights for equal training MACs @ 50 % MACs",
        "Random @ 50 % MACs",
    ]
    assert any(note.startswith("Lines with new weights are controls") for note in table.main.notes)


def test_a_control_of_equal_macs_is_no_exception_to_the_total() -> None:
    of = pruned()
    longer = row(of.from_scratch("macs"), epochs={"finetune": 390})
    assert told(row(of), longer)[0] == (
        "Each line trains for 240 epochs in total, but for L1-norm, new weights for equal training MACs @ 50 % MACs "
        "(390)."
    )


def test_what_was_tried_and_not_taken_is_in_brackets() -> None:
    choosing = PAPER.model_copy(update={"finetune_lr": "choose"})
    of = row(pruned(recipe=choosing), tried_epochs=140)
    [entry] = entries([of], facts(recipe=choosing))
    assert entry.epochs == "100+140 (+140)"
    assert any("held-out images chose" in line for line in totals([entry]))
