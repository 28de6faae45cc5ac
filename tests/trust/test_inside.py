"""The one way to a path inside a folder of a stranger."""

from __future__ import annotations

import ast
import os
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import harness
from harness.inside import Refused, check_plain, inside, open_to_append, read_bytes, touch


@pytest.mark.parametrize("name", ["..", ".", "", "/etc/passwd", "a/b", "../../x", "a\0b"])
def test_a_name_that_is_no_plain_name_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(Refused, match="cannot be the name"):
        inside(tmp_path, "artifacts", name)


@given(st.lists(st.text(max_size=8), min_size=1, max_size=4))
def test_what_is_given_lies_below_the_folder_or_nothing_is(names: list[str]) -> None:
    root = Path("/no/such/folder")
    try:
        found = inside(root, *names)
    except Refused:
        return
    assert os.path.normpath(found) == str(found)
    assert str(found).startswith("/no/such/folder/")
    assert len(found.parts) == len(root.parts) + len(names)


@pytest.mark.parametrize("target", ["/etc/passwd", "nowhere", "beside"])
def test_a_link_is_refused_by_name_wherever_it_leads(tmp_path: Path, target: str) -> None:
    (tmp_path / "beside").mkdir()
    (tmp_path / "link").symlink_to(target)
    for names in (("link",), ("link", "below")):
        with pytest.raises(Refused, match=rf"{tmp_path}/link is a symbolic link"):
            inside(tmp_path, *names)


def test_the_folder_itself_may_be_a_link_for_its_user_named_it(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    assert inside(tmp_path / "link", "file") == tmp_path / "link" / "file"


def test_a_pipe_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for use in (read_bytes, open_to_append, touch, lambda path: check_plain(path, 10)):
        with pytest.raises((Refused, OSError), match=r"is a pipe, not a plain file|No such device"):
            use(tmp_path / "pipe")


def test_a_device_and_a_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="a device, not a plain file"):
        read_bytes(Path("/dev/zero"))
    with pytest.raises(Refused, match="a folder, not a plain file"):
        read_bytes(tmp_path)


def test_a_huge_file_is_refused_before_it_is_read(tmp_path: Path) -> None:
    with (tmp_path / "huge").open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(Refused, match=r"has 1,099,511,627,776 bytes, more than the 100"):
        read_bytes(tmp_path / "huge", most=100)


def test_a_link_is_neither_read_nor_written_through(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("precious")
    os.utime(tmp_path / "precious", (1, 1))
    (tmp_path / "link").symlink_to("precious")
    (tmp_path / "dangling").symlink_to("made")
    for use in (read_bytes, open_to_append, touch):
        for name in ("link", "dangling"):
            with pytest.raises(Refused, match="is a symbolic link"):
                use(tmp_path / name)
    assert (tmp_path / "precious").stat().st_mtime == 1
    assert not (tmp_path / "made").exists()


def test_a_file_that_its_user_named_may_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content")
    (tmp_path / "link").symlink_to("file")
    assert read_bytes(tmp_path / "link", links=True) == b"content"


def test_a_plain_file_is_read_and_appended_to(tmp_path: Path) -> None:
    with open_to_append(tmp_path / "file") as file:
        file.write(b"one")
    with open_to_append(tmp_path / "file") as file:
        file.write(b"two")
    assert read_bytes(tmp_path / "file") == b"onetwo"
    assert stat.S_ISREG((tmp_path / "file").stat().st_mode)
    assert touch(tmp_path / "file") == (tmp_path / "file").stat().st_mtime


BY_THEMSELVES = {"owner.py", "hardened.py"}
"""Read what the kernel tells of processes, and the heads of files that were checked."""


def test_the_store_opens_no_file_but_through_here() -> None:
    folder = Path(harness.__file__).parent
    sources = [path for room in ("store", "train") for path in (folder / room).glob("*.py")]
    sources += [folder / "report" / name for name in ("recorded.py", "hits.py", "check.py")]
    sources += [folder / "execute" / "journal.py"]
    found = [
        f"{path.name}:{node.lineno}"
        for path in sources
        if path.name not in BY_THEMSELVES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and (
            (isinstance(node.func, ast.Attribute) and node.func.attr in {"read_bytes", "read_text", "touch"})
            or ast.unparse(node.func) in {"open", "io.open"}
            or (
                isinstance(node.func, ast.Attribute)
                and node.func.attr == "open"
                and ast.unparse(node.func.value) != "os"
            )
        )
    ]
    assert found == []
