"""`harness latency`: how long networks take on this device, beside what they cost in MACs."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from harness.cli.options import (
    JsonOption,
    OnlyOption,
    ProfileOption,
    ResultsOption,
    SetOption,
    results_folder,
    select,
)
from harness.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor, nn

    from harness.measure.latency import Run, Timed
    from harness.store.latencies import Settings
    from harness.store.ledger import Ledger
    from harness.suite.cell import Cell

SLOWED = 1.05
"""A drift above this is said beside the figures."""


@dataclass(frozen=True)
class Network:
    """One network to time.

    Attributes:
        name: as printed.
        of: content key of its measure stage; "" for a backbone that no cell trained.
    """

    name: str
    macs: int
    params: int
    network: nn.Module
    of: str = ""


def latency(
    what: Annotated[str, typer.Argument(metavar="SUITE|BACKBONE", help="A suite whose cells are done, or a network.")],
    dataset: Annotated[
        str | None, typer.Option("--dataset", metavar="NAME", help="Of a BACKBONE: it sets image size and classes.")
    ] = None,
    only: OnlyOption = None,
    results: ResultsOption = None,
    profile: ProfileOption = None,
    set_: SetOption = None,
    batch: Annotated[str, typer.Option("--batch", help="Comma-separated batch sizes.")] = "1,256",
    threads: Annotated[int | None, typer.Option("--threads", min=1, help="torch's threads [all cores].")] = None,
    memory_format: Annotated[
        str, typer.Option("--memory-format", help="channels_last, contiguous, or both, comma-separated.")
    ] = "channels_last,contiguous",
    compile_: Annotated[str, typer.Option("--compile", help="off, on, or both: torch.compile.")] = "off",
    device: Annotated[str | None, typer.Option("--device", help="cpu or cuda [cuda if there is one].")] = None,
    seconds: Annotated[float, typer.Option("--seconds", min=0.0, help="How long each network is timed.")] = 1.0,
    every_seed: Annotated[bool, typer.Option("--every-seed", help="All seeds of a line, not the first alone.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Time the forward pass of networks on this device, which must be idle."""
    runs = _settings(batch, memory_format, compile_, threads)
    import torch

    where = device or ("cuda" if torch.cuda.is_available() else "cpu")
    if where not in ("cpu", "cuda"):
        raise UserError(f"--device {where}: it is cpu or cuda")
    if where == "cuda" and not torch.cuda.is_available():
        raise UserError("--device cuda: there is no GPU here")
    ledger: Ledger | None = None
    if dataset is not None:
        networks, example = _backbone(what, dataset)
    else:
        networks, example, ledger = _cells(what, only, results, profile, set_, every_seed)
    from harness.measure.exclusive import alone

    with alone():
        records = list(_measured(networks, example, runs, where, seconds, ledger))
    if as_json:
        print(json.dumps(records, indent=2))
    else:
        print(_text(records))


def _settings(batch: str, memory_format: str, compile_: str, threads: int | None) -> list[dict[str, Any]]:
    """The settings asked for: {"batch", "channels_last", "compiled", "threads"}."""
    try:
        sizes = [int(part) for part in batch.split(",")]
    except ValueError:
        sizes = []
    if not sizes or min(sizes) < 1:
        raise UserError(f"--batch {batch}: it is whole numbers from 1, such as 1,256")
    formats = memory_format.split(",")
    if not set(formats) <= {"channels_last", "contiguous"}:
        raise UserError(f"--memory-format {memory_format}: it is channels_last, contiguous or both, comma-separated")
    compiled = {"off": [False], "on": [True], "both": [False, True]}.get(compile_)
    if compiled is None:
        raise UserError(f"--compile {compile_}: it is off, on or both")
    count = threads or len(os.sched_getaffinity(0))
    return [
        {"batch": size, "channels_last": form == "channels_last", "compiled": use, "threads": count}
        for size in sizes
        for form in formats
        for use in compiled
    ]


def _backbone(name: str, data: str) -> tuple[list[Network], Tensor]:
    from harness.backbones.catalogue import build
    from harness.data.catalogue import data_set
    from harness.execute.network import example_of
    from harness.measure.macs import count_macs, count_params

    network = build(name, data_set(data), 0).eval()
    example = example_of(data)
    return [Network(name, count_macs(network, example), count_params(network), network)], example


def _cells(
    suite: str,
    only: list[str] | None,
    results: Path | None,
    profile: str | None,
    set_: list[str] | None,
    every_seed: bool,
) -> tuple[list[Network], Tensor, Ledger]:
    from harness.backbones.catalogue import is_backbone
    from harness.store.grid import look
    from harness.store.ledger import Ledger
    from harness.suite.load import load_suite

    if is_backbone(suite):
        raise UserError(f"on which data set? `latency {suite} --dataset NAME`: it sets image size and classes")
    declared = load_suite(suite, profile, set_ or [])
    folder = results_folder(declared, results)
    ledger = Ledger(folder)
    chosen = select(list(declared.cells), only)
    states = look(chosen, folder, ledger).states
    done = [cell for cell, state in zip(chosen, states, strict=True) if state.state == "done"]
    if not done:
        raise UserError(f"none of the {len(chosen)} cells is done in {folder}: there is no network to time")
    from harness.execute.network import example_of
    from harness.export.stored import stored_network

    networks = []
    for cell in done if every_seed else _first_seeds(done):
        stored = stored_network(cell, folder, ledger)
        facts = stored.facts
        networks.append(Network(cell.label, facts["macs"], facts["params"], stored.network, stored.key))
    return networks, example_of(declared.data.name), ledger


def _first_seeds(cells: Sequence[Cell]) -> list[Cell]:
    """The first cell of each line of the table."""
    found: dict[tuple[str, str], Cell] = {}
    for cell in cells:
        found.setdefault((cell.backbone, cell.variant), cell)
    return list(found.values())


def _measured(
    networks: Sequence[Network],
    example: Tensor,
    runs: Sequence[dict[str, Any]],
    device: str,
    seconds: float,
    ledger: Ledger | None,
) -> Iterator[dict[str, Any]]:
    """Times all networks with each setting, notes it in the ledger, and gives one record for each of both."""
    from harness.measure.environment import processor, provenance
    from harness.measure.latency import Run, time_networks
    from harness.store.latencies import Latency, Settings, keep

    for chosen in runs:
        run = Run(device=device, **chosen)
        told = provenance(device, run.threads)
        settings = Settings(device=device, device_name=str(told.get("device_name") or processor()), **chosen)
        timed = time_networks({each.name: each.network for each in networks}, example, run, seconds)
        for each in networks:
            found = timed[each.name]
            if ledger is not None:
                figures = (found.median, found.quartiles, len(found.seconds), found.drift, found.peak_memory)
                keep(ledger, Latency(each.of, settings, *figures, provenance=told))
            yield _record(each, run, settings, found, told["load_average"])


def _record(each: Network, run: Run, settings: Settings, found: Timed, load: float) -> dict[str, Any]:
    low, high = found.quartiles
    return {
        "network": each.name,
        "macs": each.macs,
        "params": each.params,
        **asdict(settings),
        "seconds": found.median,
        "low_quartile": low,
        "high_quartile": high,
        "passes": len(found.seconds),
        "images_per_second": run.batch / found.median,
        "peak_memory": found.peak_memory,
        "drift": found.drift,
        "load_average": load,
    }


def _text(records: Sequence[dict[str, Any]]) -> str:
    """One block a setting: each network's MACs and time, and both as shares of the largest network's."""
    lines: list[str] = []
    names = list(dict.fromkeys(record["network"] for record in records))
    width = max(len(name) for name in names) + 2
    settings = ("batch", "channels_last", "compiled")
    for chosen in dict.fromkeys(tuple(record[name] for name in settings) for record in records):
        block = [record for record in records if tuple(record[name] for name in settings) == chosen]
        first = block[0]
        largest = max(block, key=lambda record: int(record["macs"]))
        form = "channels_last" if first["channels_last"] else "contiguous"
        how = "compiled" if first["compiled"] else "eager"
        lines.append(
            f"{first['device_name']}, {first['threads']} threads, batch {first['batch']}, {form}, {how}, float32; "
            f"{min(record['passes'] for record in block)} passes or more, load average {first['load_average']:.2f}"
        )
        if first["drift"] > SLOWED:
            lines.append(f"  the device became {100 * (first['drift'] - 1):.0f} % slower meanwhile: heat or other work")
        head = f"  {'network':<{width}}{'MACs':>14}{'':>7}{'median':>12}{'':>7}{'middle half':>22}{'img/s':>10}"
        lines.append(f"{head}{'memory':>11}")
        for record in block:
            memory = "-" if record["peak_memory"] is None else f"{record['peak_memory'] / 2**20:.1f} MiB"
            spread = f"{_time(record['low_quartile'])} to {_time(record['high_quartile'])}"
            lines.append(
                f"  {record['network']:<{width}}{record['macs']:>14,}{record['macs'] / largest['macs']:>7.0%}"
                f"{_time(record['seconds']):>12}{record['seconds'] / largest['seconds']:>7.0%}{spread:>22}"
                f"{record['images_per_second']:>10,.0f}{memory:>11}"
            )
        lines.append("")
    return "\n".join(lines).rstrip()


def _time(seconds: float) -> str:
    return f"{seconds * 1e3:.2f} ms" if seconds < 1 else f"{seconds:.2f} s"
