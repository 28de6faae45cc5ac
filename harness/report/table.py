"""The table of a suite: lines of text that every format prints alike, and the entries behind them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from harness.report import notes, numbers
from harness.report.entries import Cost, Entry, entries, sorted_by_cost, sorted_by_held_out
from harness.report.facts import SuiteFacts
from harness.report.numbers import MISSING
from harness.report.paired import Difference, differences
from harness.report.published import PublishedRow, not_comparable, published_rows
from harness.store.rows import Row


@dataclass(frozen=True)
class Line:
    """One printed line.

    Attributes:
        cells: one text a column.
        marks: footnote letters.
        published: quoted from a paper.
    """

    cells: tuple[str, ...]
    marks: tuple[str, ...] = ()
    published: bool = False


@dataclass(frozen=True)
class Block:
    """Lines under a header, with a heading of their own and what a reader must know of them.

    The first `text_columns` are words, the rest numbers.
    """

    heading: str
    header: tuple[str, ...]
    lines: tuple[Line, ...]
    notes: tuple[str, ...] = ()
    text_columns: int = 1


@dataclass(frozen=True)
class Table:
    """What a suite found for one backbone.

    Attributes:
        backbone: its name.
        title: backbone and data set, for people.
        entries: one a printed line of our own, in the order printed.
        above: what comes before the table.
        main: the table itself; published rows among ours where they are comparable.
        footnotes: (letter, text).
        paired: one block for each method that others are compared with.
        published: the published rows' own block, where they are not comparable.
        quoted: all published rows.
        differences: behind `paired`.
    """

    backbone: str
    title: str
    entries: tuple[Entry, ...]
    above: tuple[str, ...]
    main: Block
    footnotes: tuple[tuple[str, str], ...]
    paired: tuple[Block, ...]
    published: Block | None
    quoted: tuple[PublishedRow, ...]
    differences: tuple[Difference, ...]

    @property
    def beside(self) -> tuple[PublishedRow, ...]:
        """The published rows that may stand among ours."""
        return self.quoted if self.published is None else ()


def tables(rows: Sequence[Row], facts: SuiteFacts) -> list[Table]:
    """One table for each backbone, in the suite's order.

    Raises:
        UserError: the suite names a published table that does not exist.
    """
    published = published_rows(facts.published) if facts.published is not None else []
    by_backbone: dict[str, list[Row]] = {name: [] for name in facts.backbones}
    for row in rows:
        by_backbone.setdefault(row.cell.backbone, []).append(row)
    return [_table(backbone, own, facts, published) for backbone, own in by_backbone.items()]


def _table(backbone: str, rows: Sequence[Row], facts: SuiteFacts, published: list[PublishedRow]) -> Table:
    order = sorted_by_held_out if facts.rows == "held_out" else sorted_by_cost
    found = order(entries(rows, facts))
    shown = [entry for entry in found if entry.done or entry.failed]
    reasons = not_comparable(facts, backbone, published) if published else ()
    beside = [] if reasons else published
    letters = notes.Letters()
    columns = _columns(shown, beside, held_out=facts.rows == "held_out")
    lines: list[tuple[Line, float | None]] = []
    for entry in shown:
        marks = tuple(letters.letter(text) for text in notes.footnotes(entry))
        flops = entry.spread("paper_flops") or entry.spread("macs")
        line = Line(tuple(column.ours(entry) for column in columns), marks)
        lines.append((line, float("inf") if entry.is_whole else flops.mean if flops is not None else None))
    for published_row in beside:
        line = Line(tuple(column.theirs(published_row) for column in columns), published=True)
        _insert(lines, line, published_row.flops)
    compared = differences(shown)
    return Table(
        backbone=backbone,
        title=f"{facts.backbone_title(backbone)} on {facts.data_title}",
        entries=tuple(shown),
        above=notes.above(rows, [entry for entry in found if not (entry.done or entry.failed)]),
        main=Block(
            heading="",
            header=tuple(column.heading for column in columns),
            lines=tuple(line for line, _ in lines),
            notes=notes.footer(shown, facts, facts.published if beside else None),
        ),
        footnotes=letters.texts,
        paired=_paired(compared, facts),
        published=_apart(published, reasons, facts) if reasons else None,
        quoted=tuple(published),
        differences=tuple(compared),
    )


def _insert(lines: list[tuple[Line, float | None]], line: Line, flops: int | None) -> None:
    """Puts a published line before the first of ours that costs less."""
    place = len(lines)
    for position, (_, own) in enumerate(lines):
        if flops is not None and own is not None and own < flops:
            place = position
            break
    lines.insert(place, (line, float(flops) if flops is not None else None))


@dataclass(frozen=True)
class _Column:
    heading: str
    ours: Callable[[Entry], str]
    theirs: Callable[[PublishedRow], str]


def _nothing(_: PublishedRow) -> str:
    return MISSING


def _columns(found: Sequence[Entry], beside: Sequence[PublishedRow], held_out: bool) -> list[_Column]:
    """The columns of the main table; those that no line would fill are left out."""
    columns = [_Column("Model", lambda entry: entry.title, lambda row: row.method)]
    if held_out:
        columns.append(_Column("Held-out (%)", _held_out, _nothing))
    if any(entry.spread("paper_flops") for entry in found) or beside:
        columns.append(_cost_column("FLOPs", "paper_flops", found, beside))
    if any(entry.spread("paper_params") for entry in found) or beside:
        columns.append(_cost_column("Params", "paper_params", found, beside))
    columns += [
        _cost_column("Executed MACs", "macs", found, []),
        _Column("Top-1 (%)", lambda entry: _accuracy(entry, "top1"), lambda row: row.top1 or MISSING),
    ]
    if any(entry.accuracy("top5") for entry in found) or any(row.top5 for row in beside):
        columns.append(_Column("Top-5 (%)", lambda entry: _accuracy(entry, "top5"), lambda row: row.top5 or MISSING))
    if len({entry.train_images for entry in found if entry.done}) > 1:
        columns.append(_Column("Trained on", lambda entry: entry.train_images or MISSING, _nothing))
    if notes.common_cuts(found) is None:
        columns.append(_Column("Cuts", lambda entry: entry.cuts, _nothing))
    columns.append(_Column("Cost (epochs)", lambda entry: entry.epochs or MISSING, lambda row: row.epochs or MISSING))
    columns += _training_columns(found)
    columns.append(_Column("Seeds", _seeds, _nothing))
    return columns


def _cost_column(heading: str, name: Cost, found: Sequence[Entry], beside: Sequence[PublishedRow]) -> _Column:
    flops = name == "paper_flops"
    theirs = [row.flops if flops else row.params for row in beside]
    ours = [spread.mean for entry in found if (spread := entry.spread(name)) is not None]
    unit = numbers.unit_for([*ours, *theirs])

    def text(entry: Entry) -> str:
        spread, ratio = entry.spread(name), entry.ratio(name)
        if spread is None:
            return MISSING
        return numbers.count(spread.mean, unit) + (f" ({numbers.ratio(ratio)})" if ratio is not None else "")

    def published_text(row: PublishedRow) -> str:
        if name not in ("paper_flops", "paper_params"):
            return MISSING
        printed, ratio = (row.flops_printed, row.flops_ratio) if flops else (row.params_printed, row.params_ratio)
        return published_count(printed, ratio, unit)

    return _Column(unit.named(heading), text, published_text)


def published_count(printed: str, ratio: str, unit: numbers.Unit) -> str:
    """A published cost and its ratio with the digits that were printed."""
    if not printed:
        return MISSING
    return numbers.printed_count(printed, unit) + (f" ({ratio}×)" if ratio else "")


def _training_columns(found: Sequence[Entry]) -> list[_Column]:
    macs = {entry.point: spread.mean for entry in found if (spread := entry.spread("training_macs")) is not None}
    seconds = {entry.point: spread.mean for entry in found if (spread := entry.spread("device_seconds")) is not None}
    unit = numbers.unit_for(macs.values())
    symbol, size = numbers.time_unit(seconds.values())
    columns = []
    if macs:
        columns.append(
            _Column(
                unit.named("Training MACs"),
                lambda entry: numbers.count(macs[entry.point], unit) if entry.point in macs else MISSING,
                _nothing,
            )
        )
    if seconds:
        columns.append(
            _Column(
                f"Device time ({symbol})",
                lambda entry: f"{seconds[entry.point] / size:.1f}" if entry.point in seconds else MISSING,
                _nothing,
            )
        )
    return columns


def _accuracy(entry: Entry, name: str) -> str:
    found = entry.accuracy("top1" if name == "top1" else "top5")
    return numbers.interval(found) if found is not None else MISSING


def _held_out(entry: Entry) -> str:
    return numbers.interval(entry.held_out) if entry.held_out is not None else MISSING


def _seeds(entry: Entry) -> str:
    done, asked = len(entry.done), len(entry.rows)
    return str(done) if done == asked else f"{done} of {asked}"


def _paired(compared: Sequence[Difference], facts: SuiteFacts) -> tuple[Block, ...]:
    by_method: dict[str, list[Difference]] = {}
    for difference in compared:
        by_method.setdefault(difference.partner.cell.method, []).append(difference)
    blocks = []
    for method, found in by_method.items():
        title = facts.method_title(method)
        lines = tuple(
            Line(
                (
                    difference.entry.name + (", same widths" if difference.entry.kind == "widths" else ""),
                    difference.partner.title,
                    numbers.signed_interval(difference.top1),
                    f"{numbers.signed(100 * difference.macs_gap)} %",
                    str(difference.top1.n),
                )
            )
            for difference in found
        )
        header = ("Method", "Against", "Δ top-1 (points)", "Δ MACs", "Seeds")
        heading = f"Paired differences against {title} at equal MACs"
        blocks.append(Block(heading, header, lines, notes.paired(title), text_columns=2))
    return tuple(blocks)


def _apart(published: Sequence[PublishedRow], reasons: Sequence[str], facts: SuiteFacts) -> Block:
    flops = numbers.unit_for([row.flops for row in published])
    params = numbers.unit_for([row.params for row in published])
    lines = tuple(
        Line(
            (
                row.method,
                published_count(row.flops_printed, row.flops_ratio, flops),
                published_count(row.params_printed, row.params_ratio, params),
                row.top1 or MISSING,
                row.top5 or MISSING,
                row.epochs or MISSING,
            ),
            published=True,
        )
        for row in published
    )
    header = ("Model", flops.named("FLOPs"), params.named("Params"), "Top-1 (%)", "Top-5 (%)", "Cost (epochs)")
    heading = f"Published (not comparable: {'; '.join(reasons)})"
    return Block(heading, header, lines, (notes.published(facts.published or ""),))
