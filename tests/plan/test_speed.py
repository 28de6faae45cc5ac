"""Planning is quick, and needs neither torch nor Ray."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from pathlib import Path

import pytest

from harness.plan.costs import network_cost
from harness.plan.stages import chain_of
from harness.plan.summary import totals
from harness.suite.load import load_suite

THOUSAND = """\
suite: thousand
dataset: digits
backbones: [vgg_digits]
seeds: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19]
recipe: short_digits
methods:
  - dense: {epochs: [baseline, total]}
  - dnal: {lambda_a: [1e-5, 2e-5, 3e-5, 4e-5, 5e-5, 6e-5]}
  - {each: [l1_norm, random, uniform], budget: {match: dnal}}
  - {each: [l1_norm, random, uniform], allocate: {from: dnal}}
  - {each: [l1_norm, random], budget: {macs: [0.5, 0.4, 0.3]}}
"""


@pytest.fixture
def thousand(tmp_path: Path) -> Path:
    network_cost("vgg_digits", "digits")  # counted once on every machine
    path = tmp_path / "thousand.yaml"
    path.write_text(THOUSAND)
    return path


def test_a_thousand_cells_are_planned_in_seconds(thousand: Path) -> None:
    started = time.process_time()
    cells = load_suite(str(thousand)).cells
    sums = totals([chain_of(each, {}) for each in cells], frozenset(), None, 1, "cpu", 1)
    assert time.process_time() - started < 6.0
    assert sums.cells == 1000


BLOCKED = """\
import sys
for name in ("torch", "torchvision", "ray", "torch_pruning", "fvcore"):
    sys.modules[name] = None
from harness.cli.app import run_app
sys.exit(run_app(sys.argv[1:]))
"""


@pytest.mark.parametrize("verb", [["plan", "{suite}", "--json"], ["run", "{suite}", "--dry-run"], ["--help"]])
def test_planning_imports_neither_torch_nor_ray(verb: list[str], thousand: Path, tmp_path: Path) -> None:
    words = [word.format(suite=thousand) for word in verb]
    done = subprocess.run(
        [sys.executable, "-c", BLOCKED, *words], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    if "--json" in verb:
        assert len(json.loads(done.stdout)["cells"]) == 1000


def test_help_takes_less_than_a_second_of_the_processor() -> None:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-m", "harness", "--help"], capture_output=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 1.0
