"""A stage in two processes ends as in one, and neither waits for the other when something goes wrong."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import Tensor

from harness.errors import StageFailure, UserError
from harness.execute import job
from harness.execute.place import Place
from harness.execute.ray_worker import place_of, told_place
from harness.execute.spread import spread
from harness.execute.stages import Outcome, run_stage
from harness.execute.stop import StopSign
from harness.plan.stages import Stage, chain_of
from harness.store.events import Event, EventKind
from harness.store.ledger import Ledger
from harness.suite.cell import DataChoice
from harness.suite.recipe import Epochs, Recipe
from harness.train.checkpoint import tensors_from_bytes
from harness.train.ranks import Ranks
from harness.train.watch import Stopped, Watch
from tests.cells import RECIPE, cell
from tests.data.pictures_on_disk import write_photographs
from tests.train.tiny import equal

TWO = Ranks(0, 2)


def digits(accumulate: int, images: int = 330, lr: float = 0.1) -> Stage:
    """Dense training on digits in batches of 64, of 330 images the last of 10; two epochs."""
    recipe = RECIPE.model_copy(update={"accumulate": accumulate, "rebuild_momentum": False, "lr": lr})
    wanted = replace(cell("dense", recipe=recipe), data=DataChoice("digits", images))
    return chain_of(wanted, {}).stages[0]


def trained(stage: Stage, place: Place) -> Outcome:
    torch.set_num_threads(1)
    return run_stage(place, stage.kind, stage.key, stage.config, stage.parents)


def tensors(outcome: Outcome) -> dict[str, Tensor]:
    return tensors_from_bytes(outcome.files["network.safetensors"])[0]


def is_statistic(name: str) -> bool:
    return name.endswith(("running_mean", "running_var"))


def helpers() -> list[Any]:
    return [child for child in multiprocessing.active_children() if child.name.startswith("rank ")]


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """Two ranks, two micro-batches a step."""
    folder = tmp_path_factory.mktemp("unbroken")
    return trained(digits(2), Place(folder, folder, ranks=TWO))


def test_two_ranks_end_as_one_process_that_takes_the_same_micro_batches(unbroken: Outcome, tmp_path: Path) -> None:
    alone = trained(digits(2), Place(tmp_path, tmp_path))
    one, two = tensors(alone), tensors(unbroken)
    assert one.keys() == two.keys()
    for name, tensor in one.items():
        if is_statistic(name):
            torch.testing.assert_close(two[name], tensor, rtol=1e-5, atol=1e-6)
        else:  # a sum of two gradients is the same in any order
            assert torch.equal(two[name], tensor), name
    for ours, theirs in zip(alone.facts["curve"], unbroken.facts["curve"], strict=True):
        assert theirs["loss"] == pytest.approx(ours["loss"], rel=1e-6)
        assert theirs["train_top1"] == ours["train_top1"]
        assert theirs["held_out_top1"] == pytest.approx(ours["held_out_top1"], abs=0.02)


def test_micro_batches_go_round_the_ranks(tmp_path: Path) -> None:
    # steps so small that roundings do not grow
    stage = digits(4, images=320, lr=1e-4)
    alone, shared = (trained(stage, Place(tmp_path / str(n), tmp_path, ranks=Ranks(0, n))) for n in (1, 2))
    for name, tensor in tensors(alone).items():
        torch.testing.assert_close(tensors(shared)[name], tensor, rtol=1e-4, atol=1e-5)


def test_photographs_are_read_by_the_rank_that_trains_on_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_photographs(tmp_path)
    monkeypatch.setenv("HARNESS_DATA", str(tmp_path))
    recipe = Recipe(epochs=Epochs(dense=1, search=1, finetune=1), batch=8, lr=0.01, crop_scale=0.5, accumulate=2)
    wanted = replace(cell("dense", recipe=recipe), backbone="torchvision/resnet18", data=DataChoice("folder/tiny@32"))
    stage = chain_of(wanted, {}).stages[0]
    alone, shared = (trained(stage, Place(tmp_path / str(n), tmp_path, ranks=Ranks(0, n))) for n in (1, 2))
    for name, tensor in tensors(alone).items():
        if is_statistic(name):
            torch.testing.assert_close(tensors(shared)[name], tensor, rtol=1e-5, atol=1e-6)
        else:
            assert torch.equal(tensors(shared)[name], tensor), name


def test_a_killed_helper_costs_what_was_not_saved_and_no_bit(unbroken: Outcome, tmp_path: Path) -> None:
    killed: list[int] = []

    def note(facts: dict[str, Any]) -> None:
        if facts["epoch"] == 1 and not killed:
            killed.append(helpers()[0].pid)
            os.kill(killed[0], signal.SIGKILL)

    place = Place(tmp_path, tmp_path, watch=Watch(note, checkpoint_seconds=0.0), ranks=TWO)
    # the second epoch notices; its helper is started again and goes on from the checkpoint of the first
    outcome = trained(digits(2), place)
    assert len(killed) == 1
    assert equal(tensors(outcome), tensors(unbroken))
    assert outcome.facts["curve"] == unbroken.facts["curve"]
    assert helpers() == []


def _waiting(place: Place) -> None:
    """A step that waits for a helper which never takes part."""
    del place
    dist.barrier()
    dist.all_reduce(torch.zeros(1))
    raise AssertionError("nobody was there to add to it")


def test_a_helpers_error_is_the_stages_with_its_traceback(tmp_path: Path) -> None:
    stage = digits(2)
    broken = {name: value for name, value in stage.config.items() if name != "momentum"}
    with pytest.raises(RuntimeError, match=r"^rank 1: KeyError: 'momentum'$") as caught:
        spread(Place(tmp_path, tmp_path, ranks=TWO), ("dense", stage.key, broken, ()), _waiting)
    told = "".join(traceback.format_exception(caught.value))
    assert "_train_weights" in told
    assert 'config["momentum"]' in told
    assert helpers() == []


def test_helpers_that_are_killed_again_and_again_end_the_stage(tmp_path: Path) -> None:
    stage = digits(2)
    killed = []

    def killing(place: Place) -> None:
        killed.append(helpers()[0].pid)
        os.kill(killed[-1], signal.SIGKILL)
        _waiting(place)

    with pytest.raises(StageFailure, match="rank 1 was killed by SIGKILL, after 1 others") as caught:
        spread(Place(tmp_path, tmp_path, ranks=TWO), ("dense", stage.key, stage.config, ()), killing, most_lost=1)
    assert caught.value.reason == "worker lost"
    assert len(set(killed)) == 2


def test_a_stop_ends_the_helpers_too(tmp_path: Path) -> None:
    asked = iter([False] * 40)
    watch = Watch(should_stop=lambda: len(helpers()) == 1 and not next(asked, False) and dist.is_initialized())
    with pytest.raises(Stopped):
        trained(digits(2), Place(tmp_path, tmp_path, watch=watch, ranks=TWO))
    assert helpers() == []
    assert not dist.is_initialized()


def _listening() -> Iterator[str]:
    """Addresses that this process takes connections at, as the kernel writes them."""
    own = set()
    for entry in Path("/proc/self/fd").iterdir():
        try:
            own.add(str(entry.readlink()))
        except FileNotFoundError:
            continue
    for table in ("/proc/self/net/tcp", "/proc/self/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and f"socket:[{fields[9]}]" in own:
                yield fields[1].partition(":")[0]


@pytest.mark.skipif(not Path("/proc/self/net/tcp").exists(), reason="asks Linux which sockets listen")
def test_ranks_listen_on_the_loopback_interface_alone(tmp_path: Path) -> None:
    before = list(_listening())
    found: list[str] = []

    def look(place: Place) -> None:
        del place
        found.extend(_listening())
        raise Stopped

    stage = digits(2)
    with pytest.raises(Stopped):
        spread(Place(tmp_path, tmp_path, ranks=TWO), ("dense", stage.key, stage.config, ()), look)
    for address in before:
        found.remove(address)
    assert set(found) == {"0100007F"}


PROGRAM = """
import sys, multiprocessing, time
from pathlib import Path
from harness.execute.place import Place
from harness.execute.spread import spread
from harness.train.ranks import Ranks
from tests.execute.test_spread import digits, helpers

def wait(place):
    print(helpers()[0].pid, flush=True)
    time.sleep(600)

if __name__ == "__main__":
    stage = digits(2)
    folder = Path(sys.argv[1])
    spread(Place(folder, folder, ranks=Ranks(0, 2)), ("dense", stage.key, stage.config, ()), wait)
"""


def test_helpers_end_when_the_cells_process_is_killed(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    root = str(Path(__file__).parents[2])
    with subprocess.Popen(
        [sys.executable, str(program), str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": root},
    ) as process:
        assert process.stdout is not None
        helper = int(process.stdout.readline())
        process.kill()
    deadline = time.monotonic() + 60
    while Path(f"/proc/{helper}").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not Path(f"/proc/{helper}").exists()


def test_a_stage_says_in_how_many_processes_it_ran_and_is_billed_for_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job, "run_stage", lambda *_: Outcome({"empty": b""}, {"train_seconds": 100.0}))
    recipe = RECIPE.model_copy(update={"accumulate": 2})
    stages = chain_of(cell("l1_norm", budget=0.5, recipe=recipe), {}).stages[:3]
    told: dict[str, dict[str, Any]] = {}

    class Listening(Ledger):
        def append(self, event: EventKind, key: str, kind: str, payload: dict[str, Any]) -> Event:
            if event == "done":
                told[kind] = payload
            return super().append(event, key, kind, payload)

    place = Place(tmp_path, tmp_path, ranks=TWO)
    assert job.run_job(job.Job("a cell", stages), place, Listening(tmp_path)).status == "done"
    assert {kind: facts["seconds"] for kind, facts in told.items()} == {"dense": 200, "compress": 100, "finetune": 200}
    ranks = {kind: facts["provenance"].get("ranks") for kind, facts in told.items()}
    assert ranks == {"dense": 2, "compress": None, "finetune": 2}


def test_ranks_travel_to_a_worker(tmp_path: Path) -> None:
    place = Place(tmp_path, tmp_path, ranks=Ranks(0, 4, True))
    assert place_of(told_place(place, StopSign(tmp_path / "stop"))).ranks == place.ranks


def test_only_rank_nought_writes_checkpoints(tmp_path: Path) -> None:
    stage = digits(2)
    for rank, written in ((1, False), (0, True)):
        Place(tmp_path, tmp_path, ranks=Ranks(rank, 2)).checkpoint(stage.key).save({}, {})
        assert (tmp_path / "checkpoints" / stage.key / "epoch.safetensors").exists() == written


def test_synchronised_batch_norm_is_refused_on_a_processor(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="sync_batch_norm works on GPUs alone"):
        trained(digits(1), Place(tmp_path, tmp_path, ranks=Ranks(0, 2, sync_batch_norm=True)))


def test_ranks_that_cannot_share_a_step_are_refused() -> None:
    with pytest.raises(UserError, match="2 ranks cannot share the 3 micro-batches of a step"):
        Ranks(0, 2).share(3)
    assert (Ranks(1, 2).share(4).own, Ranks(1, 2, sync_batch_norm=True).share(3).own) == (2, 3)
