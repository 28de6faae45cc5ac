"""Rows that others printed."""

from __future__ import annotations

import pytest

from harness.errors import UserError
from harness.report.published import (
    comparable,
    not_comparable,
    published_papers,
    published_rows,
    published_tables,
)
from harness.suite.cell import DataChoice

from .made_up import SHORT, facts

VGG = "dnal_2022 / CIFAR-10 / VGG16"


@pytest.mark.parametrize(
    ("table", "rows"),
    [
        ("CIFAR-10 / VGG16", 11),
        ("CIFAR-10 / ResNet56", 15),
        ("CIFAR-10 / MobileNetV2", 15),
        ("ImageNet-1K / VGG16", 10),
        ("ImageNet-1K / ResNet50", 21),
        ("ImageNet-1K / MobileNetV2", 4),
        ("ImageNet-1K / ProxylessNAS", 17),
    ],
)
def test_the_seven_tables_are_there(table: str, rows: int) -> None:
    assert len(published_rows(f"dnal_2022 / {table}")) == rows


def test_counts_are_plain_and_agree_with_what_was_printed() -> None:
    baseline, first = published_rows(VGG)[:2]
    assert (baseline.flops, baseline.flops_printed, baseline.params) == (313_470_000, "313.47 M", 14_990_000)
    assert (first.method, first.top1, first.epochs) == ("DNAL (λ = 1e-5)", "93.82", "100+20+120")


@pytest.mark.parametrize("table", ["CIFAR-10 / ResNet56", "ImageNet-1K / ResNet50"])
def test_printed_ratios_are_those_of_the_counts_up_to_rounding(table: str) -> None:
    rows = published_rows(f"dnal_2022 / {table}")
    for row in rows:
        if row.flops and rows[0].flops:
            assert rows[0].flops / row.flops == pytest.approx(float(row.flops_ratio), rel=0.011)


@pytest.mark.parametrize(
    ("table", "method", "words"),
    [
        ("ImageNet-1K / VGG16", "Baseline", "identical to the usual figures of ResNet50; probably a slip"),
        ("CIFAR-10 / ResNet56", "NISP", "identical to NISP's row in HRank's table; probably wrong"),
        ("ImageNet-1K / VGG16", "SSR-L2,1", "identical to those of ThiNet's VGG16"),
        ("CIFAR-10 / ResNet56", "AMC", "from a baseline of 92.8"),
        ("ImageNet-1K / ProxylessNAS", "DARTS", "the search itself takes 50"),
    ],
)
def test_a_row_that_is_misquoted_or_not_comparable_says_so(table: str, method: str, words: str) -> None:
    [row] = [row for row in published_rows(f"dnal_2022 / {table}") if row.method == method]
    assert words in row.note


def test_the_papers_own_results_carry_no_note_but_baselines() -> None:
    for rows in published_tables(published_papers()["dnal_2022"]).values():
        assert not any(row.note for row in rows if row.family == "DNAL")


def test_flgc_rows_have_one_note() -> None:
    rows = published_rows("dnal_2022 / CIFAR-10 / MobileNetV2")
    assert len({row.note for row in rows if row.family == "FLGC"}) == 1


@pytest.mark.parametrize(
    ("reference", "hint"),
    [
        ("dnal_2202 / CIFAR-10 / VGG16", "did you mean 'dnal_2022'"),
        ("dnal_2022 / CIFAR-10 / VGG61", "did you mean 'CIFAR-10 / VGG16'"),
        ("dnal_2022", "has not the form"),
    ],
)
def test_a_wrong_reference_says_what_was_meant(reference: str, hint: str) -> None:
    with pytest.raises(UserError, match=hint):
        published_rows(reference)


def test_the_papers_own_protocol_is_comparable() -> None:
    assert comparable(facts(published=VGG))


def test_imagenet_is_called_by_either_of_its_names() -> None:
    table = "dnal_2022 / ImageNet-1K / ResNet50"
    suite = facts(published=table, backbones=("resnet50",), data=DataChoice("imagenet"))
    assert not any("data set" in reason for reason in not_comparable(suite, "resnet50", published_rows(table)))
    small = facts(published=table, backbones=("resnet50",), data=DataChoice("imagenet@64"))
    assert any("data set" in reason for reason in not_comparable(small, "resnet50", published_rows(table)))


def test_a_suite_without_published_rows_has_nothing_to_compare() -> None:
    assert not comparable(facts())


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"backbones": ("vgg16_half",)}, "our network is VGG16 (half width), the paper's VGG16"),
        ({"data": DataChoice("digits")}, "our data set is Digits (8 × 8), the paper's CIFAR-10"),
        ({"data": DataChoice("cifar10", 10_000)}, "we train on 10,000 images of CIFAR-10, the paper on all"),
        ({"recipe": SHORT}, "our epochs are 8+3+9 (baseline 16), the paper's 100+20+120 (baseline 200)"),
    ],
)
def test_another_backbone_data_or_length_is_not_comparable(changes: dict[str, object], why: str) -> None:
    suite = facts(published=VGG, **changes)
    assert not_comparable(suite, suite.backbones[0], published_rows(VGG)) == (why,)
    assert not comparable(suite)
