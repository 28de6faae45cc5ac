"""`harness report` of recorded rows, and its check."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.report.write import write_report
from tests.cli.calling import call, files
from tests.report.made_up import facts, grid


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder with committed results and a README that quotes them."""
    folder = tmp_path / "results" / "measured" / "vgg.cpu"
    write_report(grid(strengths=(1e-4,), seeds=(0,)), facts(), folder, ["md", "latex", "csv"])
    line = next(line for line in (folder / "report.md").read_text().splitlines() if line.startswith("| Dense |"))
    top1 = line.split(" | ")[4]
    (tmp_path / "README.md").write_text(f"<!--rows vgg.cpu | Top-1 (%) | Dense-->{top1}<!--/rows--> %\n")
    return tmp_path


def test_committed_reports_and_quoted_figures_are_checked_without_a_suite(checkout: Path) -> None:
    found = call(checkout, "report", "--check")
    assert (found.status, found.err) == (0, "")
    assert found.out == "9 texts of reports, 1 quoted figures: all are what the rows give\n"


def test_a_report_that_differs_fails_with_the_difference(checkout: Path) -> None:
    report = checkout / "results" / "measured" / "vgg.cpu" / "report.md"
    report.write_text(report.read_text().replace("Dense", "Dence", 1))
    found = call(checkout, "report", "--check")
    assert found.status == 1
    assert "-| Dence" in found.out
    assert "+| Dense" in found.out
    assert found.err.startswith("9 texts of reports, 1 quoted figures: 1 differ from the rows;")


def test_a_quoted_figure_that_differs_fails(checkout: Path) -> None:
    readme = checkout / "README.md"
    readme.write_text(readme.read_text().replace("-->9", "-->8"))
    found = call(checkout, "report", "--check")
    assert found.status == 1
    assert found.out.startswith("README.md:1: '8")


def test_a_measured_folder_without_recorded_rows_fails(checkout: Path) -> None:
    (checkout / "results" / "measured" / "other").mkdir()
    found = call(checkout, "report", "--check")
    assert found.status == 1
    assert "other: has no recorded.json" in found.out


def test_the_check_writes_nothing(checkout: Path) -> None:
    before = files(checkout)
    call(checkout, "report", "--check")
    call(checkout, "report", "--check", "--recorded", "results/measured/vgg.cpu")
    assert files(checkout) == before


def test_outside_a_checkout_the_check_says_where_to_run_it(tmp_path: Path) -> None:
    found = call(tmp_path, "report", "--check")
    assert found.status == 2
    assert found.err.startswith("error: there is no results/measured here")


def test_a_report_is_made_of_recorded_rows_without_their_suite(checkout: Path) -> None:
    made = call(checkout, "report", "--recorded", "results/measured/vgg.cpu", "--into", "again", "--format", "md")
    assert made.status == 0
    again = (checkout / "again" / "report.md").read_bytes()
    assert again == (checkout / "results" / "measured" / "vgg.cpu" / "report.md").read_bytes()


def test_recorded_rows_as_json_are_one_document(checkout: Path) -> None:
    found = call(checkout, "report", "--recorded", "results/measured/vgg.cpu", "--json")
    assert found.document["suite"] == "made_up"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "which suite?"),
        (("quickstart", "--recorded", "x"), "not of both"),
        (("--check", "--json"), "leave out --json"),
        (("--recorded", "gone"), "recorded.json cannot be read"),
        (("--recorded", "x", "--format", "markdow"), "unknown format 'markdow'"),
    ],
)
def test_mistakes_are_one_line(words: tuple[str, ...], message: str, tmp_path: Path) -> None:
    found = call(tmp_path, "report", *words)
    assert found.status == 2
    assert message in found.err
    assert len(found.err.splitlines()) == 1
