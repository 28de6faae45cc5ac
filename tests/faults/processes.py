"""Drivers as processes of their own, that may be killed, and what is to be compared after that.

They are forked from a server that has imported everything, so that a driver starts in a tenth of a second.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import resource
import signal
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import forkserver
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from harness.execute.board import Board
from harness.execute.inline import run_inline
from harness.execute.place import Place
from harness.execute.stop import StopSign
from harness.store.grid import look, rows_of
from harness.store.ledger import Ledger
from harness.suite.load import load_suite
from harness.suite.schema import Resources
from harness.train.watch import Watch
from tests.faults.faulty import put_on_path

DAY = 86400.0

SUITE = """\
suite: faults
dataset: {{name: digits, train_images: 128}}
backbones: [vgg_digits]
seeds: {seeds}
recipe: {{use: short_digits, epochs: {{dense: {dense}, search: 3, finetune: 4, baseline: {baseline}}}}}
methods:
  - dnal: {{lambda_a: 2e-4}}
  - l1_norm: {{budget: {{match: dnal}}}}
"""
"""Seven stages a seed: a dense stage, and three of each cell."""


def write_suite(folder: Path, dense: int = 4, seeds: int = 1) -> Path:
    """A suite file with dense stages of so many epochs."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "faults.yaml"
    path.write_text(SUITE.format(dense=dense, baseline=dense + 1, seeds=list(range(seeds))))
    return path


def write_methods(folder: Path, *methods: str, seeds: int = 1, budgets: str = "0.5") -> Path:
    """A suite file with these methods at a share of the MACs, and an epoch of everything."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "methods.yaml"
    path.write_text(
        "suite: methods\ndataset: {name: digits, train_images: 128}\nbackbones: [vgg_digits]\n"
        f"seeds: {list(range(seeds))}\n"
        "recipe: {use: short_digits, epochs: {dense: 1, search: 1, finetune: 1, baseline: 2}}\nmethods:\n"
        + "".join(f"  - {method}: {{budget: {{macs: {budgets}}}}}\n" for method in methods)
    )
    return path


@contextmanager
def warm_server() -> Iterator[None]:
    """Within it processes are forked from a server that has imported what a driver needs, and no other."""
    server: Any = vars(forkserver)["_forkserver"]
    server._stop()
    before = server._preload_modules
    forkserver.set_forkserver_preload(["tests.faults.warm"])
    try:
        yield
    finally:
        server._stop()
        forkserver.set_forkserver_preload(before)


def start(target: Any, *given: Any) -> BaseProcess:
    """A process that calls `target` with `given`."""
    process = multiprocessing.get_context("forkserver").Process(target=target, args=given)
    process.start()
    return process


@dataclass(frozen=True)
class Unbroken:
    """A suite, the numbers that it must end in, and the seconds from its first stage to the end of its last."""

    suite: Path
    numbers: list[object]
    seconds: float


def unbroken_run(suite: Path, plugins: Path | None = None) -> Unbroken:
    """Runs a suite in one process without a fault."""
    results = suite.parent / "unbroken"
    driver = start(drive, suite, results, "inline", None, plugins)
    driver.join()
    assert driver.exitcode == 0, said_by(results).read_text()
    times = [event.time for event in Ledger(results).refresh()]
    return Unbroken(suite, numbers(suite, results), max(times) - min(times))


def drive(
    suite: Path,
    results: Path,
    executor: str = "inline",
    hang_after: float | None = None,
    plugins: Path | None = None,
    most_growth: int = 2**40,
    environment: Mapping[str, str] | None = None,
) -> None:
    """What a driver does, without a report: runs what is missing, saves every epoch, keeps a log of the epochs.

    Args:
        executor: "inline", "tune", or the address of a Ray cluster.
        plugins: a folder of packages with methods, to be put on the path.
        environment: added to the process's own.
    """
    os.environ.update(environment or {})
    if plugins is not None:
        put_on_path(plugins)
    speak_to(said_by(results))
    declared = load_suite(str(suite))
    ledger = Ledger(results)
    board = Board(list(declared.cells), ledger, results)
    stop = StopSign(results / "leases" / f"stop-{os.getpid()}")
    watch = Watch(_epochs_to(results.with_name(f"{results.name}.epochs")), stop, checkpoint_seconds=0)
    place = Place(results, results / "no-data", watch=watch, hang_after=hang_after, most_growth=most_growth)
    if executor == "inline":
        run_inline(board, place, ledger)
    else:
        from harness.execute.ray_environment import prepare

        prepare()
        from harness.execute.ray_tune import run_tune

        address = None if executor == "tune" else executor
        run_tune(board, place, stop, Resources(), address)
    if board.halted:
        raise SystemExit(board.halted)


def drive_in_little_space(suite: Path, results: Path, plugins: Path) -> None:
    """A driver that may take 16 GiB of addresses more than it has."""
    taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (taken + 2**34, resource.RLIM_INFINITY))
    drive(suite, results, "inline", None, plugins)


def drive_a_day_ahead(suite: Path, results: Path) -> None:
    """A driver whose clock is a day ahead."""
    true = time.time
    time.time = lambda: true() + DAY
    drive(suite, results)


def said_by(results: Path) -> Path:
    """The file with what the drivers of a results folder printed."""
    return results.with_name(f"{results.name}.said")


def speak_to(path: Path) -> None:
    """What this process prints from now on goes to the end of a file."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)


def left(process: BaseProcess) -> int | None:
    """How a process ended: its exit status, minus the signal that killed it; None if it did not."""
    process.join(120)
    return process.exitcode


def reasons(suite: Path, results: Path, plugins: Path) -> dict[str, str]:
    """What became of each method's cell: "done", or why it failed, with the traceback."""
    finding = start(_find_reasons, suite, results, plugins)
    assert left(finding) == 0
    return dict(json.loads((results / "reasons.json").read_text()))


def _find_reasons(suite: Path, results: Path, plugins: Path) -> None:
    put_on_path(plugins)
    ledger = Ledger(results)
    grid = look(list(load_suite(str(suite)).cells), results, ledger)
    found = {}
    for chain, state in zip(grid.chains, grid.states, strict=True):
        traces = [(ledger.failure(stage.key) or {}).get("traceback", "") for stage in chain.stages]
        found[chain.cell.method] = f"{state.reason}\n{''.join(traces)}" if state.state == "failed" else state.state
    (results / "reasons.json").write_text(json.dumps(found))


def starts(results: Path) -> dict[str, int]:
    """How often each stage was started."""
    return dict(Counter(event.key for event in Ledger(results).refresh() if event.event == "started"))


def _epochs_to(log: Path) -> Any:
    def note(facts: dict[str, Any]) -> None:
        line = json.dumps([facts["cell"], facts["stage"], facts["epoch"]]) + "\n"
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.write(descriptor, line.encode())
        os.close(descriptor)

    return note


def epochs_redone(results: Path) -> int:
    """How many epochs were trained more than once."""
    counts = Counter(results.with_name(f"{results.name}.epochs").read_text().splitlines())
    return sum(counts.values()) - len(counts)


def numbers(suite: Path, results: Path) -> list[object]:
    """All figures of a finished grid but times: accuracies, costs, widths, every epoch's loss, per-image hits."""
    from harness.store.artifacts import read_artifact

    ledger = Ledger(results)
    rows = rows_of(look(list(load_suite(str(suite)).cells), results, ledger), ledger)
    assert all(row.state == "done" for row in rows), [(row.state, row.reason) for row in rows]
    return [
        (
            (row.top1, row.top5, row.macs, row.params, row.widths, row.curve, row.training_macs, row.epochs),
            read_artifact(results, row.key, "hits.safetensors"),
        )
        for row in rows
    ]


def same_numbers(suite: Path, one: Path, other: Path, plugins: Path) -> bool:
    """Whether two results folders have the same numbers of a suite with methods of `plugins`, to the last bit."""
    return left(start(_compare, suite, one, other, plugins)) == 0


def _compare(suite: Path, one: Path, other: Path, plugins: Path) -> None:
    put_on_path(plugins)
    speak_to(said_by(one))
    assert numbers(suite, one) == numbers(suite, other)


def started_after_done(results: Path) -> list[str]:
    """Keys of stages that were started again although they were done; must be empty."""
    done: set[str] = set()
    again = []
    for event in Ledger(results).refresh():
        if event.event == "done":
            done.add(event.key)
        elif event.event == "started" and event.key in done:
            again.append(event.key)
    return again


def done_twice(results: Path) -> list[str]:
    """Keys of stages that two workers brought to an end; must be empty."""
    counts = Counter(event.key for event in Ledger(results).refresh() if event.event == "done")
    return [key for key, count in counts.items() if count > 1]


def working(results: Path) -> list[int]:
    """The living processes that run stages now, those that began last first."""
    ended: set[str] = set()
    found: list[int] = []
    for event in reversed(Ledger(results).refresh()):
        if event.event != "started":
            ended.add(event.key)
        elif event.key not in ended:
            ended.add(event.key)
            found.append(int(event.payload["pid"]))
    return [pid for pid in found if alive(pid)]


def alive(pid: int) -> bool:
    """Whether the process is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


def descendants(root: int) -> Iterator[tuple[int, str]]:
    """(pid, command) of all processes below `root`, also those that left its session, as Ray's do."""
    assert root > 1, "that would be all processes"
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parents[int(entry.name)] = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
            except (OSError, IndexError, ValueError):
                continue
    waiting = [root]
    while waiting:
        parent = waiting.pop()
        for child in [child for child, its_parent in parents.items() if its_parent == parent]:
            waiting.append(child)
            try:
                yield child, Path(f"/proc/{child}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue


def family_of(root: int | None) -> dict[int, str]:
    """All processes below `root`, and when each began, which tells it from a later one of the same number."""
    return {pid: began for pid, _ in descendants(root or 0) if (began := _began(pid))}


def kill_family(family: Mapping[int, str]) -> None:
    """kill -9 of those that are still there."""
    for pid, began in family.items():
        if _began(pid) == began:
            kill(pid)


def _began(pid: int) -> str:
    """Nothing if there is no such process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[19]
    except OSError:
        return ""


def kill(pid: int | None, number: signal.Signals = signal.SIGKILL) -> None:
    """kill -9, or another signal, of one process; silent if it is gone."""
    assert pid is not None
    assert pid > 1, "that would be many processes"
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def until(condition: Any, seconds: float = 300.0) -> Any:
    """What `condition()` gives once it is true; fails after so long."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = condition()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError(f"waited {seconds:g} s in vain")
