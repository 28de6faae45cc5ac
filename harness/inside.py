"""Files of a folder that may come from a stranger: no link is followed, no name leads out, only plain files are read.

What is inside a results folder was perhaps unpacked from an archive that nobody looked into. The folder itself is its
user's choice and may be a link; nothing below it may.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import IO

from harness.errors import UserError

LARGEST_TEXT = 2**24
"""Bytes of a small file that is read as a whole: a list of checksums, facts, notes."""
LARGEST_RECORD = 2**28
"""Bytes of recorded rows, and of the hits recorded beside them."""
LARGEST_WEIGHTS = 2**32
"""Bytes of a file of tensors."""

_PLAIN = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class Refused(UserError):
    """A link, a name that leads out of its folder, or something that is no plain file of a sensible size."""


def inside(root: Path, *names: str) -> Path:
    """`root` / names, once it is sure that this is where it leads.

    Args:
        root: the results folder, or another that its user chose; may be a link.
        names: of folders and, last, of a file or a folder; none of them need be there.

    Raises:
        Refused: a name is no plain name, or one of them is a symbolic link.
    """
    place = os.fspath(root)
    for name in names:
        if name in ("", ".", "..") or "/" in name or "\0" in name or os.sep in name:
            raise Refused(f"{name!r} cannot be the name of anything in {place}")
        place = os.path.join(place, name)  # noqa: PTH118 - three times as fast, and this is asked for every stage
        try:
            linked = stat.S_ISLNK(os.lstat(place).st_mode)
        except OSError:  # not there, or for whoever opens it to report
            continue
        if linked:
            raise Refused(f"{place} is a symbolic link: links in a results folder are not followed")
    return Path(place)


def read_bytes(path: Path, most: int = LARGEST_TEXT, links: bool = False) -> bytes:
    """The content of a plain file.

    Args:
        path: from `inside`, or a file that its user named.
        most: bytes; a larger file is refused before it is read.
        links: whether the file itself may be a link, because its user named it.

    Raises:
        Refused: it is a link, a folder, a pipe or a device, or is too large.
        OSError: it is not there, or cannot be read.
    """
    if not links and path.is_symlink():
        raise Refused(f"{path} is a symbolic link: links in a results folder are not followed")
    with os.fdopen(_opened(path, os.O_RDONLY, links), "rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size > most:
            raise Refused(f"{path} has {size:,} bytes, more than the {most:,} that are read of such a file")
        return file.read(most)


def open_to_append(path: Path) -> IO[bytes]:
    """A file to lock or to write to at its end, made if it is not there; raises as `read_bytes` does."""
    if path.is_symlink():
        raise Refused(f"{path} is a symbolic link: links in a results folder are not followed")
    return os.fdopen(_opened(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, links=False), "ab")


def touch(path: Path) -> float:
    """Makes a file or renews its time; gives that time, by the file system's clock. Raises as `read_bytes` does."""
    with open_to_append(path) as file:
        os.utime(file.fileno())
        return os.fstat(file.fileno()).st_mtime


def check_plain(path: Path, most: int, links: bool = False) -> int:
    """The size of a plain file, for libraries that open files themselves; arguments and errors as of `read_bytes`."""
    found = path.stat() if links else path.lstat()
    _check_mode(path, found)
    if found.st_size > most:
        raise Refused(f"{path} has {found.st_size:,} bytes, more than the {most:,} that are read of such a file")
    return found.st_size


def _opened(path: Path, flags: int, links: bool) -> int:
    # Without O_NONBLOCK, opening a pipe waits for somebody at its other end.
    descriptor = os.open(path, flags | (_PLAIN & ~os.O_NOFOLLOW if links else _PLAIN), 0o666)
    try:
        _check_mode(path, os.fstat(descriptor))
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _check_mode(path: Path, found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        what = next(
            (
                word
                for test, word in (
                    (stat.S_ISDIR, "a folder"),
                    (stat.S_ISLNK, "a symbolic link"),
                    (stat.S_ISFIFO, "a pipe"),
                    (stat.S_ISSOCK, "a socket"),
                )
                if test(found.st_mode)
            ),
            "a device",
        )
        raise Refused(f"{path} is {what}, not a plain file")
