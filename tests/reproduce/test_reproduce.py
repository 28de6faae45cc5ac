"""A finished row, run again from the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.calling import SHORT, SUITE, call, files

ROW = "l1_norm[macs=0.5]"


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `tiny.yaml` in it, two seeds of which are done in `done`, and their report."""
    folder = tmp_path_factory.mktemp("finished")
    (folder / "tiny.yaml").write_text(SUITE)
    called = call(folder, "run", "tiny.yaml", "--results", "done", "--executor", "inline", *SHORT)
    assert called.status == 0, called.err
    return folder


@pytest.fixture
def recorded(finished: Path, tmp_path: Path) -> Path:
    """Its rows as they are committed: no ledger, no artifacts."""
    source = finished / "done" / "report" / "recorded.json"
    (tmp_path / "recorded.json").write_bytes(source.read_bytes())
    return tmp_path


def altered(folder: Path, label: str, **figures: object) -> None:
    """Changes figures of the recorded row of a method and a seed."""
    document = json.loads((folder / "recorded.json").read_text())
    method, seed = label.split("/seed=")
    for row in document["rows"]:
        cell = document["cells"][row["cell"]]
        if cell["method"] == method and cell["seed"] == int(seed):
            row.update(figures)
    (folder / "recorded.json").write_text(json.dumps(document))


def test_a_row_of_this_machine_is_bit_equal_and_its_folder_is_left_alone(finished: Path) -> None:
    before = files(finished / "done")
    called = call(finished, "reproduce", "tiny.yaml", f"{ROW}/seed=1", "--results", "done", *SHORT)
    assert called.status == 0, called.err
    assert f"vgg_digits/digits/{ROW}: bit-equal" in called.out
    assert "loss and accuracy of every epoch" in called.out
    assert "which test images are right" in called.out
    assert "nothing differs around it" in called.out
    assert files(finished / "done") == before


def test_recorded_rows_alone_are_enough(recorded: Path) -> None:
    called = call(recorded, "reproduce", ".", f"{ROW}/seed=0", "--json")
    assert called.status == 0, called.err
    [line] = called.document["rows"]
    assert line["outcome"] == "bit-equal"
    assert line["cells"][0]["environment"] == {}


def test_a_figure_that_does_not_come_out_is_different_and_both_are_told(recorded: Path) -> None:
    altered(recorded, "l1_norm/seed=0", top1=0.99)
    altered(recorded, "l1_norm/seed=1", top1=0.991)
    called = call(recorded, "reproduce", ".", f"{ROW}/seed=0")
    assert called.status == 1
    assert f"{ROW}: different" in called.out
    assert "Top-1 99.00 then," in called.out
    assert "is outside" in called.out


def test_all_seeds_of_a_line_may_be_asked_for(finished: Path, tmp_path: Path) -> None:
    called = call(finished, "reproduce", "tiny.yaml", "dense", "--results", "done", "--into", tmp_path, *SHORT)
    assert called.status == 0, called.err
    assert "seed 0: equal to the last bit" in called.out
    assert "seed 1: equal to the last bit" in called.out
    assert (tmp_path / "ledger").is_dir()


def test_a_name_that_is_not_there_is_answered_with_what_was_meant(finished: Path) -> None:
    called = call(finished, "reproduce", "tiny.yaml", "l1norm[macs=0.5]", "--results", "done", *SHORT)
    assert called.status == 2
    assert f"tiny has no cell 'l1norm[macs=0.5]'; did you mean '{ROW}" in called.err


def test_a_row_that_was_never_measured_is_refused(finished: Path) -> None:
    other = ["--set", "seeds=[0, 7]"]
    called = call(finished, "reproduce", "tiny.yaml", f"{ROW}/seed=7", "--results", "done", *SHORT, *other)
    assert called.status == 2
    assert "is waiting: there is no figure to reproduce" in called.err


def test_the_second_run_never_goes_into_the_folder_it_is_compared_with(finished: Path) -> None:
    words = ("tiny.yaml", ROW, "--results", "done", "--into", "done")
    called = call(finished, "reproduce", *words, *SHORT)
    assert called.status == 2
    assert "is the folder that the row is compared with" in called.err
