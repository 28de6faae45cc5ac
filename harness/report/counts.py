"""Which counts a table shows: the paper's rule, the executed network's, or both side by side.

On a plain chain the two agree but for biases and batch norm. With shortcuts the paper's rule drops the columns that
read a cut channel although an identity path still feeds them, so that it says less than what is executed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from harness.report import numbers
from harness.report.entries import Entry
from harness.store.rows import Row

Counts = Literal["alike", "both", "executed"]
"""alike: FLOPs and Params by the paper's rule, and executed MACs; both: executed params too; executed: these alone."""


def shown_counts(found: Sequence[Entry], published: bool) -> Counts:
    """What a table has to show so that no figure stands for another one.

    Args:
        found: the printed lines.
        published: whether the suite names published rows, which only the paper's rule can be compared with.
    """
    done = [row for entry in found for row in entry.done]
    macs = numbers.unit_for([row.macs for row in done])
    params = numbers.unit_for([row.params for row in done])
    if not any(_differ(row, macs, params) for row in done):
        return "alike"
    return "both" if published else "executed"


def _differ(row: Row, macs: numbers.Unit, params: numbers.Unit) -> bool:
    """Whether the rules differ in printed digits by more than they do on every network.

    The paper's rule adds biases and batch norm to the MACs and leaves out the classifier's batch norm. What that makes
    of the whole network it can at most make of the cut one.
    """
    if row.macs is None or row.paper_flops is None or row.params is None or row.paper_params is None:
        return False
    added = max(0, (row.dense_paper_flops or 0) - (row.dense_macs or 0))
    left_out = max(0, (row.dense_params or 0) - (row.dense_paper_params or 0))
    flops = _beyond(row.paper_flops, row.macs, row.macs + added, macs)
    return flops or _beyond(row.paper_params, row.params - left_out, row.params, params)


def _beyond(count: int, low: int, high: int, unit: numbers.Unit) -> bool:
    nearest = min(max(count, low), high)
    return numbers.count(count, unit) != numbers.count(nearest, unit)
