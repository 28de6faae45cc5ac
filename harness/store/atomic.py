"""Files that are there whole or not at all, whatever kills the process that writes them."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from harness.errors import UserError

LEFTOVER_SECONDS = 3600.0
"""A temporary file that was not touched for this long belongs to a process that was killed."""


def cannot_write(path: Path, error: OSError) -> UserError:
    """The one line for a write that the machine refused, such as a full disk or a read-only folder."""
    return UserError(f"cannot write {path.name} in {path.parent}: {error.strerror or error}")


def temporary_name(path: Path) -> Path:
    """A new hidden name beside `path`, so that renaming it to `path` stays within one file system."""
    return path.with_name(f".{path.name}.{secrets.token_hex(6)}.tmp")


def remove_leftovers(path: Path) -> None:
    """Removes what killed processes left behind while they wrote `path`."""
    with suppress(OSError), os.scandir(path.parent) as entries:
        for entry in entries:
            ours = entry.name.startswith(f".{path.name}.") and entry.name.endswith(".tmp")
            if ours and time.time() - entry.stat(follow_symlinks=False).st_mtime > LEFTOVER_SECONDS:
                remove(Path(entry.path))


def remove(path: Path) -> None:
    """Removes a file or a whole folder; silent if it is not there or cannot be removed."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink(missing_ok=True)


def sync(path: Path) -> None:
    """Waits until a file's content, or a folder's entries, are on the disk.

    Raises:
        OSError: the disk reports that a file's content is not stored.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError:
        # Some network file systems cannot sync a folder; a file that cannot be synced is an error.
        if not path.is_dir():
            raise
    finally:
        os.close(descriptor)


@contextmanager
def atomic_path(path: Path, durable: bool = True) -> Iterator[Path]:
    """A temporary path to write to, which becomes `path` when the block ends without an exception.

    For libraries that write files themselves. Parent folders are made. After an exception `path` is as it was and
    nothing is left beside it.

    Args:
        path: what is to be written or replaced.
        durable: wait until the disk has it; without, a power cut (not a kill) may lose the new content.

    Raises:
        UserError: the machine refused to write; one line that names the folder and the cause.
    """
    temporary = temporary_name(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if durable:
            remove_leftovers(path)
        yield temporary
        if durable:
            sync(temporary)
        temporary.replace(path)
        if durable:
            sync(path.parent)
    except OSError as error:
        remove(temporary)
        raise cannot_write(path, error) from error
    except BaseException:
        remove(temporary)
        raise


def write_bytes(path: Path, data: bytes, durable: bool = True) -> None:
    """Writes or replaces a file as a whole; raises UserError as `atomic_path` does."""
    with atomic_path(path, durable) as temporary:
        temporary.write_bytes(data)


def write_text(path: Path, text: str, durable: bool = True) -> None:
    """Writes or replaces a text file (UTF-8) as a whole; raises UserError as `atomic_path` does."""
    write_bytes(path, text.encode(), durable)


def write_json(path: Path, value: Any, durable: bool = True) -> None:
    """Writes or replaces a JSON file as a whole, keys in their given order; raises UserError as `atomic_path` does."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n", durable)
