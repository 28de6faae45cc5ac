"""The whole networks of the published tables, ours beside what was printed."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import UserError
from harness.plan.costs import NetworkCost
from harness.report.baselines import (
    Baseline,
    baseline_records,
    baselines,
    baselines_markdown,
    baselines_text,
)
from harness.report.numbers import as_printed
from harness.report.published import published_rows

HEAD = (
    "dataset,backbone,method,flops,flops_printed,flops_ratio,params,params_printed,params_ratio,"
    "top1,top5,search,epochs\n"
)


@pytest.mark.parametrize(
    ("count", "printed", "agrees"),
    [
        (313_472_778, "313.47 M", True),
        (313_474_999, "313.47 M", True),
        (313_475_000, "313.47 M", False),
        (313_464_999, "313.47 M", False),
        (15_470_281_960, "15.47 G", True),
        (16_034_168, "16.0 M", True),
        (16_050_000, "16.0 M", False),
        (190_400_000, "190 M", True),
    ],
)
def test_a_count_agrees_if_it_rounds_to_the_printed_digits(count: int, printed: str, agrees: bool) -> None:
    assert (as_printed(count, printed) == printed) == agrees


def vgg(paper_flops: int = 313_472_778, paper_params: int = 14_990_922) -> Baseline:
    row = published_rows("dnal_2022 / CIFAR-10 / VGG16")[0]
    return Baseline("CIFAR-10 / VGG16", "vgg16", "cifar10", row, NetworkCost(1, 2, paper_flops, paper_params))


def test_both_printed_counts_have_to_agree() -> None:
    assert vgg().agrees
    assert not vgg(paper_flops=313_460_000).agrees
    assert not vgg(paper_params=15_000_000).agrees


def test_what_was_not_counted_does_not_agree() -> None:
    row = published_rows("dnal_2022 / CIFAR-10 / VGG16")[0]
    assert not Baseline("CIFAR-10 / VGG16", "vgg16", "cifar10", row, None, "no torch").agrees


def test_every_table_of_the_paper_has_its_network_here() -> None:
    asked: list[tuple[str, str]] = []

    def count(backbone: str, data_set: str) -> NetworkCost:
        asked.append((backbone, data_set))
        return NetworkCost(0, 0, 0, 0)

    baselines(count)
    assert asked == [
        ("vgg16", "cifar10"),
        ("resnet56", "cifar10"),
        ("mobilenetv2", "cifar10"),
        ("vgg16_imagenet", "imagenet"),
        ("resnet50", "imagenet"),
        ("mobilenetv2_imagenet", "imagenet"),
        ("proxylessnas", "imagenet"),
    ]


def test_a_network_that_cannot_be_counted_is_told_not_raised() -> None:
    def refuse(backbone: str, data_set: str) -> NetworkCost:
        raise UserError(f"{backbone} is broken")

    found = baselines(refuse)
    assert [one.problem for one in found][:2] == ["vgg16 is broken", "resnet56 is broken"]
    assert "| `vgg16` | `cifar10` | — | 313.47 M | — | 14.99 M | NO | — | — |" in baselines_markdown(found)
    assert baseline_records(found)[0]["macs"] is None


def test_a_table_of_a_network_that_is_not_here_is_told_not_raised(tmp_path: Path) -> None:
    row = "CIFAR-10,AlexNet,Baseline,1000000,1.00 M,1.00,1000000,1.00 M,1.00,90.00,,,200\n"
    (tmp_path / "dnal_2022.csv").write_text(HEAD + row)
    [one] = baselines(lambda *_: NetworkCost(0, 0, 0, 0), tmp_path)
    assert one.problem == "no backbone is called AlexNet and fits CIFAR-10"
    assert "| CIFAR-10 / AlexNet | — | — |" in baselines_markdown([one])


def test_without_the_papers_rows_there_is_nothing_to_compare_with(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="unknown published paper 'dnal_2022'"):
        baselines(lambda *_: NetworkCost(0, 0, 0, 0), tmp_path)


def test_the_table_for_a_terminal_has_aligned_columns() -> None:
    lines = baselines_text([vgg(), vgg(paper_flops=5)]).splitlines()
    assert len({len(line) for line in lines}) == 1
    assert [line.split()[-3] for line in lines[1:]] == ["yes", "NO"]
