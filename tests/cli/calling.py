"""Calls the command line in this process, as from a shell in a folder."""

from __future__ import annotations

import contextlib
import io
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

from harness.cli.app import run_app

SUITE = """\
suite: tiny
title: A tiny suite
dataset: {name: digits, train_images: 128}
backbones: [vgg_digits]
seeds: [0, 1]
recipe: short_digits
methods:
  - dense
  - l1_norm: {budget: {macs: 0.5}}
resources: {cpu: 1}
profiles:
  one_seed: {seeds: [0]}
"""

SHORT = [
    word
    for name, epochs in {"dense": 1, "search": 1, "finetune": 1, "baseline": 2}.items()
    for word in ("--set", f"recipe.epochs.{name}={epochs}")
]
"""Shrinks the suite to an epoch of everything."""


@dataclass(frozen=True)
class Called:
    """How a command ended: its exit status and what it printed."""

    status: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """What it printed, as one JSON document."""
        return json.loads(self.out)


def call(at: Path, *words: object) -> Called:
    """Runs `harness WORDS` in the folder `at`, without the user's own data folder."""
    out, err = io.StringIO(), io.StringIO()
    environment = {name: value for name, value in os.environ.items() if name != "HARNESS_DATA"}
    with (
        mock.patch.dict(os.environ, environment, clear=True),
        contextlib.chdir(at),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        status = run_app([str(word) for word in words])
    return Called(status, out.getvalue(), err.getvalue())


def files(folder: Path) -> list[str]:
    """All files and folders below a folder."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))
