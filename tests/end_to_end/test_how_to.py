"""The page "your method against DNAL" does what it says, block by block, in a copy of the checkout."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "how_to_your_method_against_dnal.md"
_BLOCK = re.compile(r"(?:^`(?P<file>[\w/.]+)`:\n\n)?^```(?P<kind>\w+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A block of the page: the text of a file, or commands."""

    file: str | None
    kind: str
    text: str


def blocks() -> list[Block]:
    return [Block(found["file"], found["kind"], found["text"]) for found in _BLOCK.finditer(PAGE.read_text())]


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a clone has, in a folder that may be written to."""
    copy = tmp_path_factory.mktemp("checkout")
    for folder in ("harness", "methods", "suites", "results/published"):
        shutil.copytree(ROOT / folder, copy / folder, ignore=shutil.ignore_patterns("__pycache__"))
    (copy / "tests" / "methods").mkdir(parents=True)
    shutil.copy(ROOT / "pyproject.toml", copy)
    return copy


def shell(line: str, folder: Path) -> subprocess.CompletedProcess[str]:
    assert line.startswith("python -m ")
    environment = {**os.environ, "PYTHONPATH": str(folder), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, *line.split()[1:]]
    return subprocess.run(
        command, capture_output=True, text=True, cwd=folder, env=environment, timeout=600, check=False
    )


def test_the_page_keeps_its_promise_of_forty_lines() -> None:
    written = [line for block in blocks() for line in block.text.splitlines() if line.strip()]
    assert 20 < len(written) <= 40


def test_every_block_is_a_file_or_commands() -> None:
    assert {block.kind for block in blocks() if block.file is None} == {"bash"}
    assert [block.file for block in blocks() if block.file] == ["methods/spread.py", "spread.yaml"]


@pytest.mark.slow
def test_the_blocks_run_from_first_to_last_and_end_in_the_table(checkout: Path) -> None:
    for block in blocks():
        if block.file is not None:
            (checkout / block.file).write_text(block.text)
            continue
        for line in block.text.splitlines():
            done = shell(line, checkout)
            assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
    [report] = re.findall(r"`(results/[\w./]+/report\.md)`", PAGE.read_text())
    table = (checkout / report).read_text()
    for title in (
        "| Dense ",
        "| DNAL ",
        "| Weight spread @ DNAL",
        "| Weight spread, widths of DNAL",
        "| Weight spread, new weights for equal epochs",
    ):
        assert title in table, table
    assert "Paired differences against DNAL" in table
