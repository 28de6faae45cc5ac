from __future__ import annotations

import errno
import json
import os
import time
from pathlib import Path

import pytest

from harness.errors import UserError
from harness.store import atomic
from tests.store.processes import names, permissions_bind, start

LIMITED = """
import resource, sys
from pathlib import Path
from harness.errors import UserError
from harness.store.atomic import write_bytes
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
try:
    write_bytes(Path(sys.argv[1]), b"x" * 10_000)
except UserError as error:
    print(error)
"""


def test_what_is_written_is_read_back_and_folders_are_made(tmp_path: Path) -> None:
    atomic.write_bytes(tmp_path / "a" / "b" / "bytes", b"\0\1")
    atomic.write_text(tmp_path / "text", "é\n")
    atomic.write_json(tmp_path / "object.json", {"b": 1, "a": [None, 0.5]})
    assert (tmp_path / "a" / "b" / "bytes").read_bytes() == b"\0\1"
    assert (tmp_path / "text").read_text(encoding="utf-8") == "é\n"
    assert list(json.loads((tmp_path / "object.json").read_text())) == ["b", "a"]


def test_only_the_file_itself_is_left_in_the_folder(tmp_path: Path) -> None:
    atomic.write_text(tmp_path / "file", "old")
    atomic.write_text(tmp_path / "file", "new")
    assert names(tmp_path) == ["file"]
    assert (tmp_path / "file").read_text() == "new"


def test_an_exception_in_the_block_leaves_the_old_content_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "file"
    atomic.write_text(path, "old")

    def write_half() -> None:
        with atomic.atomic_path(path) as temporary:
            temporary.write_text("ne")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_half()
    assert path.read_text() == "old"
    assert names(tmp_path) == ["file"]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
def test_a_disk_that_refuses_is_one_line_that_names_folder_and_cause(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def refuse(descriptor: int) -> None:
        raise OSError(code, os.strerror(code))

    atomic.write_text(tmp_path / "file", "old")
    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(UserError) as caught:
        atomic.write_text(tmp_path / "file", "new")
    assert str(caught.value) == f"cannot write file in {tmp_path}: {os.strerror(code)}"
    assert (tmp_path / "file").read_text() == "old"
    assert names(tmp_path) == ["file"]


def test_a_write_that_stops_half_way_leaves_nothing(tmp_path: Path) -> None:
    output, _ = start(LIMITED, tmp_path / "file").communicate()
    assert output.strip() == f"cannot write file in {tmp_path}: File too large"
    assert names(tmp_path) == []


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"cannot write inner in .*file: (Not a directory|File exists)"):
        atomic.write_text(tmp_path / "file" / "inner", "text")


@pytest.mark.skipif(not permissions_bind(), reason="this user may write to read-only folders")
def test_a_read_only_folder_is_one_line(tmp_path: Path) -> None:
    tmp_path.chmod(0o555)
    with pytest.raises(UserError, match=f"cannot write file in {tmp_path}: Permission denied"):
        atomic.write_text(tmp_path / "file", "text")
    tmp_path.chmod(0o755)


def test_what_a_killed_process_left_is_removed_once_it_is_old(tmp_path: Path) -> None:
    old, young, other = (tmp_path / name for name in (".file.1.tmp", ".file.2.tmp", ".other.1.tmp"))
    for path in (old, young, other):
        path.touch()
    long_ago = time.time() - atomic.LEFTOVER_SECONDS - 60
    os.utime(old, (long_ago, long_ago))
    os.utime(other, (long_ago, long_ago))
    atomic.write_text(tmp_path / "file", "text")
    assert names(tmp_path) == [".file.2.tmp", ".other.1.tmp", "file"]


def test_permissions_follow_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        atomic.write_text(tmp_path / "file", "text")
    finally:
        os.umask(before)
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o640
