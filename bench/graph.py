"""What the channel room costs: finding a network's graph, cutting it to half, counting it at given widths.

    python bench/graph.py [--quick]

One thread, CPU. Each network in a process of its own, whose peak memory is what the act adds to the built network's.
Counting is compared with what a user would run instead: cut the network, then trace and count it.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import torch
from torch import nn

from harness.backbones.catalogue import build
from harness.channels.cost import CostModel
from harness.channels.graph import ChannelGraph
from harness.channels.surgery import cut
from harness.data.catalogue import data_set
from harness.measure.macs import count_macs, count_params

CASES = (
    ("vgg16", "cifar10"),
    ("resnet56", "cifar10"),
    ("mobilenetv2", "cifar10"),
    ("vgg16_imagenet", "imagenet"),
    ("resnet50", "imagenet"),
    ("mobilenetv2_imagenet", "imagenet"),
    ("proxylessnas", "imagenet"),
)
QUICK = (("vgg16", "cifar10"), ("resnet56", "cifar10"))
COUNTED = ("resnet50", "imagenet")
QUICKLY_COUNTED = ("resnet56", "cifar10")


def built(backbone: str, data: str) -> tuple[nn.Module, torch.Tensor]:
    """A network on the CPU and one image for it."""
    declared = data_set(data)
    example = torch.zeros(1, declared.channels, declared.size, declared.size)
    return build(backbone, declared, seed=0).eval(), example


def peak() -> float:
    """The most memory that this process has held so far, MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def taken(act: Callable[[], object]) -> tuple[object, float, float]:
    """What an act gives, its seconds, and by how much it raised this process's peak of memory, MB."""
    before, started = peak(), time.perf_counter()
    result = act()
    return result, time.perf_counter() - started, peak() - before


def halves(graph: ChannelGraph) -> dict[str, tuple[int, ...]]:
    """The first half of every group."""
    return {name: tuple(range((size + 1) // 2)) for name, size in graph.widths.items()}


def measure(backbone: str, data: str) -> dict[str, float]:
    """Seconds and memory (MB) of the graph and of a cut, in this process."""
    warm, small = built("vgg16_eighth", "cifar10")
    ChannelGraph.trace(warm, small)  # imports Torch-Pruning
    network, example = built(backbone, data)
    weights = sum(parameter.numel() * parameter.element_size() for parameter in network.parameters()) / 2**20
    graph, graph_seconds, graph_memory = taken(lambda: ChannelGraph.trace(network, example))
    assert isinstance(graph, ChannelGraph)
    _, cut_seconds, cut_memory = taken(lambda: cut(network, graph, halves(graph)))
    return {
        "groups": len(graph.groups),
        "weights": weights,
        "graph_seconds": graph_seconds,
        "graph_memory": graph_memory,
        "cut_seconds": cut_seconds,
        "cut_memory": cut_memory,
    }


def in_a_process(backbone: str, data: str) -> dict[str, float]:
    """As `measure`, in a process of its own."""
    command = [sys.executable, __file__, "--one", backbone, data]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def counting(backbone: str, data: str, times: int) -> tuple[float, float]:
    """Seconds to count a network once at random widths: by the cost model, and by cutting, tracing and counting."""
    network, example = built(backbone, data)
    graph = ChannelGraph.trace(network, example)
    model = CostModel(network, graph, example)
    generator = random.Random(0)
    by_model, by_trace = [], []
    for _ in range(times):
        kept = {name: tuple(range(generator.randint(max(1, size // 2), size))) for name, size in graph.widths.items()}
        widths = {name: len(channels) for name, channels in graph.complete(kept).items()}
        started = time.perf_counter()
        for _ in range(100):
            said = (model.macs(widths), model.params(widths))
        by_model.append((time.perf_counter() - started) / 100)
        started = time.perf_counter()
        narrow = cut(network, graph, kept)
        counted = (count_macs(narrow, example), count_params(narrow))
        by_trace.append(time.perf_counter() - started)
        assert said == counted
    return statistics.median(by_model), statistics.median(by_trace)


def main() -> None:
    """Prints the two tables."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="two small networks")
    parser.add_argument("--one", nargs=2, metavar=("BACKBONE", "DATA"), help="measure one network, print JSON")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.one:
        print(json.dumps(measure(*options.one)))
        return
    print("| network | weights | groups | graph | its memory | cut to half | its memory |")
    print("|---|---|---|---|---|---|---|")
    for backbone, data in QUICK if options.quick else CASES:
        found = in_a_process(backbone, data)
        print(
            f"| `{backbone}` | {found['weights']:.0f} MB | {found['groups']:.0f} | {found['graph_seconds']:.2f} s | "
            f"{found['graph_memory']:.0f} MB | {found['cut_seconds']:.2f} s | {found['cut_memory']:.0f} MB |",
            flush=True,
        )
    backbone, data = QUICKLY_COUNTED if options.quick else COUNTED
    model, trace = counting(backbone, data, 3 if options.quick else 7)
    print()
    print("| counting MACs and parameters | a second | ratio |")
    print("|---|---|---|")
    print(f"| `{backbone}`, cost model | {1 / model:,.0f} | {trace / model:,.0f}× |")
    print(f"| `{backbone}`, cut and traced again | {1 / trace:,.1f} | 1× |")


if __name__ == "__main__":
    main()
