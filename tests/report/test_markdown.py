"""The report as Markdown."""

from __future__ import annotations

import dataclasses
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.report.markdown import escape, markdown
from harness.report.table import tables
from harness.suite.recipe import Recipe

from .made_up import PAPER, SHORT, cell, done, facts, failed, grid

HOSTILE = "<script>alert(1)</script> | `a` _b_ *c* [x](javascript:y) $z$ & \n# new | line"


def test_a_table_has_as_many_bars_in_every_line() -> None:
    text = markdown(tables(grid(), facts(published="dnal_2022 / CIFAR-10 / VGG16")), facts())
    bars = {len(re.findall(r"(?<!\\)\|", line)) for line in text.splitlines() if line.startswith("| ")}
    assert bars == {11, 8, 14}


def test_published_rows_are_in_italics_and_marked() -> None:
    suite = facts(published="dnal_2022 / CIFAR-10 / VGG16")
    text = markdown(tables(grid(seeds=(0,)), suite), suite)
    assert "| *Variational-pruning* ‡ | *190 (1.65×)* |" in text
    assert "‡ published (dnal\\_2022 / CIFAR-10 / VGG16), not run here; " in text


@pytest.mark.parametrize("recipe", [PAPER, SHORT], ids=["beside", "apart"])
def test_a_note_of_a_published_row_is_marked_and_printed_once(recipe: Recipe) -> None:
    suite = facts(published="dnal_2022 / CIFAR-10 / VGG16", recipe=recipe)
    text = markdown(tables(grid(seeds=(0,), recipe=recipe), suite), suite)
    assert "| *GAL-0.1* ‡ <sup>a</sup> | *171.89 (1.82×)* |" in text
    assert text.count("- <sup>a</sup> 93.42 is after fine-tuning") == 1
    assert text.index("<sup>a</sup> |") < text.index("- <sup>a</sup>")


def test_parameters_that_are_the_same_in_every_row_stand_in_a_note() -> None:
    gates = cell("dnal", params={"lambda_a": 6e-5, "reference_steps": 5005}, shown=("lambda_a",))
    suite = facts()
    text = markdown(tables([done(dataclasses.replace(gates, constant=("reference_steps",)), 0.9)], suite), suite)
    assert "DNAL: reference\\_steps = 5005 in every row." in text
    assert text.count("5005") == 1


def test_hostile_names_stay_text_in_their_cell() -> None:
    suite = facts(title=HOSTILE, titles={"dense": HOSTILE})
    text = markdown(tables([done(cell("dense"), 0.9), failed(cell("dnal"), HOSTILE)], suite), suite)
    assert "<script" not in text
    assert not re.search(r"^# new", text, re.MULTILINE)
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in text.splitlines() if line.startswith("| ")} == {11}


@given(st.text())
def test_escaped_text_is_one_line_without_live_markup(text: str) -> None:
    found = escape(text)
    assert len(found.splitlines()) <= 1
    assert "<" not in found
    assert not re.search(r"(?<!\\)(?:\\\\)*[|`*_\[\]]", found)


def test_pictures_are_linked_by_relative_path() -> None:
    suite = facts()
    text = markdown(tables(grid(seeds=(0,)), suite), suite, {"vgg16": [("Top-1 over MACs", "pareto_macs.png")]})
    assert "![Top-1 over MACs](pareto_macs.png)" in text
