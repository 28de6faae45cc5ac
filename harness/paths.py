"""Where the files that ship with the harness lie: beside the package in a checkout, inside it once installed."""

from __future__ import annotations

import os
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def _shipped(checkout: str, installed: str) -> Path:
    inside = _PACKAGE / "shipped" / installed
    return inside if inside.is_dir() else _PACKAGE.parent / checkout


def shipped_suites() -> Path:
    """The folder of the suite files that ship with the harness."""
    return _shipped("suites", "suites")


def published_rows() -> Path:
    """The folder of the rows quoted from papers, one CSV file a paper."""
    return _shipped("results/published", "published")


def cache_folder() -> Path:
    """This user's cache of network costs and stage timings; removing it loses nothing but time."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "nas-harness"


def data_folder(given: Path | None = None) -> Path:
    """The folder of the data sets: as given, else `$HARNESS_DATA`, else `data/` in the current folder."""
    if given is not None:
        return given
    return Path(os.environ.get("HARNESS_DATA") or "data")


def results_of(suite: str, profile: str | None, given: Path | None = None) -> Path:
    """The results folder of a suite: as given, else `results/runs/SUITE` (`SUITE.PROFILE` under a profile)."""
    if given is not None:
        return given
    return Path("results") / "runs" / (suite if profile is None else f"{suite}.{profile}")
