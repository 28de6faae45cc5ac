"""How many cells a device should run at once: measured, not guessed.

A cell's dense training runs alone, then two of it at once in processes of their own, then three, ...; each point is the
images a second of all together. What one cell takes of the device's memory is probed beside. Images are made up: only
their shape matters.
"""

from __future__ import annotations

import multiprocessing
import queue
import resource
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch

from harness.data.catalogue import data_set
from harness.data.loader import DeviceLoader
from harness.errors import UserError
from harness.execute.network import fresh_network
from harness.train.loop import Source, Step, train_epochs
from harness.train.watch import Stopped, Watch

IMAGES = 2048
WARM_UP_STEPS = 4
LEAST_GAIN = 1.05
"""One more cell at once must raise the images a second by this factor."""
START_SECONDS = 300.0
CUDA_CONTEXT = 600 * 2**20
"""About what a process takes of a GPU beside its tensors, which torch does not count."""


@dataclass(frozen=True)
class Load:
    """What every cell of a measurement trains: the dense network of a recipe.

    Attributes:
        device: "cpu" or "cuda".
        threads: torch's threads of a cell.
    """

    backbone: str
    data: str
    batch: int
    channels_last: bool
    bfloat16: bool
    augment: bool
    device: str
    threads: int


@dataclass(frozen=True)
class Point:
    """One point of the curve.

    Attributes:
        cells: how many trained at once.
        threads: of each.
        images_per_second: of all together.
        memory: bytes that the hungriest cell took at its highest: of the GPU, or of the machine without one.
    """

    cells: int
    threads: int
    images_per_second: float
    memory: int


@dataclass(frozen=True)
class Suggestion:
    """What to write into a suite.

    Attributes:
        cells: at once on the device.
        resources: the `resources:` entry.
        why: in a few words.
    """

    cells: int
    resources: dict[str, float]
    why: str

    @property
    def line(self) -> str:
        """As it stands in a suite."""
        return f"resources: {{gpu: {self.resources['gpu']:g}, cpu: {self.resources['cpu']:g}}}"


def suggest(points: Sequence[Point], memory: int, cores: int, gpu: bool) -> Suggestion:
    """The largest number of cells at once of which each one more still raised the throughput, and that fits in memory.

    Args:
        points: by rising number of cells, from one.
        memory: bytes of the device that cells may take together.
        cores: of the machine; on the processor no more cells than cores are suggested.
        gpu: whether cells share a GPU, else the processor.
    """
    best, why = points[0], "more were not measured"
    for point in points[1:]:
        if point.cells * max(point.memory, points[0].memory) > memory:
            why = f"{point.cells} at once do not fit in memory"
            break
        if point.images_per_second < LEAST_GAIN * best.images_per_second:
            why = "one more at once is not faster"
            break
        if not gpu and point.cells > cores:
            why = "there are no more cores"
            break
        best = point
    share = int(10_000 / best.cells) / 10_000 if gpu else 0.0
    cpu = max(1, min(points[0].threads, cores // best.cells)) if gpu else max(1, cores // best.cells)
    return Suggestion(best.cells, {"gpu": share, "cpu": float(cpu)}, why)


def memory_fraction(share: float, total: int) -> float:
    """Of a GPU's memory, what torch's allocator may hand out to a cell that has a share of it: its context counts too.

    Args:
        share: 0..1, as `resources.gpu` states it.
        total: bytes of the GPU.
    """
    return 1.0 if share >= 1 else max(share / 2, share - CUDA_CONTEXT / total)


def limit_memory(device: str, share: float) -> None:
    """Keeps this process within its share of a GPU's memory, so that a hungry cell fails and not its neighbours."""
    if device.startswith("cuda") and share > 0:
        total = torch.cuda.get_device_properties(device).total_memory
        torch.cuda.set_per_process_memory_fraction(memory_fraction(share, total), device)


def curve(load: Load, counts: Sequence[int], seconds: float, cores: int) -> list[Point]:
    """Measures the points in turn; on the processor the cells share the cores, at least one thread each.

    Args:
        counts: cells at once.
        seconds: how long each point trains, starting and warming up not counted.

    Raises:
        UserError: the first point cannot be measured, as a process failed; with a later one the curve ends.
    """
    points: list[Point] = []
    for count in counts:
        threads = load.threads if load.device.startswith("cuda") else max(1, cores // count)
        try:
            points.append(_point(Load(**{**asdict(load), "threads": threads}), count, seconds))
        except UserError:
            if not points:
                raise
            break
    return points


def _point(load: Load, count: int, seconds: float) -> Point:
    """Trains `count` cells at once, all in their timed part together."""
    # neither threads nor a CUDA context survive a fork
    apart = multiprocessing.get_context("spawn")
    together = apart.Barrier(count)
    told: Any = apart.Queue()
    processes = [apart.Process(target=_train, args=(load, seconds, together, told), daemon=True) for _ in range(count)]
    for process in processes:
        process.start()
    try:
        found = [_next_of(told, processes, seconds) for _ in processes]
    finally:
        for process in processes:
            process.join(timeout=10)
            if process.is_alive():
                process.kill()
    failed = next((each["error"] for each in found if "error" in each), None)
    if failed is not None:
        raise UserError(f"{count} at once: {failed}")
    speed = sum(each["images_per_second"] for each in found)
    return Point(count, load.threads, speed, max(int(each["memory"]) for each in found))


def _next_of(told: Any, processes: Sequence[Any], seconds: float) -> dict[str, Any]:
    """What one process tells; an error if one ends without a word."""
    deadline = time.monotonic() + START_SECONDS + 10 * seconds
    while time.monotonic() < deadline:
        try:
            return dict(told.get(timeout=0.5))
        except queue.Empty:
            ended = [process.exitcode for process in processes if process.exitcode]
            if ended:
                return {"error": f"a process ended with status {ended[0]}"}
    return {"error": "a process does not get on"}


class _Clock:
    """Asked between steps: waits for the others once warm, then says stop when the time is up."""

    def __init__(self, seconds: float, together: Any, device: str) -> None:
        self._seconds, self._together, self._device = seconds, together, device
        self.asked = 0
        self.began = self.ended = 0.0

    @property
    def steps(self) -> int:
        """Steps of the timed part."""
        return self.asked - WARM_UP_STEPS - 1

    def __call__(self) -> bool:
        self.asked += 1
        if self.asked <= WARM_UP_STEPS:
            return False
        if self.asked == WARM_UP_STEPS + 1:
            self._synchronise()
            self._together.wait(START_SECONDS)
            self.began = time.perf_counter()
            return False
        if time.perf_counter() - self.began < self._seconds:
            return False
        self._synchronise()
        self.ended = time.perf_counter()
        return True

    def _synchronise(self) -> None:
        if self._device.startswith("cuda"):
            torch.cuda.synchronize()


def _train(load: Load, seconds: float, together: Any, told: Any) -> None:
    """One cell, in a process of its own."""
    try:
        torch.set_num_threads(load.threads)
        clock = _Clock(seconds, together, load.device)
        _train_until(load, clock)
        told.put(
            {
                "images_per_second": clock.steps * load.batch / (clock.ended - clock.began),
                "memory": _memory(load.device),
            }
        )
    except Exception as error:
        together.abort()
        told.put({"error": f"{type(error).__name__}: {error}".splitlines()[0]})


def _train_until(load: Load, clock: _Clock) -> None:
    declared = data_set(load.data)
    images = max(load.batch, IMAGES // load.batch * load.batch)
    generator = torch.Generator().manual_seed(0)
    shape = (images, declared.size, declared.size, declared.channels)
    pixels = torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)
    labels = torch.randint(0, declared.classes, (images,), generator=generator)
    loader = DeviceLoader(pixels, labels, declared, load.device, channels_last=load.channels_last)
    network = fresh_network({"backbone": load.backbone, "data": load.data, "seed": 0}).to(load.device)
    if load.channels_last:
        network.to(memory_format=torch.channels_last)
    step = Step(list(network.parameters()), momentum=0.9, weight_decay=1e-4, bfloat16=load.bfloat16)
    # without progress the weights stay finite, and every step costs the same
    source = Source(loader, None, seed=0, batch=load.batch, augment=load.augment)
    try:
        train_epochs(network, step, source, [0.0] * 1_000_000, stage="packing", watch=Watch(should_stop=clock))
    except Stopped:
        return


def _memory(device: str) -> int:
    if device.startswith("cuda"):
        return torch.cuda.max_memory_reserved() + CUDA_CONTEXT
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
