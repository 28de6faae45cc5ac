"""The networks of the DNAL paper are those whose counts it prints (results/published/dnal_2022.csv)."""

from __future__ import annotations

import csv

import pytest

from harness.backbones import backbone
from harness.data.catalogue import data_set
from harness.paths import published_rows
from tests.backbones.counting import counted

EXACT = {
    ("vgg16", "cifar10"): (313_472_778, 14_990_922),
    ("resnet56", "cifar10"): (125_487_738, 853_018),
    ("mobilenetv2", "cifar10"): (91_172_498, 2_296_922),
    ("vgg16_imagenet", "imagenet"): (15_470_281_960, 138_365_992),
    ("resnet50", "imagenet"): (4_089_207_976, 25_549_352),
    ("mobilenetv2_imagenet", "imagenet"): (300_792_328, 3_504_872),
    ("proxylessnas", "imagenet"): (2_260_456_600, 16_034_168),
}
PROJECTIONS_ARE_PLAIN = {"resnet50": "downsample"}
"""The paper's code does not count the batch norms of ResNet50's projections; those of MobileNetV2 it does."""


@pytest.mark.parametrize(("name", "data"), EXACT)
def test_a_network_has_exactly_the_operations_and_parameters_of_the_papers_code(name: str, data: str) -> None:
    assert counted(name, data, PROJECTIONS_ARE_PLAIN.get(name, "")) == EXACT[name, data]


def test_the_batch_norms_of_the_projections_decide_between_the_two_rules() -> None:
    assert counted("resnet50", "imagenet") == (4_089_211_816, 25_557_032)
    assert counted("mobilenetv2", "cifar10", "shortcut_bn") == (91_172_042, 2_296_010)


@pytest.mark.parametrize(("name", "data"), EXACT)
def test_titles_and_counts_are_those_of_the_papers_baseline_rows(name: str, data: str) -> None:
    title = {"imagenet": "ImageNet-1K"}.get(data, data_set(data).title)
    with (published_rows() / "dnal_2022.csv").open(encoding="utf-8") as file:
        baselines = [
            row
            for row in csv.DictReader(file)
            if (row["dataset"], row["backbone"], row["method"]) == (title, backbone(name).title, "Baseline")
        ]
    assert len(baselines) == 1
    operations, parameters = EXACT[name, data]
    assert int(baselines[0]["params"]) == pytest.approx(parameters, rel=0.006)
    if baselines[0]["flops"]:
        assert int(baselines[0]["flops"]) == pytest.approx(operations, rel=0.001)
