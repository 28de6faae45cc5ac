from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.errors import UserError
from harness.store import artifacts, atomic
from harness.store.artifacts import Damaged
from tests.store.processes import names, start

KEY = "ab" * 32
FILES = {"weights.safetensors": bytes(range(256)) * 64, "kept.json": b"{}"}
WRITER = """
import sys
from pathlib import Path
from harness.store.artifacts import remove_artifact, write_artifact
for turn in range(15):
    write_artifact(Path(sys.argv[1]), "ab" * 32, {"file": b"x" * 5000})
    remove_artifact(Path(sys.argv[1]), "ab" * 32)
write_artifact(Path(sys.argv[1]), "ab" * 32, {"file": b"x" * 5000})
"""


def weights(results: Path) -> Path:
    return artifacts.artifact_folder(results, KEY) / "weights.safetensors"


def flip_a_bit(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=20, deadline=None)
@given(st.dictionaries(st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,20}", fullmatch=True), st.binary(), max_size=4))
def test_what_is_written_is_read_back(tmp_path: Path, files: dict[str, bytes]) -> None:
    files.pop(artifacts.MANIFEST, None)
    artifacts.remove_artifact(tmp_path, KEY)
    artifacts.write_artifact(tmp_path, KEY, files)
    assert artifacts.read_files(tmp_path, KEY) == files
    assert all(artifacts.read_artifact(tmp_path, KEY, name) == data for name, data in files.items())


def test_an_artifact_lies_in_a_folder_named_by_its_key(tmp_path: Path) -> None:
    artifacts.write_artifact(tmp_path, KEY, FILES)
    assert names(tmp_path / "artifacts" / "ab") == [KEY]
    assert names(tmp_path / "artifacts" / "ab" / KEY) == ["checksums.json", "kept.json", "weights.safetensors"]
    assert artifacts.artifact_keys(tmp_path) == [KEY]


@pytest.mark.parametrize("key", ["", "../../etc", "ab" * 31, "AB" * 32, "ab" * 32 + "\n", "g" * 64])
def test_a_key_that_is_no_content_key_is_refused(tmp_path: Path, key: str) -> None:
    with pytest.raises(ValueError, match="content key"):
        artifacts.write_artifact(tmp_path, key, FILES)


@pytest.mark.parametrize("name", ["", ".", "../outside", "a/b", ".hidden", "checksums.json"])
def test_a_name_that_is_no_plain_file_name_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="name of a file"):
        artifacts.write_artifact(tmp_path, KEY, {name: b""})
    assert not artifacts.has_artifact(tmp_path, KEY)


def test_an_absent_artifact_is_said_to_be_missing(tmp_path: Path) -> None:
    assert not artifacts.has_artifact(tmp_path, KEY)
    with pytest.raises(Damaged, match=r"checksums\.json is missing"):
        artifacts.read_artifact(tmp_path, KEY, "kept.json")
    assert names(tmp_path) == []


def test_a_changed_bit_is_refused_by_file_name(tmp_path: Path) -> None:
    artifacts.write_artifact(tmp_path, KEY, FILES)
    flip_a_bit(weights(tmp_path))
    with pytest.raises(Damaged, match=r"weights\.safetensors is damaged: its checksum differs"):
        artifacts.read_artifact(tmp_path, KEY, "weights.safetensors")
    with pytest.raises(Damaged, match=r"weights\.safetensors"):
        artifacts.verify(tmp_path, KEY)
    assert artifacts.read_artifact(tmp_path, KEY, "kept.json") == b"{}"


def test_a_truncated_file_is_refused_and_the_artifact_counts_as_absent(tmp_path: Path) -> None:
    artifacts.write_artifact(tmp_path, KEY, FILES)
    assert artifacts.has_artifact(tmp_path, KEY)
    os.truncate(weights(tmp_path), 100)
    assert not artifacts.has_artifact(tmp_path, KEY)
    with pytest.raises(Damaged, match="100 bytes instead of 16384"):
        artifacts.verify(tmp_path, KEY)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"files": {"kept.json": 3}}', '{"files": 1}'])
def test_a_damaged_list_of_checksums_is_refused(tmp_path: Path, content: str) -> None:
    artifacts.write_artifact(tmp_path, KEY, FILES)
    (weights(tmp_path).parent / "checksums.json").write_text(content)
    with pytest.raises(Damaged, match=r"checksums\.json is damaged"):
        artifacts.verify(tmp_path, KEY)
    assert not artifacts.has_artifact(tmp_path, KEY)


def test_a_sound_artifact_is_left_as_it_is(tmp_path: Path) -> None:
    artifacts.write_artifact(tmp_path, KEY, FILES)
    artifacts.write_artifact(tmp_path, KEY, {"other": b""})
    assert artifacts.read_files(tmp_path, KEY) == FILES


def test_a_damaged_artifact_is_replaced(tmp_path: Path) -> None:
    artifacts.write_artifact(tmp_path, KEY, FILES)
    flip_a_bit(weights(tmp_path))
    artifacts.write_artifact(tmp_path, KEY, FILES)
    assert artifacts.read_files(tmp_path, KEY) == FILES
    assert names(tmp_path / "artifacts" / "ab") == [KEY]


def test_removing_leaves_nothing_and_may_be_repeated(tmp_path: Path) -> None:
    artifacts.write_artifact(tmp_path, KEY, FILES)
    artifacts.remove_artifact(tmp_path, KEY)
    artifacts.remove_artifact(tmp_path, KEY)
    assert names(tmp_path / "artifacts" / "ab") == []


def test_a_disk_that_refuses_is_one_line_and_nothing_half_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(UserError, match=f"cannot write {KEY} in .*: No space left on device"):
        artifacts.write_artifact(tmp_path, KEY, FILES)
    assert names(tmp_path / "artifacts" / "ab") == []


def test_what_a_killed_writer_left_is_no_artifact_and_goes_with_the_next_write(tmp_path: Path) -> None:
    half = atomic.temporary_name(artifacts.artifact_folder(tmp_path, KEY))
    half.mkdir(parents=True)
    (half / "weights.safetensors").write_bytes(b"half")
    assert not artifacts.has_artifact(tmp_path, KEY)
    assert artifacts.artifact_keys(tmp_path) == []
    long_ago = time.time() - atomic.LEFTOVER_SECONDS - 60
    os.utime(half, (long_ago, long_ago))
    artifacts.write_artifact(tmp_path, KEY, FILES)
    assert names(tmp_path / "artifacts" / "ab") == [KEY]


def test_processes_that_write_and_remove_one_artifact_leave_a_sound_one(tmp_path: Path) -> None:
    writers = [start(WRITER, tmp_path) for _ in range(3)]
    for writer in writers:
        writer.communicate()
    assert [writer.returncode for writer in writers] == [0, 0, 0]
    assert artifacts.read_files(tmp_path, KEY) == {"file": b"x" * 5000}


def test_the_checksums_are_those_of_the_files(tmp_path: Path) -> None:
    artifacts.write_artifact(tmp_path, KEY, {"empty": b""})
    manifest = json.loads((weights(tmp_path).parent / "checksums.json").read_text())
    nothing = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert manifest == {"files": {"empty": {"sha256": nothing, "size": 0}}}
