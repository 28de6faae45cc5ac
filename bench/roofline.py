"""On a GPU: epochs of ResNet56 and VGG16 at batch 64 against what the card can do. Elsewhere one line that says so.

The roof is measured in the same run: copy bandwidth of the card's memory, and the rate of a large bfloat16 matrix
product. An epoch is one of dense training by the harness's own loop: 50,000 augmented images of CIFAR-10 on the device,
bfloat16, captured CUDA graphs. Its share of the matrix rate counts three passes of two operations a multiply-add.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import torch

from bench.lines import Line

BATCH = 64
BARS = {"resnet56": 1.5, "vgg16": 1.0}
"""{backbone: seconds of an epoch at most}, asked of an H200."""
NOTHING = float("nan")


def seconds(act: Callable[[], object], times: int) -> float:
    """Mean seconds of an act on the device, after three unmeasured ones."""
    for _ in range(3):
        act()
    torch.cuda.synchronize()
    began = time.perf_counter()
    for _ in range(times):
        act()
    torch.cuda.synchronize()
    return (time.perf_counter() - began) / times


def copy_bandwidth(gigabytes: float) -> float:
    """Bytes read and written a second by a copy within the device's memory."""
    source = torch.empty(int(gigabytes * 2**30), dtype=torch.uint8, device="cuda")
    target = torch.empty_like(source)
    return 2 * source.numel() / seconds(lambda: target.copy_(source), 20)


def matrix_rate(side: int) -> float:
    """Operations a second of a product of two square bfloat16 matrices."""
    left, right = (torch.randn(side, side, device="cuda", dtype=torch.bfloat16) for _ in range(2))
    return 2 * side**3 / seconds(lambda: left @ right, 20)


def epoch(backbone: str, images: int, epochs: int) -> tuple[float, int]:
    """(median seconds of an epoch of dense training after the first, multiply-adds of an image)."""
    from harness.backbones.catalogue import build
    from harness.data.catalogue import data_set
    from harness.data.loader import DeviceLoader
    from harness.data.sets import load_data
    from harness.measure.macs import count_macs
    from harness.paths import data_folder
    from harness.train.loop import Source, Step, train_epochs
    from harness.train.watch import Watch

    declared = data_set("cifar10")
    network = build(backbone, declared, seed=0)
    macs = count_macs(network, torch.zeros(1, declared.channels, declared.size, declared.size))
    network = network.to("cuda").to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    raw = load_data("cifar10", data_folder())
    loader = DeviceLoader(raw.train_images[:images], raw.train_labels[:images], declared, "cuda")
    step = Step(list(network.parameters()), momentum=0.9, weight_decay=1e-4, bfloat16=True, cuda_graphs=True)
    rates: list[float] = []
    watch = Watch(note=lambda facts: rates.append(images / float(facts["images_per_second"])))
    train_epochs(network, step, Source(loader, None, 0, BATCH, True), [0.05] * (epochs + 1), stage="dense", watch=watch)
    later = sorted(rates[1:])
    return later[len(later) // 2], macs


def measure(quick: bool) -> list[Line]:
    """Bandwidth, matrix rate, and an epoch of each network; or why not."""
    if not torch.cuda.is_available():
        return [Line("epochs against the card's roofline", "–", "–", NOTHING, "–", "not run: no GPU here")]
    bandwidth, rate = copy_bandwidth(0.25 if quick else 4), matrix_rate(2048 if quick else 8192)
    lines = [
        Line("copy bandwidth of the card", f"{bandwidth / 1e12:.2f} TB/s", "–", NOTHING, "–", "read and written"),
        Line("matrix rate of the card, bfloat16", f"{rate / 1e12:.0f} TFLOP/s", "–", NOTHING, "–"),
    ]
    images = 5_000 if quick else 50_000
    for backbone, bar in BARS.items():
        taken, macs = epoch(backbone, images, epochs=3)
        least = 6 * macs * images / rate
        note = f"{images / taken:,.0f} images/s; {100 * least / taken:.1f} % of the matrix rate"
        what = f"epoch of `{backbone}`, batch {BATCH}, {images:,} images, against its operations at the matrix rate"
        asked = "–" if quick else f"≤ {bar} s (H200)"
        lines.append(Line(what, f"{taken:.2f} s", f"{least:.3f} s", taken / least, asked, note))
    return lines
