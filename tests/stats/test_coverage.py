"""How often the statistics are right, against the page that says so."""

from __future__ import annotations

from pathlib import Path

from tests.stats.coverage import coverage_markdown

PAGE = Path(__file__).parents[2] / "docs" / "coverage.md"


def test_the_page_is_what_the_simulation_prints_and_its_figures_are_what_is_claimed() -> None:
    printed = coverage_markdown()
    assert printed == PAGE.read_text(encoding="utf-8")
    rows = [line.strip("| ").split(" | ") for line in printed.splitlines() if line.startswith("| ")][1:]
    shares = {row[0]: [float(figure) for figure in row[2:]] for row in rows}
    for what, found in shares.items():
        if what.startswith("interval"):
            assert all(93 <= share <= 97 for share in found), what
    assert all(77 <= share <= 83 for share in shares["smallest detectable difference"])
    assert all(share <= 6.5 for share in shares["Holm over 15 comparisons of equal methods"])
    assert all(share <= 5 for share in shares["membership of a front"])
