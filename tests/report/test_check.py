"""Committed reports against their recorded rows."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import UserError
from harness.report.check import check_folder, check_quotes
from harness.report.write import write_report

from .made_up import cell, done, facts, grid

TEXTS = ("md", "latex", "csv")


@pytest.fixture
def measured(tmp_path: Path) -> Path:
    """A folder with one report in it, `vgg.cpu`."""
    write_report(grid(strengths=(1e-4,)), facts(), tmp_path / "vgg.cpu", TEXTS)
    return tmp_path


def test_a_report_as_it_was_written_is_what_its_rows_give(measured: Path) -> None:
    found = check_folder(measured / "vgg.cpu")
    assert found.problems == ()
    assert found.texts == 9


def test_the_pictures_that_stand_in_the_folder_are_linked(tmp_path: Path) -> None:
    write_report(grid(strengths=(1e-4,), seeds=(0,)), facts(x=("macs",)), tmp_path, ["md", "csv", "png"])
    assert check_folder(tmp_path).problems == ()
    (tmp_path / "curves.png").unlink()
    [problem] = check_folder(tmp_path).problems
    assert "(curves.png)" in problem


@pytest.mark.parametrize(
    "name",
    ["report.md", "report.tex", "table.csv", "fair.csv", "differences.csv", "rows.csv", "rows.jsonl", "curves.csv"],
)
def test_one_changed_digit_is_found_and_shown(name: str, measured: Path) -> None:
    path = measured / "vgg.cpu" / name
    text = path.read_text(encoding="utf-8")
    place = text.rindex("9")
    path.write_text(text[:place] + "8" + text[place + 1 :], encoding="utf-8")
    [problem] = check_folder(measured / "vgg.cpu").problems
    assert problem.startswith(f"--- {path}\n+++ what the rows give")


def test_a_changed_row_is_found_in_every_text_that_shows_it(measured: Path) -> None:
    path = measured / "vgg.cpu" / "recorded.json"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace('"top1":0.93', '"top1":0.83', 1), encoding="utf-8")
    named = {Path(problem.split("\n")[0].removeprefix("--- ")).name for problem in check_folder(path.parent).problems}
    data = {"table.csv", "fair.csv", "differences.csv", "rows.csv", "rows.jsonl"}
    assert named == data | {"report.md", "report.tex"}


def test_a_text_that_the_rows_do_not_give_is_found(measured: Path) -> None:
    stale = measured / "vgg.cpu" / "choices.csv"
    stale.write_text("old")
    assert check_folder(measured / "vgg.cpu").problems == (f"{stale}: the rows give no such file",)


def test_a_report_without_its_table_is_found(measured: Path) -> None:
    (measured / "vgg.cpu" / "report.md").unlink()
    assert [problem.split(": ")[1] for problem in check_folder(measured / "vgg.cpu").problems] == ["is absent"]


def test_long_differences_are_cut_short(measured: Path) -> None:
    (measured / "vgg.cpu" / "curves.csv").write_text("nothing")
    [problem] = check_folder(measured / "vgg.cpu").problems
    assert len(problem.splitlines()) == 41
    assert problem.splitlines()[-1].startswith("… and ")


def test_a_folder_without_rows_cannot_be_checked(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"recorded\.json cannot be read"):
        check_folder(tmp_path)


def quoting(measured: Path, text: str) -> tuple[int, list[str]]:
    document = measured / "README.md"
    document.write_text(f"# A heading\n\n{text}\n", encoding="utf-8")
    found = check_quotes([document], measured)
    return found.quotes, [problem.removeprefix(f"{document}") for problem in found.problems]


@pytest.fixture
def round_figures(tmp_path: Path) -> Path:
    """Dense at 93.77 ± 0.12 %, in a folder `round`."""
    rows = [done(cell("dense", seed), top1) for seed, top1 in enumerate((0.9372, 0.9377, 0.9382))]
    write_report(rows, facts(), tmp_path / "round", TEXTS)
    return tmp_path


@pytest.mark.parametrize("figure", ["93.77 ± 0.12", "93.77", "93.8", "93.8 ± 0.1", "94"])
def test_a_figure_may_be_quoted_whole_without_its_interval_or_rounded(figure: str, round_figures: Path) -> None:
    assert quoting(round_figures, f"It reaches <!--rows round | Top-1 (%) | Dense-->{figure}<!--/rows--> %.") == (1, [])


@pytest.mark.parametrize("figure", ["93.76", "93.7", "93.77 ± 0.2", "93.770", "−93.77", "0.12", "much", ""])
def test_any_other_figure_is_wrong(figure: str, round_figures: Path) -> None:
    count, problems = quoting(round_figures, f"<!--rows round | Top-1 (%) | Dense-->{figure}<!--/rows-->")
    assert count == 1
    assert problems == [f":3: {figure!r} is quoted, and Top-1 (%) of Dense in round is '93.77 ± 0.12'"]


def test_a_line_of_paired_differences_is_named_by_several_cells(measured: Path) -> None:
    report = (measured / "vgg.cpu" / "report.md").read_text(encoding="utf-8")
    [line] = [line for line in report.splitlines() if line.startswith("| L1-norm | DNAL")]
    figure = line.split(" | ")[2]
    text = f"<!--rows vgg.cpu | Δ top-1 (points) | L1-norm | DNAL (λ = 1e-4)-->{figure}<!--/rows-->"
    assert quoting(measured, text) == (1, [])


@pytest.mark.parametrize(
    ("place", "problem"),
    [
        ("round | Top-1 (%)", "'round | Top-1 (%)' has not the form FOLDER | COLUMN | LINE"),
        ("round | Top1 (%) | Dense", "round: no table has a column 'Top1 (%)'; did you mean 'Top-1 (%)'?"),
        ("round | Top-1 (%) | Dens", "round: no line of Top-1 (%) begins with 'Dens'; did you mean 'Dense'?"),
    ],
)
def test_a_mark_that_leads_nowhere_says_what_was_meant(place: str, problem: str, round_figures: Path) -> None:
    assert quoting(round_figures, f"<!--rows {place}-->93.77<!--/rows-->") == (1, [f":3: {problem}"])


def test_a_mark_of_a_folder_without_rows_is_wrong(tmp_path: Path) -> None:
    [problem] = quoting(tmp_path, "<!--rows gone | Top-1 (%) | Dense-->93.77<!--/rows-->")[1]
    assert "recorded.json cannot be read" in problem


def test_a_mark_that_does_not_end_is_found(round_figures: Path) -> None:
    count, problems = quoting(round_figures, "<!--rows round | Top-1 (%) | Dense-->93.77")
    assert count == 0
    assert "no <!--/rows--> ends it" in problems[0]


def test_lines_that_cannot_be_told_apart_are_not_quoted(tmp_path: Path) -> None:
    partner = cell("dnal")
    rows = [done(partner, 0.9, 1_000_000)]
    rows += [
        done(cell("random", match=partner, cuts=cuts), top1, 1_000_000)
        for cuts, top1 in ((("inner",), 0.8), (("stream",), 0.7))
    ]
    write_report(rows, facts(), tmp_path / "two", TEXTS)
    [problem] = quoting(tmp_path, "<!--rows two | Top-1 (%) | Random @ DNAL MACs-->80.00<!--/rows-->")[1]
    assert "several lines begin with 'Random @ DNAL MACs': 80.00, 70.00" in problem
    mark = "<!--rows two | Δ top-1 (points) | Random | DNAL | inner-->−10.00<!--/rows-->"
    assert quoting(tmp_path, mark) == (1, [])
