"""Times of networks: what is timed, when it is refused, where it is kept."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from harness.errors import UserError
from harness.measure.exclusive import alone, shared
from harness.measure.latency import Run, peak_memory, time_networks
from harness.store.latencies import kept
from harness.store.ledger import Ledger
from tests.cli.calling import call

QUICK = ("--seconds", "0", "--batch", "2", "--memory-format", "contiguous", "--threads", "1")


class Sleeper(nn.Module):
    """Takes as long as it is told."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds = seconds
        self.calls = 0

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        time.sleep(self.seconds)
        return images


def test_a_network_that_takes_longer_is_timed_longer() -> None:
    networks = {"short": Sleeper(0.001), "long": Sleeper(0.01)}
    timed = time_networks(networks, torch.zeros(1, 1, 8, 8), Run(batch=1), seconds=0)
    assert timed["short"].median >= 0.001
    assert timed["long"].median >= 0.01
    low, high = timed["long"].quartiles
    assert low <= timed["long"].median <= high


def test_at_least_twelve_passes_are_timed_and_more_if_there_is_time() -> None:
    few = time_networks({"one": Sleeper(0.002)}, torch.zeros(1, 1, 8, 8), Run(batch=1), seconds=0)["one"]
    more = time_networks({"one": Sleeper(0.002)}, torch.zeros(1, 1, 8, 8), Run(batch=1), seconds=0.2)["one"]
    assert len(few.seconds) == 12
    assert len(more.seconds) > 24


def test_every_network_is_compiled_however_many_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    real, graphs = torch.compile, []

    def keep(graph: torch.fx.GraphModule, inputs: list[torch.Tensor]) -> Callable[..., Any]:
        del inputs
        graphs.append(graph)
        return graph.forward

    monkeypatch.setattr(torch, "compile", lambda given: real(given, backend=keep))
    many = torch._dynamo.config.recompile_limit + 2
    networks = {str(width): nn.Sequential(nn.Conv2d(1, 1 + width, 3)) for width in range(many)}
    timed = time_networks(networks, torch.zeros(1, 1, 8, 8), Run(batch=2, compiled=True), seconds=0)
    assert list(timed) == list(networks)
    assert len(graphs) == many


def test_every_pass_sees_the_whole_batch_in_evaluation_mode_without_gradients() -> None:
    seen = []

    class Looks(nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            seen.append((len(images), self.training, torch.is_grad_enabled(), torch.get_num_threads()))
            return images

    network = Looks()
    before = torch.get_num_threads()
    time_networks({"one": network}, torch.zeros(1, 3, 8, 8), Run(batch=5, threads=2), seconds=0)
    assert set(seen) == {(5, False, False, 2)}
    assert network.training, "the network that was given is left as it was"
    assert torch.get_num_threads() == before


def test_peak_memory_is_what_tensors_take_at_once() -> None:
    def one() -> None:
        first = torch.zeros(1_000_000)  # 4 MB
        second = first + 1  # with it 8 MB
        del first
        third = second + 1  # again 8 MB
        del second, third

    assert peak_memory(one, "cpu") == pytest.approx(8_000_000, rel=1e-3)


def test_times_of_a_suites_networks_are_kept_in_its_ledger(finished: Path) -> None:
    records = call(finished, "latency", "tiny.yaml", "--results", "done", *QUICK, "--json").document
    assert [record["network"].split("/")[2] for record in records] == [
        "dense",
        "l1_norm[macs=0.5]",
        "dnal",
    ]
    found = [one for many in kept(Ledger(finished / "done")).values() for one in many]
    assert {one.median for one in found} >= {record["seconds"] for record in records}
    assert records[1]["macs"] < records[0]["macs"]


def test_the_same_measurement_again_takes_the_place_of_the_first(finished: Path) -> None:
    for _ in range(2):
        call(finished, "latency", "tiny.yaml", "--results", "done", *QUICK, "--only", "dense")
    times = [one for many in kept(Ledger(finished / "done")).values() for one in many]
    assert len({one.key for one in times}) == len(times)


def test_a_backbone_is_timed_without_a_suite(tmp_path: Path) -> None:
    called = call(tmp_path, "latency", "vgg_digits", "--dataset", "digits", *QUICK)
    assert called.status == 0, called.err
    assert "vgg_digits" in called.out
    assert "batch 2, contiguous, eager" in called.out
    assert list(tmp_path.iterdir()) == []


def test_it_is_refused_while_a_cell_runs_on_the_machine(tmp_path: Path) -> None:
    with shared():
        called = call(tmp_path, "latency", "vgg_digits", "--dataset", "digits", *QUICK)
    assert called.status == 2
    assert called.err == "error: cells are running on this machine; latency is measured when it is idle\n"


def test_cells_may_run_side_by_side() -> None:
    with shared():
        with shared(), pytest.raises(UserError, match="cells are running"), alone():
            pass
        with pytest.raises(UserError, match="cells are running"), alone():
            pass
    with alone(), pytest.raises(UserError, match="cells are running"), alone():
        pass


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--batch", "0"), "--batch 0: it is whole numbers from 1"),
        (("--batch", "many"), "--batch many: it is whole numbers from 1"),
        (("--compile", "maybe"), "--compile maybe: it is off, on or both"),
        (("--memory-format", "nchw"), "--memory-format nchw: it is channels_last, contiguous or both"),
        (("--device", "tpu"), "--device tpu: it is cpu or cuda"),
    ],
)
def test_settings_that_mean_nothing_are_refused(words: tuple[str, ...], said: str, tmp_path: Path) -> None:
    called = call(tmp_path, "latency", "vgg_digits", "--dataset", "digits", *words)
    assert called.status == 2
    assert said in called.err


def test_a_backbone_without_a_data_set_is_asked_for_one(tmp_path: Path) -> None:
    called = call(tmp_path, "latency", "vgg_digits")
    assert called.status == 2
    assert "on which data set? `latency vgg_digits --dataset NAME`" in called.err
