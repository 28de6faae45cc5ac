"""The committed table of what methods cost is the one that the recorded rows and the sources give."""

from __future__ import annotations

from pathlib import Path

from bench.method_costs import ROOT, code_lines, shared_files, table
from harness.registry import methods_folder


def test_the_committed_table_is_what_rows_and_sources_give() -> None:
    committed = (ROOT / "results" / "measured" / "methods.md").read_text()
    assert committed == table(), "write it anew: python bench/method_costs.py > results/measured/methods.md"


def test_comments_docstrings_and_blank_lines_are_no_code(tmp_path: Path) -> None:
    path = tmp_path / "method.py"
    text = '"""A text\nof two lines."""\n\n# why\nx = [\n    1,  # one\n]\n\n\ndef f():\n    """Says"""\n    return 1\n'
    path.write_text(text)
    assert code_lines(path) == 5


def test_code_that_a_method_shares_is_found_through_its_imports() -> None:
    assert methods_folder() / "_images.py" in shared_files("hrank")
    assert shared_files("l1_norm") == []
