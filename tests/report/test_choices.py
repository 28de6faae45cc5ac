"""What is left of a supernet: text, table, data and picture."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from harness.report import records
from harness.report.blocks import Block
from harness.report.choices import Choices, parsed
from harness.report.choices_plot import choices as draw
from harness.report.figure import settings
from harness.report.latex import latex
from harness.report.table import Table, tables
from harness.report.write import write_report
from harness.store.rows import Row

from .made_up import budgeted, cell, done, facts, grid
from .made_up_networks import CANDIDATES, network_rows, resnet56, supernet


@pytest.fixture(autouse=True)
def _report_settings() -> Iterator[None]:
    with settings():
        yield


def table(rows: list[Row]) -> Table:
    [made] = tables(rows, facts(backbones=("proxylessnas",)))
    return made


def chosen(*widths: dict[str, tuple[int, int]]) -> Choices:
    """What a point kept that has these widths, one mapping a seed."""
    rows = [
        done(cell("dnal", seed, backbone="proxylessnas"), 0.9, 100, widths=found) for seed, found in enumerate(widths)
    ]
    [found] = table(rows).chosen
    return found


def block(*widths: dict[str, tuple[int, int]]) -> Block:
    rows = [
        done(cell("dnal", seed, backbone="proxylessnas"), 0.9, 100, widths=found) for seed, found in enumerate(widths)
    ]
    [found] = table(rows).choices
    return found


WHOLE = {"mixed1.k3e3.expand": (12, 48), "mixed1.k3e3.project": (6, 24)}
SECOND = {"mixed1.k5e6.expand": (96, 96), "mixed1.k5e6.project": (20, 24)}
GONE = {"mixed1.k5e6.expand": (0, 96), "mixed1.k5e6.project": (0, 24)}


@pytest.mark.parametrize(
    ("group", "found"),
    [
        ("mixed7.k5e6.expand", ((7, 5, 6), False)),
        ("mixed21.k3e3.project", ((21, 3, 3), True)),
        ("stream:mixed1.k3e3.project", None),
        ("layer1.0.conv2", None),
    ],
)
def test_a_groups_name_tells_its_candidate(group: str, found: object) -> None:
    assert parsed(group) == found


def test_the_whole_supernet_has_a_line_a_layer_and_a_column_a_candidate() -> None:
    made = table(network_rows(supernet(), strengths=(1e-4,), seeds=(0,), backbone="proxylessnas"))
    [found] = made.choices
    assert found.header == ("Layer", *(f"k{kernel} e{expansion}" for kernel, expansion in CANDIDATES), "Branches")
    assert len(found.lines) == 21
    assert found.lines[0].cells[0] == "1 (24)"
    assert found.lines[20].cells[0] == "21 (320)"


def test_a_cell_says_how_many_hidden_and_output_channels_are_kept() -> None:
    assert block(WHOLE | SECOND).lines[0].cells == ("1 (24)", "12/48 → 6/24", "96/96 → 20/24", "2 of 2")


def test_a_removed_candidate_is_named_so() -> None:
    assert block(WHOLE | GONE).lines[0].cells[2:] == ("removed", "1 of 2")


def test_a_candidate_without_outputs_is_removed_whatever_hidden_channels_it_has() -> None:
    assert block(WHOLE | SECOND | {"mixed1.k5e6.project": (0, 24)}).lines[0].cells[2] == "removed"


def test_counts_are_means_in_which_a_removed_candidate_is_nought() -> None:
    found = block(WHOLE | SECOND, WHOLE | GONE)
    assert found.lines[0].cells[1:] == ("12/48 → 6/24", "48/96 → 10/24 in 1 of 2", "1.5 of 2")
    assert "Means over 2 seeds" in found.notes[0]


def test_channels_that_could_not_be_cut_are_whole() -> None:
    assert block({"mixed1.k3e3.expand": (12, 48)}).lines[0].cells == ("1", "12/48 → whole", "1 of 1")


def test_what_belongs_to_no_candidate_is_told_below() -> None:
    assert block(WHOLE | {"feature_mix": (640, 1280)}).notes[-1] == "Beside the candidates: feature_mix 640/1280."


def test_only_points_that_a_method_chose_itself_are_shown() -> None:
    rows = [
        done(
            cell("dense", backbone="proxylessnas"),
            0.9,
            widths={name: (size, size) for name, (_, size) in WHOLE.items()},
        ),
        done(budgeted("l1_norm", 0.5, backbone="proxylessnas"), 0.9, 100, widths=WHOLE),
        done(cell("dnal", backbone="proxylessnas"), 0.9, 90, widths=WHOLE),
    ]
    assert [found.title for found in table(rows).chosen] == ["DNAL"]


def test_other_networks_have_no_choices() -> None:
    assert table(network_rows(resnet56(), seeds=(0,), backbone="proxylessnas")).choices == ()


def test_the_data_has_a_line_for_each_seed_and_candidate() -> None:
    made = table(network_rows(supernet(), strengths=(1e-4,), seeds=(0, 1), backbone="proxylessnas"))
    lines = list(csv.DictReader(io.StringIO(records.choices_csv([made]))))
    assert len(lines) == 2 * 21 * 6
    assert (lines[0]["layer"], lines[0]["kernel"], lines[0]["expansion"], lines[0]["hidden_size"]) == (
        "1",
        "3",
        "3",
        "48",
    )
    gone = [line for line in lines if line["removed"] == "True"]
    assert gone
    assert all(line["hidden_kept"] == line["output_kept"] == "0" for line in gone)


def test_the_table_is_a_page_of_its_own_and_a_section_of_the_report(tmp_path: Path) -> None:
    rows = network_rows(supernet(), strengths=(1e-4,), seeds=(0,), backbone="proxylessnas")
    write_report(rows, facts(backbones=("proxylessnas",)), tmp_path)
    heading = "### What is left of the supernet: DNAL (λ = 1e-4)"
    assert heading in (tmp_path / "choices.md").read_text()
    report = (tmp_path / "report.md").read_text()
    assert heading in report
    assert "(choices.png)" in report
    assert {path.name for path in tmp_path.iterdir()} >= {"choices.csv", "choices.png", "choices.pdf"}


def test_the_table_is_in_the_latex_too() -> None:
    suite = facts(backbones=("proxylessnas",))
    rows = network_rows(supernet(), strengths=(1e-4,), seeds=(0,), backbone="proxylessnas")
    assert "What is left of the supernet: DNAL" in latex(tables(rows, suite), suite)


def picture(rows: list[Row]) -> Figure:
    made = draw(table(rows))
    assert made is not None
    return made


def rectangles(figure: Figure, panel: int = 0) -> list[Rectangle]:
    return [patch for patch in figure.axes[panel].patches if isinstance(patch, Rectangle)]


def test_a_point_has_a_panel_with_a_cell_a_candidate_and_one_a_layer_for_its_outputs() -> None:
    figure = picture(network_rows(supernet(), backbone="proxylessnas"))
    panels = [axes for axes in figure.axes if axes.get_title(loc="left")]
    assert [axes.get_title(loc="left") for axes in panels] == [
        f"DNAL (λ = {text})" for text in ("1e-5", "1e-4", "5e-4")
    ]
    assert len(rectangles(figure)) == 21 * 7


def test_the_more_is_kept_the_darker_is_the_cell() -> None:
    figure = picture([done(cell("dnal", backbone="proxylessnas"), 0.9, 100, widths=WHOLE | SECOND)])
    quarter, whole, outputs = (to_rgb(patch.get_facecolor())[0] for patch in rectangles(figure))
    assert 1 > quarter > outputs > whole >= 0


def strokes(figure: Figure) -> int:
    return len(figure.axes[0].lines)


def test_a_cross_marks_what_every_seed_removed_and_a_stroke_what_some_did() -> None:
    def drawn(*seeds: dict[str, tuple[int, int]]) -> Figure:
        return picture(
            [
                done(cell("dnal", seed, backbone="proxylessnas"), 0.9, 100, widths=found)
                for seed, found in enumerate(seeds)
            ]
        )

    assert strokes(drawn(WHOLE | SECOND, WHOLE | SECOND)) == 0
    assert strokes(drawn(WHOLE | SECOND, WHOLE | GONE)) == 1
    assert strokes(drawn(WHOLE | GONE, WHOLE | GONE)) == 2


def test_many_points_still_fit_a_column() -> None:
    strengths = tuple(1e-5 * number for number in range(1, 10))
    figure = picture(network_rows(supernet(), strengths=strengths, seeds=(0,), backbone="proxylessnas"))
    assert figure.get_figwidth() == 3.5
    assert figure.get_figheight() < 9


def test_layers_are_numbered_where_the_width_changes() -> None:
    figure = picture(network_rows(supernet(), strengths=(1e-4,), seeds=(0,), backbone="proxylessnas"))
    assert [text.get_text() for text in figure.axes[0].get_xticklabels()] == ["1", "5", "9", "13", "17", "21"]


def test_a_suite_without_a_supernet_has_no_such_picture() -> None:
    assert draw(tables(grid(seeds=(0,)), facts())[0]) is None
