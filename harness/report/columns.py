"""The columns of a table: what each says of our lines and of published ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from harness.report import notes, numbers
from harness.report.counts import Counts
from harness.report.entries import Cost, Entry
from harness.report.facts import SuiteFacts
from harness.report.numbers import MISSING
from harness.report.published import PublishedRow


@dataclass(frozen=True)
class Column:
    """One column.

    Attributes:
        heading: with the unit.
        ours: its text in a line of our own.
        theirs: its text in a published line.
        words: whether it holds words, not numbers.
    """

    heading: str
    ours: Callable[[Entry], str]
    theirs: Callable[[PublishedRow], str]
    words: bool = False


def nothing(_: object) -> str:
    """The text of a column in lines that it does not apply to."""
    return MISSING


def main_columns(
    found: Sequence[Entry], quoted: Sequence[PublishedRow], beside: bool, counts: Counts, facts: SuiteFacts
) -> list[Column]:
    """The columns of the main table; those that no line would fill are left out, words come first.

    Args:
        found: our lines.
        quoted: the published rows of the suite's table.
        beside: whether they stand among ours.
        counts: which costs are shown.
        facts: of the suite.
    """
    theirs = quoted if beside else ()
    columns = [Column("Model", lambda entry: entry.title, lambda row: row.method, words=True)]
    if any(row.search for row in theirs):
        columns.append(Column("Search", lambda entry: facts.search_kind(entry.cell.method), _search, words=True))
    if facts.rows == "held_out":
        columns.append(Column("Held-out (%)", _held_out, nothing))
    columns += _costs(found, quoted, theirs, counts)
    columns.append(Column("Top-1 (%)", lambda entry: _accuracy(entry, "top1"), lambda row: row.top1 or MISSING))
    if any(entry.best_test for entry in found):
        columns.append(Column("Best test epoch (%) †", _best_test, nothing))
    if any(entry.accuracy("top5") for entry in found) or any(row.top5 for row in theirs):
        columns.append(Column("Top-5 (%)", lambda entry: _accuracy(entry, "top5"), lambda row: row.top5 or MISSING))
    if len({entry.train_images for entry in found if entry.done}) > 1:
        columns.append(Column("Trained on", lambda entry: entry.train_images or MISSING, nothing))
    if notes.common_cuts(found) is None:
        columns.append(Column("Cuts", lambda entry: MISSING if entry.is_whole else entry.cuts, nothing))
    if len({entry.cell.track for entry in found}) > 1:
        columns.append(Column("Track", lambda entry: entry.cell.track, nothing))
    columns.append(Column("Cost (epochs)", lambda entry: entry.epochs or MISSING, _epochs))
    columns += _training(found)
    columns.append(Column("Seeds", _seeds, nothing))
    return columns


def apart_columns(published: Sequence[PublishedRow]) -> list[Column]:
    """The columns of published rows in a block of their own: those that a row fills."""
    flops = numbers.unit_for([row.flops for row in published])
    params = numbers.unit_for([row.params for row in published])
    columns = [
        Column("Model", nothing, lambda row: row.method, words=True),
        Column("Search", nothing, _search, words=True),
        Column(flops.named("FLOPs"), nothing, lambda row: _printed(row.flops_printed, row.flops_ratio, flops)),
        Column(params.named("Params"), nothing, lambda row: _printed(row.params_printed, row.params_ratio, params)),
        Column("Top-1 (%)", nothing, lambda row: row.top1 or MISSING),
        Column("Top-5 (%)", nothing, lambda row: row.top5 or MISSING),
        Column("Cost (epochs)", nothing, _epochs),
    ]
    return [column for column in columns if any(column.theirs(row) != MISSING for row in published)]


def _costs(
    found: Sequence[Entry], quoted: Sequence[PublishedRow], theirs: Sequence[PublishedRow], counts: Counts
) -> list[Column]:
    flops, params, told = "FLOPs", "Params", counts != "executed"
    if counts == "both":
        flops, params = "FLOPs, paper's rule", "Params, paper's rule"
    columns = []
    # A published table without FLOPs leaves the paper's FLOPs nothing to be compared with.
    unprinted = counts == "both" and not any(row.flops for row in quoted)
    if told and not unprinted and (any(entry.spread("paper_flops") for entry in found) or theirs):
        columns.append(_cost(flops, "paper_flops", found, theirs))
    if told and (any(entry.spread("paper_params") for entry in found) or theirs):
        columns.append(_cost(params, "paper_params", found, theirs))
    columns.append(_cost("Executed MACs", "macs", found, ()))
    if counts != "alike":
        columns.append(_cost("Executed params", "params", found, ()))
    return columns


def _cost(heading: str, name: Cost, found: Sequence[Entry], theirs: Sequence[PublishedRow]) -> Column:
    flops = name == "paper_flops"
    ours = [spread.mean for entry in found if (spread := entry.spread(name)) is not None]
    unit = numbers.unit_for([*ours, *(row.flops if flops else row.params for row in theirs)])

    def text(entry: Entry) -> str:
        spread, ratio = entry.spread(name), entry.ratio(name)
        if spread is None:
            return MISSING
        return numbers.count(spread.mean, unit) + (f" ({numbers.ratio(ratio)})" if ratio is not None else "")

    def published_text(row: PublishedRow) -> str:
        if name not in ("paper_flops", "paper_params"):
            return MISSING
        printed, ratio = (row.flops_printed, row.flops_ratio) if flops else (row.params_printed, row.params_ratio)
        return _printed(printed, ratio, unit)

    return Column(unit.named(heading), text, published_text)


def _printed(printed: str, ratio: str, unit: numbers.Unit) -> str:
    """A published cost and its ratio with the digits that were printed."""
    if not printed:
        return MISSING
    return numbers.printed_count(printed, unit) + (f" ({ratio}×)" if ratio else "")


def _training(found: Sequence[Entry]) -> list[Column]:
    macs = {entry.point: spread.mean for entry in found if (spread := entry.spread("training_macs")) is not None}
    seconds = {entry.point: spread.mean for entry in found if (spread := entry.spread("device_seconds")) is not None}
    unit = numbers.unit_for(macs.values())
    symbol, size = numbers.time_unit(seconds.values())
    columns = []
    if macs:
        columns.append(
            Column(
                unit.named("Training MACs"),
                lambda entry: numbers.count(macs[entry.point], unit) if entry.point in macs else MISSING,
                nothing,
            )
        )
    if seconds:
        columns.append(
            Column(
                f"Device time ({symbol})",
                lambda entry: f"{seconds[entry.point] / size:.1f}" if entry.point in seconds else MISSING,
                nothing,
            )
        )
    return columns


def _search(row: PublishedRow) -> str:
    return row.search or MISSING


def _epochs(row: PublishedRow) -> str:
    return row.epochs or MISSING


def _accuracy(entry: Entry, name: str) -> str:
    found = entry.accuracy("top1" if name == "top1" else "top5")
    return numbers.interval(found) if found is not None else MISSING


def _best_test(entry: Entry) -> str:
    return numbers.interval(entry.best_test) if entry.best_test is not None else MISSING


def _held_out(entry: Entry) -> str:
    return numbers.interval(entry.held_out) if entry.held_out is not None else MISSING


def _seeds(entry: Entry) -> str:
    done, asked = len(entry.done), len(entry.rows)
    return str(done) if done == asked else f"{done} of {asked}"
