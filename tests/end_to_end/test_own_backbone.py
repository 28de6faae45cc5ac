"""A network in a package of its own, as the how-to writes it, known by its entry point."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.data.pictures_on_disk import write_photographs

ROOT = Path(__file__).resolve().parents[2]
HOW_TO = ROOT / "docs" / "how_to_add_a_backbone.md"

ENTRY_POINTS = """\
[harness.backbones]
small_net = my_networks.small:SMALL_NET
not_there = my_networks.nowhere:NET
no_backbone = my_networks.small:COLOUR
taken = my_networks.taken:TAKEN
"""

TAKEN = """\
from harness.backbones import COLOUR, Backbone

TAKEN = Backbone("resnet20", "Another", "my_networks.small_torch:build", COLOUR)
"""

SUITE = """\
suite: mine
dataset: folder/tiny@32
backbones: [small_net]
seeds: [0]
recipe: {use: short_photographs, batch: 8, epochs: {dense: 1, search: 1, finetune: 1, baseline: 2}}
methods:
  - l1_norm: {budget: {macs: 0.7}}
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the how-to's package and the metadata that an installation leaves."""
    folder = tmp_path_factory.mktemp("site")
    package, info = folder / "my_networks", folder / "my_networks-1.0.dist-info"
    package.mkdir()
    info.mkdir()
    blocks = re.findall(r"`my_networks/(\w+)\.py`.*?```python\n(.*?)```", HOW_TO.read_text(), re.DOTALL)
    assert [name for name, _ in blocks] == ["small", "small_torch"]
    for name, text in [("__init__", ""), ("taken", TAKEN), *blocks]:
        (package / f"{name}.py").write_text(text)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: my-networks\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(ENTRY_POINTS)
    return folder


def python(site: Path, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{site}", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, *words]
    return subprocess.run(
        command, capture_output=True, text=True, cwd=folder, env=environment, timeout=600, check=False
    )


def test_it_is_listed_and_those_that_cannot_be_used_say_why(site: Path, tmp_path: Path) -> None:
    done = python(site, tmp_path, "-m", "harness", "list", "backbones", "--json")
    about = {row["name"]: row["about"] for row in json.loads(done.stdout)}
    assert about["small_net"].startswith("SmallNet, for images of 3 channels (cifar10")
    assert about["not_there"] == "not usable: ModuleNotFoundError: No module named 'my_networks.nowhere'"
    assert about["no_backbone"].endswith("is a Images, not a harness.backbones.Backbone")
    assert about["taken"] == "not usable: the name 'resnet20' is taken"


def test_it_is_counted_and_its_branch_is_found(site: Path, tmp_path: Path) -> None:
    done = python(site, tmp_path, "-m", "harness", "cost", "small_net", "--dataset", "cifar10", "--json")
    found = json.loads(done.stdout)
    convolutions = 16 * 16 * (3 * 16 * 9 + 2 * 16 * 16 * 9)
    assert found["macs"] == convolutions + 16 * 10
    assert {group["kind"] for group in found["groups"]} == {"inner", "branch", "stream"}


def test_a_slip_in_its_name_says_what_was_meant(site: Path, tmp_path: Path) -> None:
    done = python(site, tmp_path, "-m", "harness", "cost", "smal_net", "--dataset", "cifar10")
    assert done.returncode == 2
    assert "did you mean 'small_net'?" in done.stderr


KEYS = """\
from harness.plan.fingerprint import backbone_fingerprint
print(backbone_fingerprint("small_net"), backbone_fingerprint("resnet20"))
"""


def test_its_source_is_in_the_keys_and_that_of_shipped_networks_is_not(site: Path, tmp_path: Path) -> None:
    before = python(site, tmp_path, "-c", KEYS).stdout.split()
    assert before[1] == "None"
    source = site / "my_networks" / "small_torch.py"
    text = source.read_text()
    try:
        source.write_text(f"# a comment\n{text}")
        assert python(site, tmp_path, "-c", KEYS).stdout.split() == before
        source.write_text(text.replace("3, 2, 1, bias=False", "3, 1, 1, bias=False"))
        assert python(site, tmp_path, "-c", KEYS).stdout.split()[0] != before[0]
    finally:
        source.write_text(text)


def test_a_suite_cuts_it(site: Path, tmp_path: Path) -> None:
    write_photographs(tmp_path / "data")
    (tmp_path / "mine.yaml").write_text(SUITE)
    done = python(site, tmp_path, "-m", "harness", "run", "mine.yaml", "--executor", "inline", "--data", "data")
    assert done.returncode == 0, done.stderr
    report = (tmp_path / "results" / "runs" / "mine" / "report" / "report.md").read_text()
    assert "L1-norm @ 70 % MACs" in report
