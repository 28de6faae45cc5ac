"""How throughput grows with the cells that run at once on this device, against one at a time.

Dense training of the suites' networks for CIFAR-10, in processes of their own, as workers run it (what
`python -m harness pack SUITE` measures). On the processor the cells share its cores, a thread each at least, and what
is compared is one cell on all cores; on a GPU all share it.
"""

from __future__ import annotations

import os

import torch

from bench.lines import Line
from harness.cli.pack import memory_of
from harness.execute.packing import Load, curve, suggest

NETWORKS = ("vgg16", "resnet56")
NARROW = ("vgg16_eighth", "resnet20_quarter")


def measure(quick: bool) -> list[Line]:
    """A line a network and number of cells."""
    gpu = torch.cuda.is_available()
    cores = len(os.sched_getaffinity(0))
    lines = []
    for backbone in NARROW[:1] if quick else (*NETWORKS, *NARROW):
        load = Load(
            backbone=backbone,
            data="cifar10",
            batch=64,
            channels_last=True,
            bfloat16=gpu,
            augment=True,
            device="cuda" if gpu else "cpu",
            threads=2,
        )
        points = curve(load, range(1, 3 if quick else 5), 0.5 if quick else 5.0, cores)
        found = suggest(points, memory_of(gpu, "packing"), cores, gpu)
        lines += [
            Line(
                f"{backbone}, batch 64: {point.cells} cells at once, threads each: {point.threads}",
                f"{point.images_per_second:,.0f} images/s",
                f"{points[0].images_per_second:,.0f} images/s, one at a time",
                point.images_per_second / points[0].images_per_second,
                "–",
                f"{point.memory / 2**20:,.0f} MiB a cell; suggested: {found.line} ({found.why})",
            )
            for point in points[1:]
        ]
    return lines
