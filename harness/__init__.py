"""A declarative benchmark harness for methods that make convolutional networks smaller."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn

    from harness.method import Method
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


def check_method(
    author: type[Method],
    *,
    params: dict[str, Any] | None = None,
    budgets: Sequence[float] = (1.0, 0.5, 0.2),
    backbone: str = "vgg_digits",
    dataset: str = "digits",
) -> None:
    """Runs a method on a few hundred images and checks every invariant of the contract; for its author's tests.

    Args:
        author: the method's class; it need not be installed or in `methods/`.
        params: its parameters, where the defaults will not do.
        budgets: shares of the dense network's MACs that it is driven to, if it takes a budget.
        backbone: the network.
        dataset: its images; they must be there.

    Raises:
        BrokenContract: an AssertionError with one line for each invariant that does not hold, with both numbers.
        UserError: the class is not finished, or its name is taken.
    """
    from harness.authoring.check import check  # torch is imported by who needs it

    check(author, params=params or {}, budgets=budgets, backbone=backbone, dataset=dataset)
