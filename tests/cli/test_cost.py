"""`harness cost`: one network, and all networks of the published tables."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.paths import published_rows
from tests.cli.calling import call

DOCUMENT = Path(__file__).parents[2] / "docs" / "reference_backbones.md"
MARK = "<!-- python -m harness cost --published --markdown -->\n"


def test_the_baselines_of_all_seven_tables_are_counted_as_printed(tmp_path: Path) -> None:
    called = call(tmp_path, "cost", "--published", "--json")
    found = called.document
    assert called.status == 0
    assert found["agree"] is True
    assert [one["agrees"] for one in found["baselines"]] == [True] * 7
    counted = {one["backbone"]: (one["paper_flops"], one["paper_params"]) for one in found["baselines"]}
    assert counted["resnet56"] == (125_487_738, 853_018)
    assert counted["resnet50"] == (4_089_207_976, 25_549_352)
    assert counted["proxylessnas"] == (2_260_456_600, 16_034_168)


def test_the_document_has_the_table_that_the_command_prints(tmp_path: Path) -> None:
    printed = call(tmp_path, "cost", "--published", "--markdown").out
    text = DOCUMENT.read_text(encoding="utf-8")
    assert MARK in text
    assert text.split(MARK)[1].split("<!-- end -->")[0].strip() == printed.strip()


def test_a_count_that_is_not_the_printed_one_is_status_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (published_rows() / "dnal_2022.csv").read_text(encoding="utf-8")
    (tmp_path / "dnal_2022.csv").write_text(text.replace("125.49 M", "125.94 M"), encoding="utf-8")
    monkeypatch.setattr("harness.report.published.published_folder", lambda: tmp_path)
    called = call(tmp_path, "cost", "--published")
    assert called.status == 1
    assert [line.split()[0] for line in called.out.splitlines() if "NO" in line.split()] == ["resnet56"]


def test_a_large_network_shows_kinds_and_sizes_of_its_groups(tmp_path: Path) -> None:
    shown = call(tmp_path, "cost", "resnet56", "--dataset", "cifar10").out
    assert "27 inner groups of 16 to 64 channels, 1,008 in all" in shown
    assert "branch groups of 16 to 64 channels" in shown
    assert "layer1.0.conv1 " not in shown
    assert "(--groups lists them)" in shown


def test_all_groups_are_listed_when_asked_for(tmp_path: Path) -> None:
    found = call(tmp_path, "cost", "resnet20", "--dataset", "cifar10", "--json").document["groups"]
    shown = call(tmp_path, "cost", "resnet20", "--dataset", "cifar10", "--groups").out
    listed = [tuple(line.split()[:3]) for line in shown.splitlines() if line.endswith(" channels")]
    assert listed == [(group["name"], group["kind"], str(group["size"])) for group in found]


def test_the_papers_rule_is_told_of_shortcuts_only_where_there_are_any(tmp_path: Path) -> None:
    assert "shortcut" in call(tmp_path, "cost", "resnet20", "--dataset", "cifar10").out
    assert "shortcut" not in call(tmp_path, "cost", "vgg_digits", "--dataset", "digits").out


def test_names_with_slashes_and_resolutions_are_counted(tmp_path: Path) -> None:
    found = call(tmp_path, "cost", "torchvision/resnet18", "--dataset", "imagenet@64", "--json").document
    assert (found["backbone"], found["dataset"]) == ("torchvision/resnet18", "imagenet@64")
    assert found["params"] == 11_689_512


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["cost"], "error: which network?"),
        (["cost", "vgg16"], "error: on which data set? `cost vgg16 --dataset NAME`"),
        (["cost", "vgg16", "--published"], "error: --published counts the networks of the published tables"),
        (["cost", "--published", "--groups"], "error: --published goes with --json or --markdown"),
        (["cost", "vgg16", "--dataset", "cifar10", "--markdown"], "error: --markdown is for the table of --published"),
    ],
)
def test_a_mistake_is_one_line(words: list[str], line: str, tmp_path: Path) -> None:
    called = call(tmp_path, *words)
    assert (called.status, called.out) == (2, "")
    assert called.err.startswith(line)
    assert len(called.err.splitlines()) == 1
