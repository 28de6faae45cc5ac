"""The table as text: columns, published rows, failures, footnotes, paired differences."""

from __future__ import annotations

import pytest

from harness.errors import UserError
from harness.report.blocks import Line
from harness.report.table import Table, tables
from harness.store.rows import Row
from harness.suite.cell import DataChoice

from .made_up import SHORT, budgeted, cell, done, facts, failed, grid, waiting

VGG = "dnal_2022 / CIFAR-10 / VGG16"


def table(rows: list[Row], **changes: object) -> Table:
    [made] = tables(rows, facts(**changes))
    return made


def column(made: Table, heading: str) -> list[str]:
    return [line.cells[made.main.header.index(heading)] for line in made.main.lines]


def test_the_columns_are_the_papers_and_what_it_left_out() -> None:
    assert table(grid()).main.header == (
        "Model",
        "FLOPs (M)",
        "Params (M)",
        "Executed MACs (M)",
        "Top-1 (%)",
        "Top-5 (%)",
        "Cost (epochs)",
        "Training MACs (P)",
        "Device time (min)",
        "Seeds",
    )


def test_a_cost_is_printed_with_its_reduction() -> None:
    made = table([done(cell("dnal"), 0.92, 61_230_000, paper_flops=61_230_000, dense_paper_flops=313_497_600)])
    assert column(made, "FLOPs (M)") == ["61.23 (5.12×)"]


def test_a_small_network_is_printed_in_its_own_unit() -> None:
    rows = [done(cell("dense"), 0.9, 42_123, dense_macs=42_123), done(cell("dnal"), 0.9, 31, dense_macs=42_123)]
    assert column(table(rows), "Executed MACs (k)") == ["42.12 (1.00×)", "0.031 (1358.81×)"]


def test_epochs_are_listed_by_stage() -> None:
    made = table(grid(strengths=(1e-4,)))
    assert column(made, "Cost (epochs)") == ["100+140", "100+20+120", "100+140", "100+140", "240", "100+140", "100+140"]


def test_a_column_that_nothing_fills_is_left_out() -> None:
    made = table([done(cell("dense"), 0.9, top5=None, paper_flops=None, paper_params=None, device_seconds=None)])
    assert made.main.header == (
        "Model",
        "Executed MACs (M)",
        "Top-1 (%)",
        "Cost (epochs)",
        "Training MACs (P)",
        "Seeds",
    )


def test_rows_trained_on_different_images_say_so_each() -> None:
    rows = [done(cell("dense"), 0.9), done(cell("dnal"), 0.9, 1_000_000, train_images=45_000)]
    assert column(table(rows), "Trained on") == ["50,000", "45,000"]
    assert "Trained on" not in table(rows[:1]).main.header


def test_rows_with_different_cuts_say_so_each() -> None:
    rows = [done(budgeted("random", 0.5, cuts=cuts), 0.9, 1_000_000) for cuts in (("inner",), ("stream",))]
    assert column(table(rows), "Cuts") == ["inner", "stream"]


def test_a_whole_network_has_no_cuts() -> None:
    rows = [done(cell("dense"), 0.9)]
    rows += [done(budgeted("random", 0.5, cuts=cuts), 0.9, 1_000_000) for cuts in (("inner",), ("stream",))]
    assert column(table(rows), "Cuts") == ["—", "inner", "stream"]


def test_paired_differences_of_different_cuts_say_so_each() -> None:
    partner = cell("dnal")
    rows = [done(partner, 0.9, 1_000_000)]
    rows += [done(cell("random", match=partner, cuts=cuts), 0.9, 1_000_000) for cuts in (("inner",), ("stream",))]
    [block] = table(rows).paired
    assert block.header[:3] == ("Method", "Against", "Cuts")
    assert [line.cells[2] for line in block.lines] == ["inner", "stream"]


def test_failed_seeds_are_counted_and_their_reason_is_a_footnote() -> None:
    rows = [done(cell("dense", 0), 0.9), failed(cell("dense", 1)), done(cell("dense", 2), 0.9)]
    made = table(rows)
    assert column(made, "Seeds") == ["2 of 3"]
    assert made.footnotes == (("a", "1 of 3 seeds failed: diverged: the loss is not a number"),)
    assert made.main.lines[0].marks == ("a",)


def test_a_point_whose_every_seed_failed_is_a_line_without_figures() -> None:
    made = table([done(cell("dense"), 0.9), failed(budgeted("random", 0.001), "out of reach: the floor is 5.03 M")])
    assert made.main.lines[1].cells[0] == "Random @ 0.1 % MACs"
    assert column(made, "Top-1 (%)")[1] == "—"
    assert made.footnotes == (("a", "1 of 1 seed failed: out of reach: the floor is 5.03 M"),)


def test_equal_footnotes_share_a_letter() -> None:
    rows = [failed(cell(method), "timed out") for method in ("dense", "dnal")]
    assert [line.marks for line in table(rows).main.lines] == [("a",), ("a",)]


def test_waiting_cells_are_counted_above_the_table_and_have_no_line() -> None:
    made = table([done(cell("dense"), 0.9), waiting(cell("dnal")), waiting(cell("random"))])
    assert made.above == ("3 cells: 1 done, 2 waiting.", "Not in the table yet: DNAL, Random.")
    assert len(made.main.lines) == 1


def test_a_finished_suite_has_nothing_above_the_table() -> None:
    assert table([done(cell("dense"), 0.9)]).above == ()


@pytest.mark.parametrize(("macs", "note"), [(1_009_000, None), (1_030_000, "misses its budget by +3.0 %")])
def test_a_budget_missed_by_more_than_a_hundredth_is_a_footnote(macs: int, note: str | None) -> None:
    made = table([done(budgeted("random", 0.5), 0.9, macs, target=1_000_000)])
    assert [text for _, text in made.footnotes] == ([note] if note else [])


def test_a_missed_budget_of_parameters_is_measured_in_parameters() -> None:
    made = table([done(cell("random"), 0.9, 5, params=98, target=100, target_metric="params")])
    assert [text for _, text in made.footnotes] == ["misses its budget by −2.0 %"]


def test_notes_of_some_seeds_name_the_seeds() -> None:
    rows = [done(cell("dnal", seed), 0.9, notes=("always", *(["once"] if seed == 1 else []))) for seed in (0, 1)]
    assert [text for _, text in table(rows).footnotes] == ["always", "seed 1: once"]


def test_notes_that_differ_in_numbers_alone_are_one() -> None:
    rows = [
        done(cell("dnal", seed), 0.9, notes=("calm", f"{count} of 27 branches removed"))
        for seed, count in enumerate((12, 9, 1_104))
    ]
    assert [text for _, text in table(rows).footnotes] == ["calm", "9 to 1104 of 27 branches removed, by seed"]


def test_numbers_in_names_are_not_counts() -> None:
    rows = [done(cell("dnal", seed), 0.9, notes=(f"layer{seed}.0.conv2 is gone",)) for seed in (0, 1)]
    assert [text for _, text in table(rows).footnotes] == [
        "seed 0: layer0.0.conv2 is gone",
        "seed 1: layer1.0.conv2 is gone",
    ]


def test_notes_that_some_seeds_lack_name_the_seeds_and_the_range() -> None:
    notes = ((), ("trimmed from 1,200 macs",), ("trimmed from 3,400 macs",))
    rows = [done(cell("dnal", seed), 0.9, notes=own) for seed, own in enumerate(notes)]
    assert [text for _, text in table(rows).footnotes] == ["seeds 1, 2: trimmed from 1,200 to 3,400 macs, by seed"]


def test_comparable_published_rows_stand_among_ours_by_falling_flops() -> None:
    made = table([*grid(strengths=(1e-4,), seeds=(0,))], published=VGG)
    assert made.published is None
    assert [line.cells[0] for line in made.main.lines if line.published] == [row.method for row in made.quoted]
    names = [line.cells[0] for line in made.main.lines]
    assert names[:2] == ["Dense", "Baseline"]
    assert names.index("GAL-0.1") < names.index("Random @ DNAL (λ = 1e-4) MACs") < names.index("HRank")


def test_published_rows_keep_their_digits() -> None:
    made = table(grid(strengths=(1e-4,), seeds=(0,)), published=VGG)
    [line] = [line for line in made.main.lines if line.cells[0] == "Variational-pruning"]
    assert line.cells == ("Variational-pruning", "190 (1.65×)", "3.92 (3.82×)", "—", "93.18", *(["—"] * 5))


def test_published_rows_that_do_not_compare_stand_in_a_block_that_says_why() -> None:
    made = table(grid(recipe=SHORT), recipe=SHORT, published=VGG)
    assert not any(line.published for line in made.main.lines)
    assert made.published is not None
    assert made.published.heading == (
        "Published (not comparable: our epochs are 8+3+9 (baseline 16), the paper's 100+20+120 (baseline 200))"
    )
    assert len(made.published.lines) == 11


def test_an_unknown_published_table_is_the_users_mistake() -> None:
    with pytest.raises(UserError, match="did you mean"):
        table(grid(seeds=(0,)), published="dnal_2022 / CIFAR-10 / VGG17")


def test_paired_differences_are_against_the_partner_of_the_same_seed() -> None:
    rows: list[Row] = []
    for seed, (partner_top1, gain) in enumerate([(0.90, 0.01), (0.80, 0.02), (0.70, 0.03)]):
        partner = cell("dnal", seed, params={"lambda_a": 1e-4})
        rows.append(done(partner, partner_top1, 1_000_000))
        rows.append(done(cell("l1_norm", seed, match=partner), partner_top1 + gain, 1_001_000))
    made = table(rows)
    [block] = made.paired
    assert block.heading == "Paired differences against DNAL at equal MACs"
    assert block.lines == (Line(("L1-norm", "DNAL (λ = 1e-4)", "+2.00 ± 2.48", "0.074", "3.26", "+0.10 %", "3")),)


def test_each_partner_method_has_its_own_block() -> None:
    rows = []
    for method in ("dnal", "another"):
        rows.append(done(cell(method), 0.9, 1_000_000))
        rows.append(done(cell("random", match=rows[-1].cell), 0.9, 1_000_000))
    assert [block.heading.split(" at")[0] for block in table(rows).paired] == [
        "Paired differences against DNAL",
        "Paired differences against another",
    ]


def test_same_widths_are_named_in_the_paired_block() -> None:
    partner = cell("dnal")
    rows = [done(partner, 0.9, 5_000_000), done(cell("random", widths_of=partner, allocate="from"), 0.8, 5_000_000)]
    assert table(rows).paired[0].lines[0].cells == ("Random, same widths", "DNAL", "−10.00", "—", "—", "0.00 %", "1")


def notes(rows: list[Row], **changes: object) -> str:
    return "\n".join(table(rows, **changes).main.notes)


def test_the_interval_is_explained_only_where_there_is_one() -> None:
    assert "95 % t-interval" in notes([done(cell("dense", seed), 0.9) for seed in (0, 1)])
    assert "95 % t-interval" not in notes([done(cell("dense"), 0.9)])


def test_the_tilde_is_explained_only_where_it_is_printed() -> None:
    scaled, plain = grid(strengths=(1e-4,), factor=19.9), grid(strengths=(1e-4,))
    assert "the search ran at 19.9 × λ̃" in notes(scaled)
    assert "λ̃" not in notes(plain)


def test_an_uncalibrated_recipe_is_named() -> None:
    assert "Recipe uncalibrated" in notes([done(cell("dense"), 0.9)])
    assert "Recipe uncalibrated" not in notes([done(cell("dense"), 0.9)], recipe=SHORT)


@pytest.mark.parametrize(
    ("images", "words"),
    [(50_000, "on all 50,000 training images of CIFAR-10"), (45_000, "on 45,000 of the 50,000 training images")],
)
def test_which_images_were_trained_on_is_said(images: int, words: str) -> None:
    assert words in notes([done(cell("dense"), 0.9, train_images=images)])


def test_macs_that_differ_by_seed_are_given_with_their_range() -> None:
    rows = [done(cell("dnal", seed), 0.9, macs) for seed, macs in enumerate((60_000_000, 62_000_000))]
    assert "DNAL 60.00–62.00 M" in notes(rows)


def test_each_backbone_has_its_own_table_and_its_own_verdict_on_published_rows() -> None:
    rows = grid(strengths=(1e-4,), seeds=(0,)) + grid(strengths=(1e-4,), seeds=(0,), backbone="vgg16_half")
    first, second = tables(rows, facts(backbones=("vgg16", "vgg16_half"), published=VGG))
    assert (first.title, second.title) == ("VGG16 on CIFAR-10", "VGG16 (half width) on CIFAR-10")
    assert first.published is None
    assert second.published is not None


def test_part_of_a_data_set_is_not_comparable() -> None:
    made = table(grid(seeds=(0,)), data=DataChoice("cifar10", 1_000), published=VGG)
    assert made.published is not None
    assert "1,000 images" in made.published.heading
