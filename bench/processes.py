"""Whole processes as a user starts them: how long they take and the most memory they hold."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.paths import data_folder

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Ran:
    """What became of a process.

    Attributes:
        seconds: wall clock, from start to end.
        peak: the most memory that it, or one child that it waited for, has held (resident set), MB.
        output: its standard output.
    """

    seconds: float
    peak: float
    output: str


def run(words: list[str], folder: Path) -> Ran:
    """Runs `python WORDS...` in a folder, with this checkout to import from and a cache of its own there.

    Raises:
        RuntimeError: it failed; the last line that it wrote on standard error.
    """
    environment: Mapping[str, str] = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "XDG_CACHE_HOME": str(folder / "cache"),
        "HARNESS_DATA": str(data_folder().resolve()),
    }
    with tempfile.TemporaryDirectory() as temporary, tempfile.TemporaryFile("w+") as errors:
        into = Path(temporary) / "peak.json"
        done = subprocess.run(
            [sys.executable, str(ROOT / "bench" / "peak.py"), str(into), sys.executable, *words],
            check=True,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
        facts = json.loads(into.read_text())
        if facts["ended"] != 0:
            errors.seek(0)
            last = (errors.read().strip().splitlines() or ["no word"])[-1]
            raise RuntimeError(f"{' '.join(words[:4])} ended with {facts['ended']}: {last}")
        return Ran(facts["seconds"], facts["peak"], done.stdout)


def harness(words: list[str], folder: Path) -> Ran:
    """Runs `python -m harness WORDS...`."""
    return run(["-m", "harness", *words], folder)
