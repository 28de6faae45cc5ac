"""Files of a report."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from harness.errors import UserError
from harness.report.write import write_report

from .made_up import cell, facts, grid, waiting


def test_all_formats_are_written(tmp_path: Path) -> None:
    paths = write_report(grid(seeds=(0,)), facts(), tmp_path / "new" / "report")
    pictures = {
        f"{name}.{kind}"
        for name in ("pareto_macs", "pareto_params", "widths", "gates", "curves", "cost")
        for kind in ("png", "pdf")
    }
    texts = {"report.md", "report.tex", "table.csv", "differences.csv", "rows.csv", "rows.jsonl", "curves.csv"}
    texts |= {"fair.csv", "recorded.json"}
    assert {path.name for path in paths} == pictures | texts
    assert {path.name for path in (tmp_path / "new" / "report").iterdir()} == pictures | texts


def test_published_rows_are_written_as_data_where_there_are_any(tmp_path: Path) -> None:
    suite = facts(published="dnal_2022 / CIFAR-10 / VGG16")
    assert "published.csv" in [path.name for path in write_report(grid(seeds=(0,)), suite, tmp_path, ["csv"])]


def test_only_the_wanted_formats_are_written(tmp_path: Path) -> None:
    assert [path.name for path in write_report(grid(seeds=(0,)), facts(), tmp_path, ["md"])] == ["report.md"]
    assert "![" not in (tmp_path / "report.md").read_text()


def test_the_markdown_links_the_pictures_written_with_it(tmp_path: Path) -> None:
    write_report(grid(seeds=(0,)), facts(), tmp_path, ["md", "png"])
    linked = [
        line.split("](")[1][:-1] for line in (tmp_path / "report.md").read_text().splitlines() if line.startswith("![")
    ]
    names = ("pareto_macs", "pareto_params", "widths", "gates", "curves", "cost")
    assert linked == [f"{name}.png" for name in names]
    assert all((tmp_path / name).is_file() for name in linked)


def test_with_several_backbones_each_has_its_own_pictures(tmp_path: Path) -> None:
    rows = grid(strengths=(1e-4,), seeds=(0,)) + grid(strengths=(1e-4,), seeds=(0,), backbone="vgg16_half")
    write_report(rows, facts(backbones=("vgg16", "vgg16_half"), x=("macs",)), tmp_path, ["png"])
    assert (tmp_path / "pareto_macs_vgg16.png").is_file()
    assert (tmp_path / "pareto_macs_vgg16_half.png").is_file()


def test_a_suite_of_which_nothing_has_run_has_a_report(tmp_path: Path) -> None:
    write_report([waiting(cell("dense"))], facts(), tmp_path)
    assert "1 cell: 1 waiting." in (tmp_path / "report.md").read_text()


def test_a_repeated_report_is_the_same_byte_for_byte(tmp_path: Path) -> None:
    rows = grid(strengths=(1e-4,), seeds=(0, 1))
    first, second = (write_report(rows, facts(), tmp_path / name, ["md", "latex", "csv"]) for name in ("a", "b"))
    assert all(one.read_bytes() == other.read_bytes() for one, other in zip(first, second, strict=True))


def test_an_unknown_format_says_what_was_meant(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="did you mean 'latex'"):
        write_report([], facts(), tmp_path, ["latx"])


def test_a_folder_that_cannot_be_written_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write"):
        write_report(grid(seeds=(0,)), facts(), tmp_path / "file", ["md"])


def test_neither_torch_nor_ray_is_imported() -> None:
    code = (
        "import sys; import harness.report.write, harness.report.plots, harness.stats.pareto; "
        "from harness.registry import methods; methods(); "
        "print([name for name in ('torch', 'ray', 'pandas', 'scipy.stats', 'matplotlib') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
