"""`harness pack`: how many cells of a suite this machine should run at once."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli.options import JsonOption, ProfileOption, SetOption, SuiteArgument
from harness.errors import UserError

if TYPE_CHECKING:
    from harness.execute.packing import Point, Suggestion


def pack(
    suite: SuiteArgument,
    profile: ProfileOption = None,
    set_: SetOption = None,
    most: Annotated[int, typer.Option("--most", min=1, max=64, help="How many cells at once to try at most.")] = 4,
    seconds: Annotated[float, typer.Option("--seconds", min=0.1, help="How long each number is tried.")] = 5.0,
    as_json: JsonOption = False,
) -> None:
    """Measure how many cells at once are fastest on this machine, and say what to write under `resources`."""
    from harness.suite.load import load_suite

    declared = load_suite(suite, profile, set_ or [])
    from harness.data.catalogue import data_set
    from harness.execute.packing import Load, curve, suggest
    from harness.measure.exclusive import alone

    if data_set(declared.data.name).photographs:
        raise UserError(f"{declared.name} reads photographs from the disk; only small images can be packed so far")
    gpu = declared.resources.gpu > 0
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    memory = memory_of(gpu, declared.name)
    recipe = declared.cells[0].recipe
    load = Load(
        backbone=declared.cells[0].backbone,
        data=declared.data.name,
        batch=recipe.batch,
        channels_last=recipe.channels_last,
        bfloat16=recipe.precision == "bfloat16",
        augment=recipe.augment,
        device="cuda" if gpu else "cpu",
        threads=declared.resources.cpu,
    )
    with alone():
        points = curve(load, range(1, most + 1), seconds, cores)
    suggestion = suggest(points, memory, cores, gpu)
    if as_json:
        print(json.dumps({"points": [asdict(point) for point in points], **asdict(suggestion)}, indent=2))
    else:
        print(text(points, suggestion))


def memory_of(gpu: bool, suite: str) -> int:
    """Bytes that cells may take together: nine tenths of the device's memory, GPU or machine."""
    if not gpu:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") * 9 // 10
    import torch

    if not torch.cuda.is_available():
        raise UserError(f"{suite} asks for a GPU (resources.gpu), and there is none here")
    return int(torch.cuda.get_device_properties(0).total_memory) * 9 // 10


def text(points: list[Point], suggestion: Suggestion) -> str:
    """The curve as a table, and the line to write."""
    lines = ["cells at once  threads each  images/s together  against one  memory of one"]
    lines += [
        f"{point.cells:13}  {point.threads:12}  {point.images_per_second:17,.0f}  "
        f"{point.images_per_second / points[0].images_per_second:10.2f}×  {point.memory / 2**20:9,.0f} MiB"
        for point in points
    ]
    return "\n".join([*lines, "", f"{suggestion.line}    # {suggestion.why}"])
