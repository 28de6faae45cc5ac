"""The reference page says the truth about the methods that score."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from harness.registry import methods
from tests.methods.scoring import SCORING

PAGE = Path(__file__).parents[2] / "docs" / "reference_methods.md"


@pytest.mark.parametrize("name", SCORING)
def test_a_row_has_the_paper_and_all_parameters_with_their_defaults(name: str) -> None:
    author = methods()[name]
    (row,) = (line for line in PAGE.read_text("utf-8").splitlines() if re.match(rf"\| `{name}` \| .*\| dense \|", line))
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert author.paper is not None
    assert cells[1].startswith(author.paper.authors.split(",")[0])
    assert cells[1].endswith(f"{author.paper.venue} {author.paper.year}")
    stated = dict(re.findall(r"`(\w+)`: ([\w.]+)", cells[5]))
    assert stated == {key: str(field.default) for key, field in author.Params.model_fields.items()}


@pytest.mark.parametrize("name", ["gdp", "thinet"])
def test_a_row_of_a_method_in_rounds_has_the_paper_and_all_parameters(name: str) -> None:
    author = methods()[name]
    rows = [line for line in PAGE.read_text("utf-8").splitlines() if re.match(rf"\| `{name}` \| .*\| dense \|", line)]
    assert len(rows) == 1
    cells = [cell.strip() for cell in rows[0].strip("|").split("|")]
    assert author.paper is not None
    assert cells[1].startswith(author.paper.authors.split(",")[0])
    assert f"{author.paper.venue} {author.paper.year}" in cells[1]
    assert set(re.findall(r"`(\w+)`", cells[5])) == set(author.Params.model_fields)


def test_modules_that_methods_share_are_no_methods() -> None:
    assert not any(name.startswith("_") for name in methods())
