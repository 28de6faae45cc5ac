"""The report as LaTeX."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.report.latex import escape, latex
from harness.report.table import tables

from .made_up import SHORT, cell, done, facts, failed, grid

HOSTILE = '<script> \\input{/etc/passwd} 50% & $x_1^2$ #1 ~ | "q" `b` {unbalanced \n\n {}} 漢字 λ̃ ñ'
UNESCAPED = re.compile(r"(?<!\\)[&%#_]")


def test_the_text_between_columns_is_escaped() -> None:
    suite = facts(titles={"dense": "50% & _more_ #1"})
    text = latex(tables([done(cell("dense"), 0.9)], suite), suite)
    assert r"50\% \& \_more\_ \#1 & " in text


@given(st.text())
def test_escaped_text_has_no_live_character_and_balanced_braces(text: str) -> None:
    found = escape(text)
    assert not UNESCAPED.search(found)
    assert "\n" not in found
    bare = re.sub(r"\\[{}]", "", found)
    assert bare.count("{") == bare.count("}")
    assert found.count("$") % 2 == found.count(r"\$") % 2


@pytest.mark.parametrize(
    ("text", "found"),
    [("λ̃ = 1{}", r"$\tilde{\lambda}$ = 1\{\}"), ("±", r"$\pm$"), ("漢", "[U+6F22]"), ("é", "é"), ("a-b", "a{-}b")],
)
def test_letters_that_tex_lacks_are_named(text: str, found: str) -> None:
    assert escape(text) == found


def test_the_digits_are_those_of_the_table() -> None:
    [made] = tables(grid(), facts())
    text = latex([made], facts())
    for line in made.main.lines:
        assert " & ".join(escape(part) for part in line.cells[1:]) in text


def test_published_rows_are_set_apart() -> None:
    suite = facts(published="dnal_2022 / CIFAR-10 / VGG16")
    text = latex(tables(grid(seeds=(0,)), suite), suite)
    assert r"\textit{Variational{-}pruning}~\textdaggerdbl{} & \textit{190 (1.65$\times$)}" in text


def test_a_note_of_a_published_row_is_marked_and_printed_once() -> None:
    suite = facts(published="dnal_2022 / CIFAR-10 / VGG16")
    text = latex(tables(grid(seeds=(0,)), suite), suite)
    assert r"\textit{GAL{-}0.1}~\textdaggerdbl{}~\textsuperscript{a} & " in text
    assert text.count(r"\par \textsuperscript{a} 93.42 is after fine{-}tuning") == 1


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="needs pdflatex")
def test_a_paper_can_read_it_whatever_the_names_are(tmp_path: Path) -> None:
    suite = facts(title=HOSTILE, titles={"dense": HOSTILE}, recipe=SHORT, published="dnal_2022 / CIFAR-10 / VGG16")
    rows = [*grid(strengths=(1e-4,), factor=19.9), failed(cell("dense", 7), HOSTILE)]
    (tmp_path / "report.tex").write_text(latex(tables(rows, suite), suite), encoding="utf-8")
    (tmp_path / "paper.tex").write_text(
        r"\documentclass[twocolumn]{article}\usepackage[utf8]{inputenc}\usepackage[T1]{fontenc}"
        r"\usepackage{booktabs,graphicx}\begin{document}\input{report.tex}\end{document}"
    )
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "paper.tex"]
    done_run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, errors="replace", check=False)
    assert done_run.returncode == 0, done_run.stdout[-2000:]
