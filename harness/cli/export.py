"""`harness export`: trained networks as files that other programs read."""

from __future__ import annotations

import json
import re
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from harness.cli.options import (
    JsonOption,
    OnlyOption,
    ProfileOption,
    ResultsOption,
    SetOption,
    SuiteArgument,
    results_folder,
    select,
)
from harness.errors import UserError
from harness.inside import inside

if TYPE_CHECKING:
    from harness.suite.cell import Cell


class Form(StrEnum):
    """What files can be written."""

    safetensors = "safetensors"
    onnx = "onnx"


def export(
    suite: SuiteArgument,
    to: Annotated[Form, typer.Option("--to", help="safetensors (read back by harness.load), or onnx.")],
    only: OnlyOption = None,
    results: ResultsOption = None,
    profile: ProfileOption = None,
    set_: SetOption = None,
    into: Annotated[Path | None, typer.Option("--into", help="Where the files go [RESULTS/networks].")] = None,
    as_json: JsonOption = False,
) -> None:
    """Write the trained, cut networks of finished cells to files."""
    from harness.store.grid import look
    from harness.store.ledger import Ledger
    from harness.suite.load import load_suite

    declared = load_suite(suite, profile, set_ or [])
    folder = results_folder(declared, results)
    ledger = Ledger(folder)
    chosen = select(list(declared.cells), only)
    grid = look(chosen, folder, ledger)
    done = [cell for cell, state in zip(chosen, grid.states, strict=True) if state.state == "done"]
    if not done:
        raise UserError(f"none of the {len(chosen)} cells is done in {folder}: there is nothing to export")
    from harness.execute.network import example_of
    from harness.export.stored import stored_network

    written = []
    for cell in done:
        stored = stored_network(cell, folder, ledger)
        path = inside(into or inside(folder, "networks"), f"{file_name(cell)}.{to.value}")
        record: dict[str, Any] = {"cell": cell.label, "file": str(path)}
        if to is Form.onnx:
            from harness.export.onnx_file import write_onnx

            record["largest_difference"] = write_onnx(stored, example_of(cell.data.name), path)
        else:
            from harness.export.safetensors_file import write_safetensors

            write_safetensors(stored, path)
        written.append(record)
        if not as_json:
            checked = f" (onnxruntime differs by {record['largest_difference']:.1e})" if to is Form.onnx else ""
            print(f"{path}{checked}")
    if as_json:
        print(json.dumps(written, indent=2))


def file_name(cell: Cell) -> str:
    """The cell's label as a plain file name: letters, digits, `._=-`; other signs become `_`."""
    return re.sub(r"[^0-9A-Za-z.=_-]+", "_", cell.label).strip("_.")
