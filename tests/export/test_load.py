"""A trained network comes back as it was measured."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import pytest
import torch
from torch import nn

import harness
from harness.errors import UserError
from harness.execute.network import example_of
from harness.execute.place import Place
from harness.measure.accuracy import measure_accuracy
from harness.measure.macs import count_macs, count_params
from harness.store.grid import look, rows_of
from harness.store.ledger import Ledger
from harness.store.rows import Row
from harness.suite.load import load_suite
from tests.cli.calling import call

CELLS = ["dense/seed=0", "l1_norm[macs=0.5]/seed=0", "dnal/seed=0"]


def row_of(folder: Path, name: str) -> Row:
    suite = load_suite(str(folder / "tiny.yaml"))
    ledger = Ledger(folder / "done")
    rows = rows_of(look(suite.cells, folder / "done", ledger), ledger)
    return next(row for row in rows if row.cell.label.endswith(name))


def loaded(folder: Path, name: str) -> nn.Module:
    return harness.load(folder / "tiny.yaml", name, results=folder / "done")


@pytest.mark.parametrize("name", CELLS)
def test_the_network_of_a_cell_has_the_costs_and_the_accuracy_of_its_row(name: str, finished: Path) -> None:
    network, row = loaded(finished, name), row_of(finished, name)
    assert count_macs(network, example_of("digits")) == row.macs
    assert count_params(network) == row.params
    tested = measure_accuracy(network, Place(finished / "done", finished).test_loader("digits"))
    assert tested.top1 == row.top1


def test_the_network_of_a_row_is_that_of_its_cell(finished: Path) -> None:
    by_row = harness.load(row_of(finished, CELLS[1]), results=finished / "done").state_dict()
    by_name = loaded(finished, CELLS[1]).state_dict()
    assert all(torch.equal(by_row[name], by_name[name]) for name in by_name)


@pytest.mark.parametrize("name", CELLS)
def test_an_exported_file_gives_back_the_network_bit_for_bit(name: str, finished: Path, tmp_path: Path) -> None:
    words = ("export", "tiny.yaml", "--to", "safetensors", "--results", "done", "--into", tmp_path, "--json")
    written = call(finished, *words, "--only", f"vgg_digits/digits/{name}").document
    network = harness.load(written[0]["file"])
    images = torch.randn(4, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        assert torch.equal(network(images), loaded(finished, name)(images))
    assert not network.training


def test_an_exported_file_states_its_widths_and_what_was_measured(finished: Path, tmp_path: Path) -> None:
    from safetensors import safe_open

    call(finished, "export", "tiny.yaml", "--to", "safetensors", "--results", "done", "--into", tmp_path)
    row = row_of(finished, CELLS[1])
    path = tmp_path / "vgg_digits_digits_l1_norm_macs=0.5_seed=0.safetensors"
    with safe_open(str(path), framework="numpy") as file:
        header = file.metadata()
    stated = {name: tuple(pair) for name, pair in json.loads(header["widths"]).items()}
    assert {name: pair for name, pair in stated.items() if name in row.widths} == row.widths
    assert json.loads(header["measured"])["top1"] == row.top1
    assert json.loads(header["provenance"])["versions"]["torch"]


def test_networks_are_exported_one_file_a_finished_cell(finished: Path, tmp_path: Path) -> None:
    called = call(finished, "export", "tiny.yaml", "--to", "safetensors", "--results", "done", "--into", tmp_path)
    assert called.status == 0
    assert sorted(called.out.split()) == sorted(str(path) for path in tmp_path.iterdir())
    assert len(list(tmp_path.iterdir())) == len(CELLS)


def test_the_logits_of_onnxruntime_are_ours(finished: Path, tmp_path: Path) -> None:
    for package in ("onnx", "onnxscript"):
        pytest.importorskip(package, reason="the extra 'onnx' is not installed")
    onnxruntime = pytest.importorskip("onnxruntime", reason="the extra 'onnx' is not installed")
    words = ("export", "tiny.yaml", "--to", "onnx", "--results", "done", "--into", tmp_path, "--json")
    (written,) = call(finished, *words, "--only", CELLS[1].partition("/")[0]).document
    session = onnxruntime.InferenceSession(written["file"], providers=["CPUExecutionProvider"])
    images = torch.randn(7, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        ours = loaded(finished, CELLS[1])(images)
    theirs = torch.from_numpy(session.run(None, {"images": images.numpy()})[0])
    torch.testing.assert_close(theirs, ours, rtol=0, atol=1e-4 * float(ours.abs().max()))


def test_a_cell_that_is_not_done_has_no_network(finished: Path) -> None:
    with pytest.raises(UserError, match=r"dense/seed=0 is not done in .*elsewhere"):
        harness.load(finished / "tiny.yaml", CELLS[0], results=finished / "elsewhere")


def test_a_slip_in_a_cells_name_says_what_was_meant(finished: Path) -> None:
    with pytest.raises(UserError, match=r"has no cell 'l1norm\[macs=0.5\]/seed=0'; did you mean 'l1_norm\[macs=0.5\]"):
        loaded(finished, "l1norm[macs=0.5]/seed=0")


def test_a_suite_alone_does_not_say_which_cell(finished: Path) -> None:
    with pytest.raises(UserError, match="which cell of tiny"):
        harness.load(finished / "tiny.yaml")


HOSTILE = {
    "not safetensors at all": b"\x80\x04\x95pickle",
    "an empty file": b"",
}


@pytest.mark.parametrize("what", HOSTILE)
def test_a_file_that_is_none_of_ours_is_refused_by_name(what: str, tmp_path: Path) -> None:
    path = tmp_path / "network.safetensors"
    path.write_bytes(HOSTILE[what])
    with pytest.raises(UserError, match=r"network\.safetensors cannot be read"):
        harness.load(path)


@pytest.mark.parametrize(
    ("entry", "value", "said"),
    [
        ("format", "nas-harness/99", "not an exported network of format nas-harness/1, but nas-harness/99"),
        ("backbone", "vgg_digit", "did you mean 'vgg_digits'"),
        ("kept", '{"features.conv1": [0, 99999]}', "does not describe a network"),
        ("kept", "[1, 2]", "does not describe a network"),
        ("kept", "{", "does not describe a network"),
    ],
)
def test_a_header_that_was_tampered_with_is_refused(
    entry: str, value: str, said: str, finished: Path, tmp_path: Path
) -> None:
    from safetensors import safe_open
    from safetensors.torch import save_file

    words = ("export", "tiny.yaml", "--to", "safetensors", "--results", "done", "--into", tmp_path, "--json")
    (written,) = call(finished, *words, "--only", "l1_norm").document
    with safe_open(written["file"], framework="pt") as file:
        header, tensors = file.metadata(), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    path = tmp_path / "changed.safetensors"
    save_file(tensors, path, {**header, entry: value})
    with pytest.raises(UserError, match=said):
        harness.load(path)


def test_nothing_to_export_is_said_in_one_line(finished: Path) -> None:
    called = call(finished, "export", "tiny.yaml", "--to", "safetensors", "--results", "nowhere")
    assert called.status == 2
    assert called.err.startswith("error: none of the 3 cells is done in nowhere")
    with contextlib.suppress(FileNotFoundError):
        assert not list((finished / "nowhere").iterdir())
