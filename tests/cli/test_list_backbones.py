"""`harness list backbones`: short for people, whole for programs."""

from __future__ import annotations

from pathlib import Path

from harness.backbones import backbone_names
from harness.backbones.torchvision_names import TORCHVISION
from tests.cli.calling import call


def test_torchvisions_networks_take_one_line(tmp_path: Path) -> None:
    lines = call(tmp_path, "list", "backbones").out.splitlines()
    theirs = [line for line in lines if line.startswith("torchvision/")]
    assert len(theirs) == 1
    assert theirs[0].split()[:2] == ["torchvision/NAME", str(len(TORCHVISION))]
    assert max(map(len, lines)) <= 120


def test_a_program_gets_every_name_and_the_data_sets_that_fit(tmp_path: Path) -> None:
    rows = {row["name"]: row for row in call(tmp_path, "list", "backbones", "--json").document}
    assert tuple(rows) == backbone_names()
    assert rows["torchvision/resnet18"]["data_sets"] == ["cifar10", "imagenet"]
    assert rows["proxylessnas"]["data_sets"] == ["imagenet"]
    assert rows["vgg_digits"]["data_sets"] == ["digits"]
