"""Recorded rows: all that a report is made of, in one file that does not depend on suites, methods or artifacts.

`recorded.json` is one JSON document with one line a cell and one a row, so that a change of one shows as one:
`{"format": 1, "suite": {...}, "cells": [...], "rows": [...]}`. A cell names its partners by their number among the
cells, a row its cell; what has its default value is left out.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field
from pydantic_core import from_json, to_json

from harness.errors import UserError
from harness.inside import LARGEST_RECORD, read_bytes
from harness.printable import one_line, printable_values
from harness.report.encoded import encoded
from harness.report.facts import SuiteFacts
from harness.store.rows import CurvePoint, GateHistogram, Row
from harness.store.told import Epoch, Loss, Share
from harness.suite.cell import Cell

if TYPE_CHECKING:
    from pydantic import TypeAdapter

RECORDED = "recorded.json"
FORMAT = 1
_PARTNERS = ("match", "widths_of")
_MEASURED = ("top1", "top5", "macs", "params", "paper_flops", "paper_params", "training_macs", "device_seconds")
_DEEPEST = 12
_MOST_PARTNERS = 1000
_LONGEST = 31
"""Signs of a whole number."""
_DIGITS = str.maketrans("123456789", "0" * 9)
_LONG = _LONGEST * "0"
"""What a number that is too long has in it once all its digits are made alike."""


def recorded_json(rows: Sequence[Row], facts: SuiteFacts) -> str:
    """The content of `recorded.json`: facts of the suite, cells with their partners, rows with their curves."""
    cells = _Cells()
    told = []
    for row in rows:
        figures = _adapter(Row).dump_python(row, mode="json", exclude={"cell", "curve"}, exclude_defaults=True)
        curve = [_recorded_point(one) for one in row.curve]
        told.append({"cell": cells.number(row.cell)} | figures | ({"curve": curve} if curve else {}))
    suite = _adapter(SuiteFacts).dump_python(facts, mode="json", exclude_defaults=True)
    parts = [("suite", encoded(suite)), ("cells", _lines(cells.records)), ("rows", _lines(told))]
    return f'{{"format": {FORMAT},\n' + ",\n".join(f'"{name}": {text}' for name, text in parts) + "}\n"


def read_recorded(path: Path) -> tuple[list[Row], SuiteFacts]:
    """The rows and the facts of the suite.

    Raises:
        UserError: the file is absent, damaged or of another format.
    """
    from pydantic import ValidationError

    try:
        document = _values(read_bytes(path, LARGEST_RECORD).decode())
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is damaged: {error}") from None
    found = document.get("format") if isinstance(document, dict) else None
    if found != FORMAT:
        raise UserError(f"{path} is no record of rows of format {FORMAT}")
    try:
        cells = _read_cells(document["cells"])
        rows = [_row(record, cells) for record in document["rows"]]
        return rows, _adapter(SuiteFacts).validate_python(document["suite"])
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise UserError(f"{path} is damaged: {one_line(place)}: {one_line(first['msg'])}") from None
    except ValueError as error:
        raise UserError(f"{path} is damaged: {error}") from None
    except (KeyError, IndexError, TypeError, AttributeError, RecursionError) as error:
        raise UserError(f"{path} is damaged: {type(error).__name__} {error}") from None


class _Cells:
    """Numbers cells so that a partner comes before whoever names it; equal cells have one number."""

    def __init__(self) -> None:
        self.records: list[dict[str, Any]] = []
        self._by_content: dict[str, int] = {}
        self._by_cell: dict[int, tuple[Cell, int]] = {}

    def number(self, cell: Cell) -> int:
        # Holding the cell keeps its id from being given to another one.
        known = self._by_cell.get(id(cell))
        if known is not None:
            return known[1]
        record = _adapter(Cell).dump_python(
            cell, mode="json", exclude={*_PARTNERS, "candidates"}, exclude_defaults=True
        )
        for name in _PARTNERS:
            partner = getattr(cell, name)
            if partner is not None:
                record[name] = self.number(partner)
        if cell.candidates:
            record["candidates"] = [self.number(candidate) for candidate in cell.candidates]
        content = encoded(record)
        number = self._by_content.setdefault(content, len(self.records))
        if number == len(self.records):
            self.records.append(record)
        self._by_cell[id(cell)] = (cell, number)
        return number


def _read_cells(records: Sequence[dict[str, Any]]) -> list[Cell]:
    cells: list[Cell] = []
    depths: list[int] = []
    for record in records:
        partners = [record[name] for name in _PARTNERS if name in record] + list(record.get("candidates", ()))
        if not all(type(number) is int and 0 <= number < len(cells) for number in partners):
            raise ValueError(f"cell {len(cells)} names a partner that does not come before it")
        depths.append(1 + max((depths[number] for number in partners), default=0))
        # The name of a cell holds those of its partners.
        if depths[-1] > _DEEPEST or len(partners) > _MOST_PARTNERS:
            raise ValueError(f"cell {len(cells)} has partners of partners more than {_DEEPEST} deep")
        cells.append(_cell(record, cells))
    return cells


def _cell(record: dict[str, Any], known: Sequence[Cell]) -> Cell:
    partners = {name: known[record[name]] for name in _PARTNERS if name in record}
    candidates = {"candidates": tuple(known[number] for number in record.get("candidates", ()))}
    cell: Cell = _adapter(Cell).validate_python(record | partners | candidates)
    return cell


def _row(record: dict[str, Any], cells: Sequence[Cell]) -> Row:
    number = record["cell"]
    if type(number) is not int or not 0 <= number < len(cells):
        raise ValueError(f"a row is of cell {number!r}, and there are {len(cells)}")
    curve = _curves().validate_python(record.get("curve", ()))
    figures = record | {"cell": cells[number], "curve": tuple(_point(*point) for point in curve)}
    row: Row = _adapter(Row).validate_python(figures)
    if row.state == "done" and any(getattr(row, name) is None for name in _MEASURED):
        raise ValueError(f"a row of cell {number} is done and has not all figures")
    return row


_Stage = Annotated[str, Field(max_length=100)]
_Plain = tuple[_Stage, Epoch, Loss, Share, Share | None]
_Gates = Annotated[tuple[Loss, ...], Field(min_length=3)]
_Gated = tuple[_Stage, Epoch, Loss, Share, Share | None, _Gates]
_Tested = tuple[_Stage, Epoch, Loss, Share, Share | None, _Gates | None, Share]


@cache
def _curves() -> TypeAdapter[list[Any]]:
    from pydantic import TypeAdapter

    return TypeAdapter(list[_Plain | _Gated | _Tested])


def _recorded_point(one: CurvePoint) -> tuple[Any, ...]:
    """A point of a curve; its gates and its top-1 on test images come last, where there are any."""
    known = one[:5]
    gates = None if one.gates is None else (one.gates.low, one.gates.high, *one.gates.counts)
    if one.test_top1 is not None:
        return (*known, gates, one.test_top1)
    return known if gates is None else (*known, gates)


def _point(
    stage: str,
    epoch: int,
    loss: float,
    train: float,
    held_out: float | None,
    gates: Sequence[float] | None = None,
    test: float | None = None,
) -> CurvePoint:
    if gates and (gates[0] >= gates[1] or min(gates[2:]) < 0):
        raise ValueError(f"epoch {epoch} has gates that no epoch can have")
    spread = GateHistogram(gates[0], gates[1], tuple(map(int, gates[2:]))) if gates else None
    return CurvePoint(stage, epoch, loss, train, held_out, spread, test)


@cache
def _adapter(kind: type[Any]) -> TypeAdapter[Any]:
    from pydantic import TypeAdapter

    from harness.suite.study import Tuned

    adapter: TypeAdapter[Any] = TypeAdapter(kind)
    # Cells and studies name each other, and import each other for the type checker alone.
    adapter.rebuild(force=True, _types_namespace={"Cell": Cell, "Tuned": Tuned})
    return adapter


def _values(text: str) -> Any:
    """JSON values as a report can print them; raises ValueError for numbers that no row can have."""
    # Looking at all values takes longer than all else, and hardly any document has a reason for it.
    if "\\" not in text and text.replace("\n", "").isprintable():
        with suppress(ValueError):
            value = from_json(text, allow_inf_nan=False)
            # It reads 1e999 as infinite all the same.
            if _LONG not in text.translate(_DIGITS) and b"Infinity" not in to_json(value):
                return value
    return printable_values(json.loads(text, parse_int=_whole, parse_float=_finite, parse_constant=_finite))


def _whole(digits: str) -> int:
    if len(digits) > _LONGEST:
        raise ValueError("a number in it has more than thirty digits")
    return int(digits)


def _finite(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise ValueError(f"{value} is no figure of a row")
    return value


def _lines(records: Sequence[object]) -> str:
    return "[\n" + ",\n".join(map(encoded, records)) + "\n]" if records else "[]"
