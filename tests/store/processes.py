"""Helpers: other processes that work on the same results folder, and what the machine allows."""

from __future__ import annotations

import subprocess
import sys
import tempfile
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


def permissions_bind() -> bool:
    """Whether this process is kept from writing to read-only folders (root mostly is not)."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o555)
        try:
            (folder / "file").touch()
        except PermissionError:
            return True
        finally:
            folder.chmod(0o755)
        return False
