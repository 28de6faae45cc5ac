"""Two counts side by side: the paper's rule and what is executed; and tables of papers that print other columns."""

from __future__ import annotations

import pytest

from harness.report.blocks import Block
from harness.report.table import Table, tables
from harness.store.rows import Row
from harness.suite.cell import DataChoice
from harness.suite.recipe import Epochs

from .made_up import PAPER, SHORT, cell, done, facts, grid
from .made_up_networks import network_rows, resnet56, supernet

RESNET = "dnal_2022 / CIFAR-10 / ResNet56"
PROXYLESS = "dnal_2022 / ImageNet-1K / ProxylessNAS"
COSTS = ("FLOPs", "Params", "Executed")


def residual(strengths: tuple[float, ...] = (1e-4,), **changes: object) -> list[Row]:
    return network_rows(resnet56(), strengths=strengths, seeds=(0,), backbone="resnet56", **changes)


def table(rows: list[Row], **changes: object) -> Table:
    [made] = tables(rows, facts(**({"backbones": ("resnet56",)} | changes)))
    return made


def costs(block: Block) -> list[str]:
    return [heading for heading in block.header if heading.startswith(COSTS)]


def column(block: Block, heading: str) -> list[str]:
    return [line.cells[block.header.index(heading)] for line in block.lines]


def test_with_shortcuts_both_counts_have_columns_that_say_which_is_which() -> None:
    made = table(residual(), published=RESNET)
    assert costs(made.main) == [
        "FLOPs, paper's rule (M)",
        "Params, paper's rule (M)",
        "Executed MACs (M)",
        "Executed params (M)",
    ]


def test_published_rows_fill_the_columns_of_the_papers_rule_only() -> None:
    made = table(residual(), published=RESNET)
    [line] = [line for line in made.main.lines if line.cells[0] == "GAL-0.8"]
    assert line.cells[1:5] == ("49.99 (2.51×)", "0.29 (2.93×)", "—", "—")


def test_one_note_says_what_the_two_counts_are() -> None:
    notes = table(residual(), published=RESNET).main.notes
    assert len([note for note in notes if "shortcut" in note]) == 1
    assert "FLOPs and Params follow" not in "\n".join(notes)


def test_a_plain_network_keeps_its_narrow_table() -> None:
    made = table(grid(seeds=(0,)), backbones=("vgg16",), published="dnal_2022 / CIFAR-10 / VGG16")
    assert costs(made.main) == ["FLOPs (M)", "Params (M)", "Executed MACs (M)"]
    assert not any("shortcut" in note for note in made.main.notes)


def test_a_whole_residual_network_needs_no_second_count() -> None:
    assert costs(table(residual(strengths=()), published=RESNET).main) == [
        "FLOPs (M)",
        "Params (M)",
        "Executed MACs (M)",
    ]


@pytest.mark.parametrize("left_out", [0, 1_024])
def test_batch_norm_of_the_classifier_alone_widens_no_table(left_out: int) -> None:
    counts = {"params": 20_000, "paper_params": 20_000 - left_out, "dense_params": 60_000}
    row = done(cell("dnal"), 0.9, 1_000_000, dense_paper_params=60_000 - left_out, **counts)
    assert "Executed params" not in " ".join(table([row], backbones=("vgg16",), published=RESNET).main.header)


def test_without_published_rows_only_what_is_executed_is_shown() -> None:
    made = table(residual())
    assert costs(made.main) == ["Executed MACs (M)", "Executed params (M)"]
    assert any("table.csv" in note for note in made.main.notes)


def nas(**changes: object) -> Table:
    recipe = PAPER.model_copy(update={"epochs": Epochs(dense=100, search=10, finetune=110, baseline=150)})
    rows = network_rows(supernet(), strengths=(6e-5,), seeds=(0,), backbone="proxylessnas", recipe=recipe)
    suite = {"backbones": ("proxylessnas",), "published": PROXYLESS, "data": DataChoice("imagenet"), "recipe": recipe}
    return table(rows, **(suite | changes))


def test_a_table_of_searched_networks_says_how_each_was_found_and_has_no_paper_flops() -> None:
    block = nas().main
    assert block.header[:4] == ("Model", "Search", "Params, paper's rule (M)", "Executed MACs (M)")
    assert block.text_columns == 2
    found = dict(zip(column(block, "Model"), column(block, "Search"), strict=True))
    assert (found["CARS-I"], found["NASNet-A"], found["FBNet-A"], found["Baseline"]) == ("EA", "RL", "gradient", "—")
    assert found["Dense"] == "—"


def test_without_flops_published_rows_stand_by_falling_params() -> None:
    block = nas().main
    names = column(block, "Model")
    assert names.index("ProxylessNAS") < names.index("FBNet-C") < names.index("CARS-A")


def test_searched_networks_apart_have_the_columns_that_the_paper_fills() -> None:
    made = nas(recipe=SHORT)
    assert made.published is not None
    assert made.published.header == ("Model", "Search", "Params (M)", "Top-1 (%)", "Top-5 (%)", "Cost (epochs)")
    assert made.published.lines[1].cells == ("DNAL (λ = 6e-5)", "gradient", "3.6", "75.0", "92.5", "100+10+110")


def test_a_published_table_of_gigas_is_printed_in_its_own_digits() -> None:
    made = table(residual(), published="dnal_2022 / ImageNet-1K / ResNet50")
    assert made.published is not None
    assert made.published.lines[0].cells[1:3] == ("4.09 (1.00×)", "25.55 (1.00×)")
    assert (
        "a",
        "the authors' own training; most rivals' rows start from a baseline of about 76.1: compare what is "
        "lost, not the accuracies",
    ) in made.published.footnotes
