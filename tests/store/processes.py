"""Helpers: other processes that work on the same results folder."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def start(code: str, *arguments: object) -> subprocess.Popen[str]:
    """Runs `code` in a fresh interpreter with `arguments` in `sys.argv[1:]`; its output is piped."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def line(process: subprocess.Popen[str]) -> str:
    """Waits for the next line that a process prints."""
    assert process.stdout is not None
    return process.stdout.readline().strip()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())
