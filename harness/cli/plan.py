"""`harness plan`: every cell, where it stands, and what is still to do."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
from harness.cli.uncollected import uncollected

if TYPE_CHECKING:
    from harness.plan.summary import Totals
    from harness.store.grid import Grid
    from harness.suite.cell import Cell
    from harness.suite.load import Suite


def plan(
    suite: SuiteArgument,
    results: ResultsOption = None,
    profile: ProfileOption = None,
    set_: SetOption = None,
    only: OnlyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show every cell: key, state, stages shared, epochs, training MACs, disk, and time if known."""
    from harness.store.grid import look
    from harness.store.ledger import Ledger
    from harness.suite.load import load_suite

    with uncollected():
        declared = load_suite(suite, profile, set_ or [])
        folder = results_folder(declared, results)
        grid = look(select(list(declared.cells), only), folder, Ledger(folder))
        if as_json:
            print(json.dumps(as_document(declared, grid, folder), indent=2))
        else:
            print_plan(declared, grid)


def summarise(suite: Suite, grid: Grid) -> Totals:
    """The grid's sums, with times as measured on this machine."""
    from harness.plan.summary import totals
    from harness.plan.timing import Clock, recorded

    device = "cpu" if suite.resources.gpu == 0 else "cuda"
    slots = max(1, (os.cpu_count() or 1) // int(suite.resources.bundle["cpu"]))
    return totals(grid.chains, grid.done, Clock(recorded()), slots, device, suite.resources.cpu)


def as_document(suite: Suite, grid: Grid, folder: Path) -> dict[str, Any]:
    """The plan as JSON values."""
    cells = []
    for chain, state in zip(grid.chains, grid.states, strict=True):
        cells.append(
            {
                "cell": chain.cell.label,
                "state": state.state,
                "reason": state.reason,
                "key": chain.measure.key if chain.measure else None,
                "stages": [
                    {"kind": stage.kind, "key": stage.key, "epochs": stage.epochs, "done": stage.key in grid.done}
                    for stage in chain.stages
                ],
            }
        )
    facts = {"suite": suite.name, "profile": suite.profile, "results": str(folder), "digest": suite.digest}
    return {**facts, "cells": cells, "totals": asdict(summarise(suite, grid))}


def print_plan(suite: Suite, grid: Grid) -> None:
    """The plan for a person."""
    from harness.plan.studies import studies_of, trial_stages

    keys: dict[str, int] = {}
    for chain in grid.chains:
        for stage in chain.stages:
            keys[stage.key] = keys.get(stage.key, 0) + 1
    width = max(len(chain.cell.label) for chain in grid.chains)
    print(f"{'cell':<{width}}  {'key':<12} state    epochs  stages (= shared)")
    for chain, state in zip(grid.chains, grid.states, strict=True):
        stages = " ".join(
            stage.kind + ("=" if keys[stage.key] > 1 else "") + ("✓" if stage.key in grid.done else "")
            for stage in chain.stages
        )
        key = chain.measure.key[:12] if chain.measure else "–"
        epochs = sum(stage.epochs for stage in chain.own_stages)
        shown = f"{epochs:>6}" if chain.measure else "     ?"
        reason = f"  ({state.reason})" if state.reason else ""
        print(f"{chain.cell.label:<{width}}  {key:<12} {state.state:<8} {shown}  {stages}{reason}")
    for study in studies_of(chain.cell for chain in grid.chains):
        epochs = sum(stage.epochs for stage in trial_stages(study, {}) if stage.kind != "dense")
        print(
            f"study {study.name!r} of {study.trial.method}: {study.trials} trials of at most {epochs} epochs "
            f"beside dense training, in none of the sums below"
        )
    for line in search_lines(chain.cell for chain in grid.chains):
        print(line)
    sums = summarise(suite, grid)
    done, failed = grid.count("done"), grid.count("failed")
    print()
    print(f"{suite.name}: {sums.cells} cells, {done} done, {failed} failed, {sums.cells - done - failed} to run")
    print(f"stages   {sums.stages} ({sums.open_stages} to run)")
    print(
        f"epochs   {sums.epochs:,} to run; the whole grid {sums.epochs_shared:,}, without sharing "
        f"{sums.epochs_unshared:,} ({sums.epochs_unshared / max(1, sums.epochs_shared):.2f}×)"
    )
    open_macs, shared, unshared = (
        f"{macs / 1e12:,.2f} T" for macs in (sums.training_macs, sums.training_macs_shared, sums.training_macs_unshared)
    )
    print(f"training {open_macs} MACs to run; the whole grid {shared}, without sharing {unshared}")
    print(f"disk     about {sums.disk_bytes / 2**20:,.0f} MiB once all is done")
    if sums.seconds is None:
        print("time     unknown: nothing like it was measured on this machine yet")
    else:
        print(f"time     about {duration(sums.seconds)} (longest cell {duration(sums.cell_seconds or 0)})")


def search_lines(cells: Iterable[Cell]) -> list[str]:
    """What width searches train to compare widths, which no stage's epochs hold: one line a method and its parameters.

    A method whose parameters state how many `trials` it makes has a most; of others the network decides.
    """
    from harness.method import SearchMethod, SearchParams
    from harness.registry import method

    counted: Counter[tuple[str, float, int | None]] = Counter()
    for cell in cells:
        author = method(cell.method)
        if issubclass(author, SearchMethod) and cell.scratch is None:
            params = author.Params.model_validate(cell.params)
            assert isinstance(params, SearchParams)
            if params.epochs:
                counted[cell.method, params.epochs, getattr(params, "trials", None)] += 1
    lines = []
    for (name, epochs, trials), searching in counted.items():
        each = f"{name}: {searching} {'cells' if searching > 1 else 'cell'} trying widths for {epochs:g} epochs each, "
        most = (
            f"at most {trials} in a cell, {searching * trials * epochs:,g} epochs in all"
            if trials is not None
            else "as many as its network's layers ask for"
        )
        lines.append(f"search of {each}{most}, in none of the sums below")
    return lines


def duration(seconds: float) -> str:
    """`1 h 02 min`, `3 min 20 s`, `12 s`."""
    whole = round(seconds)
    if whole >= 3600:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
    return f"{whole // 60} min {whole % 60:02d} s" if whole >= 60 else f"{whole} s"
