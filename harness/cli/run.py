"""`harness run`: runs what is missing of a suite and writes its report."""

from __future__ import annotations

import sys
import time
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli.durations import seconds_of
from harness.cli.ending import GO_ON, INTERRUPTED, OUT_OF_TIME, ending
from harness.cli.options import (
    DataOption,
    OnlyOption,
    ProfileOption,
    ResultsOption,
    SetOption,
    SuiteArgument,
    results_folder,
    select,
    writable,
)
from harness.errors import UserError
from harness.inside import inside

if TYPE_CHECKING:
    from harness.store.grid import Grid
    from harness.store.ledger import Ledger
    from harness.suite.cell import Cell
    from harness.suite.load import Suite


LEAST_PATIENCE = 0.5
"""A stage is given half a second at least before it counts as hanging."""


class Executor(StrEnum):
    """Who runs the cells."""

    tune = "tune"
    inline = "inline"


def run(
    suite: SuiteArgument,
    data: DataOption = None,
    results: ResultsOption = None,
    profile: ProfileOption = None,
    set_: SetOption = None,
    only: OnlyOption = None,
    executor: Annotated[Executor, typer.Option(help="Ray Tune, or this process alone.")] = Executor.tune,
    address: Annotated[str | None, typer.Option(help="A Ray cluster to run on [Ray on this machine].")] = None,
    time_budget: Annotated[
        str | None, typer.Option("--time-budget", metavar="DUR", help="Stop cleanly after so long: 90s, 9m, 2h.")
    ] = None,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Run failed cells again.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the plan and run nothing.")] = False,
    checkpoint_every: Annotated[
        float, typer.Option(help="Seconds between saves of a stage in progress (at the end of an epoch).", min=0)
    ] = 15.0,
    hang_after: Annotated[
        str,
        typer.Option(metavar="DUR", help="End a stage that makes no step and reads no image for so long, or `off`."),
    ] = "30m",
) -> None:
    """Run what is missing of a suite, then write its tables and plots."""
    from harness.cli.plan import print_plan
    from harness.cli.report import run_command
    from harness.paths import data_folder
    from harness.store.grid import look
    from harness.store.ledger import Ledger
    from harness.store.states import with_partners
    from harness.suite.load import load_suite

    started = time.time()
    deadline = None if time_budget is None else started + seconds_of(time_budget, "--time-budget")
    patience = None if hang_after == "off" else seconds_of(hang_after, "--hang-after", least=LEAST_PATIENCE)
    declared = load_suite(suite, profile, set_ or [])
    folder = results_folder(declared, results)
    ran = run_command(suite, results, profile, set_ or [])
    everything = list(declared.cells)
    cells = with_partners(everything, select(everything, only))
    if dry_run:
        print_plan(declared, look(cells, folder, Ledger(folder)))
        return
    ledger = Ledger(folder)
    grid = look(cells, folder, ledger)
    if retry_failed:
        _forget_failures(grid, ledger)
        grid = look(cells, folder, ledger)
    if _all_ended(grid):
        print(f"{declared.name}: nothing to do, {grid.count('done')} of {len(cells)} cells are done in {folder}")
        if not inside(folder, "report", "report.md").exists():
            _report(declared, folder, ledger, ran)
        raise typer.Exit(_closing(grid))
    images = data_folder(data)
    _check_data(declared, images)
    _check_device(declared, executor)
    writable(folder)
    _keep_facts(declared, images, folder)
    stopped = _execute(declared, cells, folder, images, ledger, executor, address, deadline, checkpoint_every, patience)
    grid = look(cells, folder, ledger)
    if stopped != INTERRUPTED:  # who interrupts a run wants the prompt back; a report can be had at any time
        _report(declared, folder, ledger, ran)
    _summary(declared, grid, time.time() - started, folder)
    failed = _closing(grid)
    raise typer.Exit(stopped or failed)


def _execute(
    suite: Suite,
    cells: list[Cell],
    folder: Path,
    images: Path,
    ledger: Ledger,
    executor: Executor,
    address: str | None,
    deadline: float | None,
    checkpoint_every: float,
    hang_after: float | None,
) -> int:
    """Runs the open cells; the exit status if it was stopped, else 0."""
    from harness.cli.progress import Progress
    from harness.execute.board import Board
    from harness.execute.place import Place
    from harness.execute.stop import StopSign
    from harness.store.grid import look
    from harness.train.ranks import Ranks
    from harness.train.watch import Watch

    stop = StopSign(folder / "leases" / f"stop-{time.time_ns()}", deadline)
    watch = Watch(should_stop=stop, checkpoint_seconds=checkpoint_every)
    device = "cuda" if suite.resources.gpu else "cpu"
    ranks = Ranks(0, suite.resources.ranks, suite.resources.sync_batch_norm)
    place = Place(folder, images, device, suite.resources.cpu, watch, hang_after, ranks=ranks)
    board = Board(cells, ledger, folder)
    with ending(stop) as caught, Progress(cells, folder):
        if executor is Executor.tune:
            from harness.execute.ray_environment import prepare

            prepare()
            try:
                from harness.execute.ray_tune import run_tune
            except ImportError as error:
                raise UserError(f"Ray Tune cannot be used ({error}); --executor inline needs no Ray") from error
            run_tune(board, place, stop, suite.resources, address)
        else:
            from harness.execute.inline import run_inline

            run_inline(board, place, ledger)
    stop.clear()
    if board.halted:
        raise UserError(board.halted)
    if _all_ended(look(cells, folder, ledger)):
        return 0  # whatever came after the last cell stopped nothing
    if caught:
        print(GO_ON[INTERRUPTED], file=sys.stderr)
        return INTERRUPTED
    if board.stopping:
        print(GO_ON[OUT_OF_TIME], file=sys.stderr)
        return OUT_OF_TIME
    return 0


def _all_ended(grid: Grid) -> bool:
    """Whether every cell is done or failed."""
    return grid.count("done") + grid.count("failed") == len(grid.chains)


def _forget_failures(grid: Grid, ledger: Ledger) -> None:
    for key in {stage.key for chain in grid.chains for stage in chain.stages}:
        if ledger.state(key) == "failed":
            ledger.append("lost", key, "", {"reason": "to be tried again"})


def _check_data(suite: Suite, folder: Path) -> None:
    from harness.data.sets import load_data, present

    if not present(suite.data.name, folder):
        load_data(suite.data.name, folder)


def _keep_facts(suite: Suite, images: Path, folder: Path) -> None:
    """Notes in the results folder what was found of photographs, for a report where they are absent."""
    from harness.data.catalogue import DATA_SETS, sketch
    from harness.data.folders import keep_facts
    from harness.store.atomic import write_bytes

    known = sketch(suite.data.name)
    if known.photographs and known.family not in DATA_SETS:
        write_bytes(*keep_facts(known.family, images / known.folder, folder))


def _check_device(suite: Suite, executor: Executor) -> None:
    if suite.resources.gpu and executor is Executor.inline:
        import torch

        if not torch.cuda.is_available():
            raise UserError(f"{suite.name} asks for a GPU (resources.gpu), and there is none here")


def _report(suite: Suite, folder: Path, ledger: Ledger, command: tuple[str, ...]) -> None:
    from harness.cli.report import ALL_FORMATS, write
    from harness.store.grid import look, rows_of

    rows = rows_of(look(list(suite.cells), folder, ledger), ledger)
    if any(row.state == "done" for row in rows):
        write(suite, rows, inside(folder, "report"), list(ALL_FORMATS), command)


def _closing(grid: Grid) -> int:
    """Names the failed cells; the exit status."""
    failed = [(chain, state) for chain, state in zip(grid.chains, grid.states, strict=True) if state.state == "failed"]
    for chain, state in failed:
        print(f"failed: {chain.cell.label}: {state.reason}", file=sys.stderr)
    return 1 if failed else 0


def _summary(suite: Suite, grid: Grid, seconds: float, folder: Path) -> None:
    from harness.cli.plan import duration

    table = inside(folder, "report", "report.md")
    print(f"{suite.name}: {grid.count('done')} of {len(grid.chains)} cells done in {duration(seconds)}")
    if table.exists():
        print(f"report: {table}")
