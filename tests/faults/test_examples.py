"""The worked examples are what Slurm and Ray read, and three tasks of the array share one suite."""

from __future__ import annotations

import os
import re
import subprocess
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from harness.cli.durations import seconds_of
from harness.store.ledger import Ledger
from tests.faults.command import command
from tests.faults.processes import (
    done_twice,
    left,
    numbers,
    start,
    started_after_done,
    unbroken_run,
    write_suite,
)

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
ARRAY, CLUSTER = EXAMPLES / "slurm_array.sbatch", EXAMPLES / "ray_cluster.yaml"

HEADER = {
    "job-name": r"[\w-]+",
    "array": r"\d+(-\d+)?(,\d+(-\d+)?)*(%\d+)?",
    "time": r"(\d+-)?\d{1,2}:\d{2}:\d{2}",
    "cpus-per-task": r"[1-9]\d*",
    "gres": r"gpu(:\w+)?:[1-9]\d*",
    "signal": r"(B:)?[A-Z0-9]+@\d+",
    "requeue": r"",
    "output": r"[\w%./-]+",
}
"""The options of sbatch that the example may use, and what their values look like."""


def header(script: str) -> dict[str, str]:
    """What sbatch reads: the `#SBATCH` lines before the first command."""
    lines = script.splitlines()
    assert lines[0].startswith("#!"), "sbatch wants an interpreter"
    options: dict[str, str] = {}
    for line in lines[1:]:
        if line.strip() and not line.startswith("#"):
            break
        if line.startswith("#SBATCH"):
            [word] = line.split()[1:]
            name, _, value = word.removeprefix("--").partition("=")
            assert name not in options
            options[name] = value
    assert len(options) == sum(line.startswith("#SBATCH") for line in lines), "Slurm ignores what follows a command"
    return options


def test_the_array_is_a_script_with_a_header_that_slurm_reads() -> None:
    assert subprocess.run(["bash", "-n", ARRAY], check=False).returncode == 0
    options = header(ARRAY.read_text())
    for name, value in options.items():
        assert re.fullmatch(HEADER[name], value), (name, value)


def test_the_arrays_drivers_stop_before_slurm_warns_them(tmp_path: Path) -> None:
    options = header(ARRAY.read_text())
    hours, minutes, seconds = map(int, options["time"].split(":"))
    warned = 3600 * hours + 60 * minutes + seconds - int(options["signal"].partition("@")[2])
    words = told_to(ARRAY, tmp_path, "0", "cifar10_vgg", tmp_path / "results")
    assert seconds_of(words[words.index("--time-budget") + 1], "--time-budget") < warned


@pytest.mark.parametrize(("status", "asked"), [(0, ""), (3, "requeue 42_1\n"), (1, ""), (130, "")])
def test_a_task_asks_to_run_again_only_if_its_time_was_up(status: int, asked: str, tmp_path: Path) -> None:
    told_to(ARRAY, tmp_path, "1", "digits", tmp_path / "results", status)
    assert (tmp_path / "scontrol.txt").read_text() == asked


def told_to(script: Path, folder: Path, task: str, suite: object, results: Path, status: int = 0) -> list[str]:
    """Runs a batch script with stand-ins for Slurm's programs; the command that it gives to srun."""
    programs = folder / f"programs-{task}"
    programs.mkdir()
    for name, text in {
        "srun": f'printf "%s\\n" "$@" > "{folder}/srun-{task}.txt"; exit {status}',
        "scontrol": f'echo "$@" >> "{folder}/scontrol.txt"',
    }.items():
        (programs / name).write_text(f"#!/bin/sh\n{text}\n")
        (programs / name).chmod(0o755)
    (folder / "scontrol.txt").touch()
    slurm = {"SLURM_ARRAY_TASK_ID": task, "SLURM_ARRAY_JOB_ID": "42", "SUITE": str(suite), "RESULTS": str(results)}
    path = f"{programs}:{os.environ['PATH']}"
    done = subprocess.run(["bash", script], env={**os.environ, **slurm, "PATH": path}, capture_output=True, check=False)
    assert done.returncode == status
    return (folder / f"srun-{task}.txt").read_text().splitlines()


def test_three_tasks_of_the_array_run_a_suite_together_and_no_stage_twice(tmp_path: Path) -> None:
    unbroken = unbroken_run(write_suite(tmp_path, dense=20, seeds=2))
    results = tmp_path / "results"
    tasks = []
    for task in ("0", "1", "2"):
        python, m, harness, *words = told_to(ARRAY, tmp_path, task, unbroken.suite, results)
        assert (python, m, harness) == ("python", "-m", "harness")
        tasks.append((tmp_path / f"task-{task}.txt", task, words))
    as_tasks = [
        partial(command, said, 8.0, tmp_path / "none", *words, task=task, report=False) for said, task, words in tasks
    ]
    drivers = [start(as_task) for as_task in as_tasks]
    assert [left(driver) for driver in drivers] == [0, 0, 0], [said.read_text() for said, _, _ in tasks]
    assert numbers(unbroken.suite, results) == unbroken.numbers
    assert started_after_done(results) == done_twice(results) == []
    workers = {event.payload["pid"] for event in Ledger(results).refresh() if event.event == "started"}
    assert len(workers) > 1, "one driver did all the work, so nothing was shown"


def test_the_cluster_file_has_the_keys_and_values_that_rays_schema_asks_for() -> None:
    from ray.autoscaler._private.util import prepare_config, validate_config
    from ruamel.yaml import YAML

    written: dict[str, Any] = YAML(typ="safe").load(CLUSTER.read_text())
    validate_config(prepare_config(written))
    assert written["min_workers"] == written["max_workers"] == len(written["provider"]["worker_ips"])


def test_a_key_that_ray_does_not_know_would_be_noticed() -> None:
    from ray.autoscaler._private.util import prepare_config, validate_config
    from ruamel.yaml import YAML

    written: dict[str, Any] = YAML(typ="safe").load(CLUSTER.read_text())
    with pytest.raises(Exception, match="worker_start_commands"):
        validate_config(prepare_config({**written, "worker_start_commands": []}))
