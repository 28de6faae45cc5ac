"""How many cells at once are suggested, given a measured curve; and that the curve is measured."""

from __future__ import annotations

import pytest
import torch

from harness.errors import UserError
from harness.execute.packing import CUDA_CONTEXT, Load, Point, curve, memory_fraction, suggest

GIB = 2**30
LOAD = Load("vgg_digits", "digits", 64, True, False, True, "cpu", 1)


def points(*speeds: float, memory: int = GIB, threads: int = 8) -> list[Point]:
    return [Point(count, threads, speed, memory) for count, speed in enumerate(speeds, start=1)]


def test_cells_are_added_as_long_as_each_raises_the_throughput() -> None:
    found = suggest(points(100, 180, 240, 245), 80 * GIB, 16, gpu=True)
    assert found.cells == 3
    assert found.line == "resources: {gpu: 0.3333, cpu: 5}"
    assert found.why == "one more at once is not faster"


def test_a_curve_that_still_rises_says_that_more_were_not_measured() -> None:
    found = suggest(points(100, 180), 80 * GIB, 16, gpu=True)
    assert (found.cells, found.why) == (2, "more were not measured")


def test_cells_that_do_not_fit_in_memory_are_not_suggested() -> None:
    found = suggest(points(100, 190, 280, memory=30 * GIB), 72 * GIB, 16, gpu=True)
    assert (found.cells, found.why) == (2, "3 at once do not fit in memory")


def test_the_processor_runs_no_more_cells_than_it_has_cores() -> None:
    found = suggest(points(100, 150, 180), 80 * GIB, 2, gpu=False)
    assert (found.cells, found.why) == (2, "there are no more cores")
    assert found.line == "resources: {gpu: 0, cpu: 1}"


@pytest.mark.parametrize("count", range(1, 8))
def test_as_many_cells_as_suggested_fit_on_one_gpu(count: int) -> None:
    share = suggest(points(*(100.0 * 1.5**n for n in range(count))), 80 * GIB, 64, gpu=True).resources["gpu"]
    assert count * share <= 1 < (count + 1) * share


@pytest.mark.parametrize("cells", [2, 3, 4])
def test_cells_that_share_a_gpu_have_room_for_their_contexts_too(cells: int) -> None:
    total = 24 * GIB
    taken = cells * (memory_fraction(1 / cells, total) * total + CUDA_CONTEXT)
    assert taken <= total * 1.0001


def test_a_cell_with_a_gpu_to_itself_has_all_its_memory() -> None:
    assert memory_fraction(1.0, 24 * GIB) == 1.0


def test_a_curve_is_measured_in_processes_of_their_own() -> None:
    [point] = curve(LOAD, [2], 0.05, cores=3)
    assert (point.cells, point.threads) == (2, 1)
    assert point.images_per_second > 0
    assert point.memory > 0


def test_a_process_that_fails_is_an_error_in_one_line() -> None:
    wrong = Load("vgg_digits", "digits", 64, True, False, True, "cuda:99", 1)
    with pytest.raises(UserError, match="1 at once: "):
        curve(wrong, [1], 0.1, cores=1)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_cells_share_a_gpu() -> None:
    load = Load("vgg_digits", "digits", 64, True, False, True, "cuda", 1)
    assert [point.cells for point in curve(load, [1, 2], 0.5, cores=2)] == [1, 2]
