"""The page of the contract names all that the contract has."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from harness import method as contract
from harness.authoring.check import AGREEMENT, TOLERANCE
from harness.authoring.new_method import FAMILIES
from harness.execute.contract import FARTHEST_FROM_BUDGET, LARGEST_DISAGREEMENT
from harness.suite.protocol import SCRATCHES, TRACKS

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "reference_method_contract.md").read_text()


def members(author: type) -> list[str]:
    """What a class declares itself, or a protocol asks for."""
    stated = [*vars(author), *getattr(author, "__annotations__", ())]
    return sorted({name for name in stated if not name.startswith("_")})


@pytest.mark.parametrize(
    "author",
    [
        contract.Task,
        contract.Method,
        contract.ScoreMethod,
        contract.RoundsMethod,
        contract.GateMethod,
        contract.SearchMethod,
        contract.BuildMethod,
    ],
    ids=lambda author: author.__name__,
)
def test_every_member_is_on_the_page(author: type) -> None:
    missing = [name for name in members(author) if f"`{name}`" not in PAGE and f"`{name}(" not in PAGE]
    assert missing == []


def test_every_part_of_a_decision_is_on_the_page() -> None:
    fields = [field.name for field in dataclasses.fields(contract.Compressed)]
    assert [name for name in fields if f"`{name}`" not in PAGE] == []


def test_families_tracks_and_controls_are_on_the_page() -> None:
    for family in (family for family in FAMILIES if family != "plain"):
        assert f"`{family.capitalize()}Method`" in PAGE
    assert all(f"`track: {track}`" in PAGE for track in TRACKS)
    assert all(f"`scratch: {mode}`" in PAGE for mode in SCRATCHES)


def test_the_tolerances_on_the_page_are_those_of_the_code() -> None:
    assert f"{100 * TOLERANCE:g} % in the check" in PAGE
    assert f"above {100 * FARTHEST_FROM_BUDGET:g} %" in PAGE
    assert AGREEMENT == {"float64": 1e-10, "float32": 1e-5}
    assert "1e-10 in float64, 1e-5 in float32 | 1e-3 in float32" in PAGE
    assert LARGEST_DISAGREEMENT == 1e-3
