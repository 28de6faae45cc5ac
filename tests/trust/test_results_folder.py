"""Commands on a results folder that somebody else made: what leads out of it is refused by name, in one line."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from harness.inside import Refused
from harness.store import artifacts, leases
from harness.store.ledger import Ledger
from harness.store.merge import merge
from tests.cli.calling import Called, call

KEY = "0f" * 32


def state(folder: Path) -> dict[str, tuple[bytes, float]]:
    found = {str(path): path for path in sorted(folder.rglob("*"))}
    return {name: (path.read_bytes() if path.is_file() else b"", path.stat().st_mtime) for name, path in found.items()}


def refused(called: Called, name: str) -> None:
    assert called.status == 2, called
    assert "Traceback" not in called.err
    assert called.err.count("\n") == 1
    assert name in called.err
    assert "is a symbolic link" in called.err


def looks(at: Path) -> Iterator[Called]:
    """Commands that train nothing."""
    results = ("--results", "done")
    yield call(at, "report", "tiny.yaml", *results, "--format", "md,csv")
    yield call(at, "plan", "tiny.yaml", *results)
    yield call(at, "export", "tiny.yaml", *results, "--to", "safetensors")


def commands(at: Path) -> Iterator[Called]:
    """Every command that a results folder is given to."""
    yield from looks(at)
    yield call(at, "merge", "done", "--into", "joint")
    yield call(at, "run", "tiny.yaml", "--results", "done", "--executor", "inline", "--set", "seeds=[1]")


@pytest.mark.parametrize("name", ["ledger", "leases", "artifacts", "checkpoints", "report", "networks"])
def test_a_folder_that_is_a_link_is_refused_and_nothing_is_written_behind_it(downloaded: Path, name: str) -> None:
    inner, outside = downloaded / "done" / name, downloaded / "outside"
    if inner.exists():
        shutil.copytree(inner, outside / "there", dirs_exist_ok=True)
        shutil.rmtree(inner)
    inner.symlink_to(outside / "there" if (outside / "there").exists() else outside)
    before = state(outside)
    told = list(commands(downloaded))
    assert any("is a symbolic link" in called.err for called in told)
    for called in told:
        assert "Traceback" not in called.err
        if called.status == 2:
            refused(called, name)
    assert state(outside) == before


@pytest.mark.parametrize("name", [".clock", ".steal", f"{KEY}.lease", f"{KEY}.progress"])
def test_a_link_among_the_leases_is_not_followed(tmp_path: Path, name: str) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_text("precious")
    os.utime(outside / "precious", (1, 1))
    results = tmp_path / "results"
    (results / "leases").mkdir(parents=True)
    for target in ("precious", "made"):
        (results / "leases" / name).unlink(missing_ok=True)
        (results / "leases" / name).symlink_to(outside / target)
        stale = results / "leases" / ("1e" * 32 + ".lease")
        stale.write_text("{}")
        os.utime(stale, (1, 1))
        for use in (
            lambda: leases.acquire(results, KEY),
            lambda: leases.acquire(results, "1e" * 32),
            lambda: leases.live(results),
            lambda: leases.progress(results),
        ):
            with suppress(Refused):
                held = use()
                if isinstance(held, leases.Lease):
                    held.note({"epoch": 1})
                    held.release()
    assert [path.name for path in outside.iterdir()] == ["precious"]
    assert (outside / "precious").read_text() == "precious"
    assert (outside / "precious").stat().st_mtime == 1


def test_a_link_in_the_place_of_a_ledger_or_its_lock_is_refused(tmp_path: Path) -> None:
    real = tmp_path / "real"
    ledger = Ledger(real)
    ledger.append("done", KEY, "dense", {})
    ledger.close()
    (file,) = (real / "ledger").glob("*.sqlite")
    before = file.read_bytes()
    for end in ("sqlite", "lock", "sqlite-journal"):
        results = tmp_path / end
        (results / "ledger").mkdir(parents=True)
        if end == "sqlite-journal":
            shutil.copy(file, results / "ledger" / file.name)
        (results / "ledger" / f"{file.stem}.{end}").symlink_to(file)
        with pytest.raises(Refused, match=rf"\.{end} is a symbolic link"):
            Ledger(results).append("done", KEY, "dense", {"run": 2})
        assert file.read_bytes() == before


@pytest.mark.parametrize(
    "name", ["../../../outside/precious", "/etc/passwd", "..", "a/b", "checksums.json", "x\0y", ""]
)
def test_a_list_of_checksums_that_names_other_files_is_damaged(tmp_path: Path, name: str) -> None:
    artifacts.write_artifact(tmp_path, KEY, {"weights": b"content"})
    folder = artifacts.artifact_folder(tmp_path, KEY)
    promise = {"sha256": hashlib.sha256(b"precious").hexdigest(), "size": 8}
    (folder / artifacts.MANIFEST).write_text(json.dumps({"files": {name: promise}}))
    for use in (artifacts.verify, artifacts.read_files):
        with pytest.raises(artifacts.Damaged, match="not a list of checksums"):
            use(tmp_path, KEY)
    with pytest.raises(artifacts.Damaged):
        artifacts.read_artifact(tmp_path, KEY, name)
    assert not artifacts.has_artifact(tmp_path, KEY)
    artifacts.remove_artifact(tmp_path, KEY)
    assert not folder.exists()


@pytest.mark.parametrize(
    "text",
    ["[]", "{}", '{"files": 3}', '{"files": {"a": 3}}', '{"files": {"a": {"sha256": "x", "size": 1}}}', "[" * 100_000]
    + [json.dumps({"files": {"a": {"sha256": "0" * 64, "size": size}}}) for size in (-1, 1.5, True, "1", 10**30, None)],
)
def test_a_list_of_checksums_that_is_none_is_damaged(tmp_path: Path, text: str) -> None:
    artifacts.write_artifact(tmp_path, KEY, {"weights": b"content"})
    (artifacts.artifact_folder(tmp_path, KEY) / artifacts.MANIFEST).write_text(text)
    with pytest.raises(artifacts.Damaged, match="not a list of checksums"):
        artifacts.verify(tmp_path, KEY)


def test_a_file_of_an_artifact_that_is_a_link_or_a_pipe_is_refused(tmp_path: Path) -> None:
    artifacts.write_artifact(tmp_path, KEY, {"weights": b"content"})
    file = artifacts.artifact_folder(tmp_path, KEY) / "weights"
    file.rename(tmp_path / "elsewhere")
    file.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Refused, match="weights is a symbolic link"):
        artifacts.read_artifact(tmp_path, KEY, "weights")
    file.unlink()
    os.mkfifo(file)
    with pytest.raises(Refused, match="weights is a pipe"):
        artifacts.read_artifact(tmp_path, KEY, "weights")


@pytest.mark.parametrize(
    "place", [f"artifacts/zz/{KEY}", f"artifacts/{KEY}", f"artifacts/0f/{KEY}/../x y", "artifacts/f"]
)
def test_merging_passes_over_names_that_no_artifact_has(tmp_path: Path, place: str) -> None:
    source = tmp_path / "source"
    Ledger(source).append("done", KEY, "dense", {})
    (source / place).mkdir(parents=True)
    (source / "artifacts" / "plain").write_text("a file")
    if f"0f/{KEY}" in place:
        artifacts.write_artifact(source, KEY, {"weights": b"content"})
    merged = merge([source], tmp_path / "into")
    assert merged.events == 1
    assert merged.artifacts == (1 if f"0f/{KEY}" in place else 0)


def test_merging_refuses_an_artifact_that_is_a_link(tmp_path: Path) -> None:
    artifacts.write_artifact(tmp_path / "elsewhere", KEY, {"weights": b"content"})
    source = tmp_path / "source"
    Ledger(source).append("done", KEY, "dense", {})
    (source / "artifacts" / "0f").mkdir(parents=True)
    (source / "artifacts" / "0f" / KEY).symlink_to(artifacts.artifact_folder(tmp_path / "elsewhere", KEY))
    with pytest.raises(Refused, match=f"{KEY} is a symbolic link"):
        merge([source], tmp_path / "into")


LEASE = {"host": "h", "pid": 1, "started": 1, "boot": None, "namespace": None, "token": "t"}


@pytest.mark.parametrize(
    "change",
    [
        *({"pid": pid} for pid in ("../../etc/passwd", "/dev/zero", -1, 0, 2**40, True, 1.5, None)),
        *({"host": host} for host in (3, "x" * 300, None)),
        {"started": "1"},
        {"token": None},
        {"boot": []},
    ],
)
def test_a_lease_with_an_owner_that_cannot_be_is_held_by_nobody(tmp_path: Path, change: dict[str, object]) -> None:
    path = tmp_path / "leases" / f"{KEY}.lease"
    path.parent.mkdir()
    path.write_text(json.dumps(LEASE))
    assert list(leases.live(tmp_path)) == [KEY]
    path.write_text(json.dumps(LEASE | change))
    assert leases.live(tmp_path) == {}


def test_a_lease_that_is_a_pipe_is_refused_at_once(tmp_path: Path) -> None:
    (tmp_path / "leases").mkdir()
    os.mkfifo(tmp_path / "leases" / f"{KEY}.lease")
    with pytest.raises(Refused, match="is a pipe"):
        leases.live(tmp_path)


def test_notes_of_progress_are_texts_and_numbers(tmp_path: Path) -> None:
    lease = leases.acquire(tmp_path, KEY)
    assert lease is not None
    with lease:
        note = tmp_path / "leases" / f"{KEY}.progress"
        note.write_text(json.dumps({"cell": "\x1b[2Ja\nb", "epoch": 1, "loss": [1], "stage": {"a": 1}}))
        assert leases.progress(tmp_path) == {KEY: {"cell": "\N{REPLACEMENT CHARACTER}[2Ja b", "epoch": 1}}
        note.write_text("[" * 60_000)
        assert leases.progress(tmp_path) == {}


def test_what_a_ledger_says_of_a_failure_is_shown_and_not_obeyed(downloaded: Path) -> None:
    keys = {event.kind: event.key for event in Ledger(downloaded / "done").refresh()}
    message = "\x1b[2J\u202e<script>x</script> [y](javascript:z)\nsecond line"
    ledger = Ledger(downloaded / "theirs")
    ledger.append("failed", keys["dense"], "dense", {"reason": "=crashed", "message": message})
    ledger.close()
    called = call(downloaded, "run", "tiny.yaml", "--results", "theirs", "--executor", "inline")
    assert called.status == 1
    assert "failed: vgg_digits/digits" in called.err
    assert all(sign.isprintable() or sign == "\n" for sign in called.err + called.out)
    assert all(line.startswith(("failed: ", "tiny: ")) or "cells done" in line for line in called.err.splitlines())
    call(downloaded, "report", "tiny.yaml", "--results", "theirs", "--format", "md,csv,html,latex")
    for file in (downloaded / "theirs" / "report").iterdir():
        text = file.read_text()
        assert "\x1b" not in text
        assert "\u202e" not in text
        assert file.suffix in {".json", ".jsonl", ".csv"} or "<script>x" not in text


def test_a_pipe_anywhere_in_a_results_folder_stops_no_command(downloaded: Path) -> None:
    for place in ("datasets.json", "hits.safetensors", "report/report.md", "leases/x.lease", "checkpoints/x"):
        path = downloaded / "done" / place
        path.parent.mkdir(exist_ok=True)
        os.mkfifo(path)
    for called in commands(downloaded):
        assert "Traceback" not in called.err
        assert called.status == 0 or "is a pipe" in called.err


@pytest.mark.parametrize("kind", ["other", "dense", "study", "trial"])
@pytest.mark.parametrize("of", ["measure", "compress", "finetune"])
def test_a_result_under_the_key_of_another_stage_is_refused_in_one_line(downloaded: Path, of: str, kind: str) -> None:
    ledger = Ledger(downloaded / "done")
    (key, *_) = [event.key for event in ledger.refresh() if event.kind == of]
    told: dict[str, object] = {"trials": [], "best": [], "stages": {}} if kind == "study" else {}
    ledger.append("done", key, kind, told)
    ledger.close()
    for called in looks(downloaded):
        assert "Traceback" not in called.err
        assert called.status in {0, 2}
        if called.status == 2:
            assert called.err.count("\n") == 1
            assert "damaged" in called.err or "was told by a" in called.err or "cannot be used" in called.err
    assert call(downloaded, "report", "tiny.yaml", "--results", "done", "--format", "md").status == 2
