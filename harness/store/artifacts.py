"""What stages leave behind: a folder of files a stage, whole or absent, each file with its checksum.

The stage with content key KEY has `RESULTS/artifacts/KEY[:2]/KEY/`, which holds its files and `checksums.json`:
`{"files": {name: {"sha256": hexadecimal, "size": bytes}}}`. A folder is never changed after it is there; it is only
replaced as a whole, or removed.
"""

from __future__ import annotations

import errno
import hashlib
import json
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from harness.errors import UserError
from harness.inside import LARGEST_TEXT, LARGEST_WEIGHTS, check_plain, inside, read_bytes
from harness.store import atomic

MANIFEST = "checksums.json"
_OCCUPIED = {errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR}
_KEY = re.compile(r"[0-9a-f]{64}")
_NAME = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]{0,99}")
_SUM = re.compile(r"[0-9a-f]{64}")


class Damaged(UserError):
    """An artifact is missing or not what was written; the stage must run again."""


def artifact_folder(results: Path, key: str) -> Path:
    """Where the artifact of a stage is, or would be.

    Raises:
        Refused: it is a link, or lies behind one.
        ValueError: the key is not 64 lower-case hexadecimal digits.
    """
    if not _KEY.fullmatch(key):
        raise ValueError(f"{key!r} is not a content key (64 hexadecimal digits)")
    return inside(results, "artifacts", key[:2], key)


def write_artifact(results: Path, key: str, files: Mapping[str, bytes]) -> None:
    """Stores the files of a stage. An intact artifact of that key is left as it is, a damaged one is replaced.

    Args:
        results: the results folder.
        key: the stage's content key.
        files: {name: content}; names are plain file names.

    Raises:
        UserError: the machine refused to write; nothing half-written is left.
        ValueError: a malformed key or name.
    """
    folder = artifact_folder(results, key)
    if not intact(results, key):
        install_artifact(folder, files)


def install_artifact(folder: Path, files: Mapping[str, bytes]) -> None:
    """Puts an artifact in its folder, in place of whatever is there; raises as `write_artifact` does."""
    for name in files:
        if not _NAME.fullmatch(name) or name == MANIFEST:
            raise ValueError(f"{name!r} cannot be the name of a file in an artifact")
    sums = {name: {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)} for name, data in files.items()}
    temporary = atomic.temporary_name(folder)
    try:
        temporary.mkdir(parents=True)
        atomic.remove_leftovers(folder)
        for name, data in {**files, MANIFEST: json.dumps({"files": sums}, indent=2).encode() + b"\n"}.items():
            (temporary / name).write_bytes(data)
            atomic.sync(temporary / name)
        atomic.sync(temporary)
        _replace(folder, temporary)
        atomic.sync(folder.parent)
    except OSError as error:
        raise atomic.cannot_write(folder, error) from error
    finally:
        atomic.remove(temporary)


def _replace(folder: Path, new: Path) -> None:
    """Renames a folder to one that may exist; raises OSError."""
    while True:
        try:
            new.rename(folder)
            return
        except OSError as error:
            if error.errno not in _OCCUPIED:
                raise
        # Another process may have removed or replaced it meanwhile.
        with suppress(FileNotFoundError):
            _move_away(folder)


def _move_away(folder: Path) -> None:
    """Removes a folder so that no reader ever finds a part of it."""
    aside = atomic.temporary_name(folder)
    folder.rename(aside)
    atomic.remove(aside)


def _manifest(folder: Path) -> dict[str, tuple[str, int]]:
    """{name: (checksum, size)}; names are plain file names."""
    path = inside(folder, MANIFEST)
    try:
        entries = json.loads(read_bytes(path, LARGEST_TEXT))["files"]
        return {name: _promise(name, entry) for name, entry in entries.items()}
    except (FileNotFoundError, NotADirectoryError):
        raise Damaged(f"{path} is missing") from None
    except OSError as error:
        raise Damaged(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise Damaged(f"{path} is damaged: not a list of checksums") from None


def _promise(name: str, entry: dict[str, object]) -> tuple[str, int]:
    checksum, size = entry["sha256"], entry["size"]
    if not _NAME.fullmatch(name) or name == MANIFEST:
        raise ValueError("not a plain file name")
    if type(size) is not int or not 0 <= size <= LARGEST_WEIGHTS:
        raise ValueError("not a size")
    if not isinstance(checksum, str) or not _SUM.fullmatch(checksum):
        raise ValueError("not a checksum")
    return checksum, size


def _read(folder: Path, name: str, expected: tuple[str, int]) -> bytes:
    path = inside(folder, name)
    checksum, size = expected
    try:
        there = check_plain(path, LARGEST_WEIGHTS)
        if there != size:
            raise Damaged(f"{path} is damaged: {there} bytes instead of {size}")
        data = read_bytes(path, LARGEST_WEIGHTS)
    except FileNotFoundError:
        raise Damaged(f"{path} is missing") from None
    except OSError as error:
        raise Damaged(f"{path} cannot be read: {error.strerror}") from error
    if hashlib.sha256(data).hexdigest() != checksum:
        raise Damaged(f"{path} is damaged: its checksum differs")
    return data


def read_artifact(results: Path, key: str, name: str) -> bytes:
    """The content of one file, checked against its checksum.

    Raises:
        Damaged: the artifact or the file is missing, or its content is not what was written; names the file.
        ValueError: a malformed key.
    """
    folder = artifact_folder(results, key)
    manifest = _manifest(folder)
    if name not in manifest:
        raise Damaged(f"{folder / name} is missing")
    return _read(folder, name, manifest[name])


def read_files(results: Path, key: str) -> dict[str, bytes]:
    """All files of an artifact, checked; raises as `read_artifact` does."""
    folder = artifact_folder(results, key)
    return {name: _read(folder, name, expected) for name, expected in _manifest(folder).items()}


def verify(results: Path, key: str) -> None:
    """Reads and checks every file of an artifact, one at a time; raises as `read_artifact` does."""
    folder = artifact_folder(results, key)
    for name, expected in _manifest(folder).items():
        _read(folder, name, expected)


def intact(results: Path, key: str) -> bool:
    """Whether the artifact is there and every checksum holds."""
    try:
        verify(results, key)
    except Damaged:
        return False
    return True


def has_artifact(results: Path, key: str) -> bool:
    """Whether the artifact is there with files of the right sizes; contents are checked only when they are read."""
    folder = artifact_folder(results, key)
    try:
        return all(check_plain(folder / name, LARGEST_WEIGHTS) == size for name, (_, size) in _manifest(folder).items())
    except (Damaged, OSError):
        return False


def artifact_keys(results: Path) -> list[str]:
    """The keys of all artifacts that are there, sorted; their contents are not looked at.

    Raises:
        Refused: the folder of artifacts, or one in it, is a link.
        UserError: it cannot be read.
    """
    found: list[str] = []
    folder = inside(results, "artifacts")
    try:
        with suppress(FileNotFoundError, NotADirectoryError):
            for prefix in folder.iterdir():
                with suppress(NotADirectoryError):
                    names = [entry.name for entry in inside(folder, prefix.name).iterdir()]
                    found += [name for name in names if _KEY.fullmatch(name) and name[:2] == prefix.name]
    except OSError as error:
        raise UserError(f"cannot read {error.filename or folder}: {error.strerror}") from error
    return sorted(found)


def remove_artifact(results: Path, key: str) -> None:
    """Removes an artifact as a whole; silent if there is none.

    Raises:
        UserError: the machine refused.
    """
    folder = artifact_folder(results, key)
    try:
        _move_away(folder)
    except FileNotFoundError:
        return
    except OSError as error:
        raise UserError(f"cannot remove {folder}: {error.strerror}") from error
