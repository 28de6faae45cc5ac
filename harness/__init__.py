"""A declarative benchmark harness for methods that make convolutional networks smaller."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn

    from harness.store.rows import Row

__version__ = "0.1.0"


def load(
    source: str | Path | Row,
    cell: str | None = None,
    *,
    results: str | Path | None = None,
    profile: str | None = None,
    overrides: Sequence[str] = (),
) -> nn.Module:
    """The trained network of a cell, really narrow, in evaluation mode on the CPU.

    Args:
        source: a file that `export` wrote; or a suite (a file or a shipped name), with `cell`; or a row of a report,
            with `results`.
        cell: of a suite: the name of a cell, `method[point]/seed=…` or with backbone and data set before it.
        results: the results folder; default: where `run` puts the suite's.
        profile: of the suite.
        overrides: as of `--set`.

    Raises:
        UserError: there is no such file, suite or cell, the cell is not done, or its weights are damaged.
    """
    from harness.export.load import load as load_network  # torch is imported by who needs it

    return load_network(source, cell, results=results, profile=profile, overrides=overrides)
