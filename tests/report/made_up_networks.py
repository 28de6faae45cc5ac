"""Made-up rows of networks with many channel groups: residual ones, one of inverted bottlenecks, a supernet."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

from harness.store.rows import Row

from .made_up import PAPER, cell, done

STAGES = ((24, 4), (40, 4), (80, 4), (96, 4), (192, 4), (320, 1))
"""Width and number of mixed layers of each stage of the supernet."""
CANDIDATES = tuple((kernel, expansion) for kernel in (3, 5, 7) for expansion in (3, 6))


def resnet56() -> dict[str, int]:
    """{group: size}: stem, and two convolutions a block."""
    sizes = {"conv1": 16}
    for stage, width in enumerate((16, 32, 64), 1):
        for block in range(9):
            sizes |= {f"layer{stage}.{block}.conv{number}": width for number in (1, 2)}
    return sizes


def mobilenetv2() -> dict[str, int]:
    """{group: size}: hidden and output channels of 17 blocks, and the head."""
    sizes: dict[str, int] = {}
    stages = ((1, 16, 1), (6, 24, 2), (6, 32, 3), (6, 64, 4), (6, 96, 3), (6, 160, 3), (6, 320, 1))
    before, number = 32, 0
    for expansion, width, blocks in stages:
        for _ in range(blocks):
            sizes |= {f"blocks.{number}.expand": expansion * before, f"blocks.{number}.project": width}
            before, number = width, number + 1
    return sizes | {"head.conv": 1280}


def supernet() -> dict[str, int]:
    """{group: size} of the supernet: a fixed block, 21 mixed layers of six candidates, the head."""
    sizes = {"stem": 32, "first.project": 16}
    before, layer = 16, 0
    for width, repeats in STAGES:
        for _ in range(repeats):
            layer += 1
            for kernel, expansion in CANDIDATES:
                name = f"mixed{layer}.k{kernel}e{expansion}"
                sizes |= {f"{name}.expand": before * expansion, f"{name}.project": width}
            before = width
    return sizes | {"feature_mix": 1280}


def pruned(sizes: Mapping[str, int], share: float, noise: random.Random) -> dict[str, tuple[int, int]]:
    """Widths of a made-up search: the deeper, the fewer; branches of which little is left are gone altogether."""
    kept: dict[str, tuple[int, int]] = {}
    gone: set[str] = set()
    for position, (name, size) in enumerate(sizes.items()):
        own = random.Random(name)  # seeds agree on most of it
        left = share * (1.35 - position / len(sizes)) * own.uniform(0.4, 1.6) * noise.uniform(0.85, 1.15)
        branch, _, last = name.rpartition(".")
        if name.startswith("mixed"):
            if last == "expand" and left < 0.62 * share:
                gone.add(branch)
            left = 0.0 if branch in gone else left
        elif last in ("conv2", "project") and left < 0.55 * share:
            left = 0.0
        kept[name] = (0 if left == 0 else max(1, round(min(left, 1.0) * size)), size)
    return kept


def network_rows(
    sizes: Mapping[str, int],
    strengths: tuple[float, ...] = (1e-5, 1e-4, 5e-4),
    seeds: tuple[int, ...] = (0, 1, 2),
    **changes: Any,
) -> list[Row]:
    """Dense and DNAL rows of a network whose executed costs are above the paper's count once it is cut."""
    macs, params = 125_485_706, 853_018
    noise = random.Random(1)
    rows = []
    whole = {"dense_macs": macs, "dense_params": params, "dense_paper_flops": macs + 2_032}
    whole |= {"dense_paper_params": params}
    for seed in seeds:
        here: dict[str, Any] = {"seed": seed, "recipe": PAPER} | changes
        counts = {"params": params, "paper_flops": macs + 2_032, "paper_params": params}
        rows.append(done(cell("dense", **here), 0.9415, macs, **whole, **counts))
        for strength in strengths:
            share = 0.9 / (1 + (strength / 1.2e-4) ** 0.8)
            counts = {
                "params": round(params * share),
                "paper_flops": round(macs * share**2 * 0.9),
                "paper_params": round(params * share * 0.85),
            }
            of = cell("dnal", params={"lambda_a": strength}, **here)
            rows.append(
                done(
                    of,
                    0.9 + 0.04 * share,
                    round(macs * share**2),
                    **whole,
                    **counts,
                    widths=pruned(sizes, share, noise),
                    strength=("lambda_a", strength, 1.0),
                )
            )
    return rows
