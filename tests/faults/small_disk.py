"""A disk that is full or read-only: a small tmpfs of one process, or a limit on the size of files as a substitute."""

from __future__ import annotations

import ctypes
import json
import os
import resource
import shutil
from pathlib import Path

from harness.errors import UserError
from tests.faults.processes import drive

CLONE_NEWNS, CLONE_NEWUSER = 0x00020000, 0x10000000
MS_RDONLY, MS_REMOUNT, MS_REC, MS_PRIVATE = 1, 32, 16384, 1 << 18

_LIBC = ctypes.CDLL(None, use_errno=True)


def have_own_mounts() -> bool:
    """From now on this process mounts for itself alone; whether the system lets it."""
    user, group = os.getuid(), os.getgid()
    if _LIBC.unshare(CLONE_NEWNS) != 0:
        if _LIBC.unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0:
            return False
        try:
            Path("/proc/self/setgroups").write_text("deny")
            Path("/proc/self/uid_map").write_text(f"0 {user} 1")
            Path("/proc/self/gid_map").write_text(f"0 {group} 1")
        except OSError:
            return False
    return bool(_LIBC.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None) == 0)


def mount(folder: Path, size: str, flags: int = 0) -> bool:
    """Puts a file system in memory of this size at a folder, or changes the one that is there; whether it could."""
    return bool(_LIBC.mount(b"tmpfs", str(folder).encode(), b"tmpfs", flags, f"size={size}".encode()) == 0)


def attempt(suite: Path, results: Path) -> str:
    """Runs a suite in this process; what stopped it, or nothing."""
    try:
        drive(suite, results)
    except SystemExit as halted:
        return str(halted.code)
    except UserError as error:
        return str(error)
    return ""


def run_on_growing_disks(suite: Path, folder: Path, sizes: list[int]) -> None:
    """Runs a suite on a disk of each of these sizes (KiB) in turn, then read-only, then with room enough.

    Leaves in `folder` the results and `told.json`: how the disk was made small, and what each run was stopped by.
    """
    results = folder / "disk" / "results"
    results.parent.mkdir(parents=True)
    mounted = have_own_mounts() and mount(results.parent, f"{sizes[0]}k")
    told = []
    for size in sizes:
        if mounted:
            mount(results.parent, f"{size}k", MS_REMOUNT)
        else:
            resource.setrlimit(resource.RLIMIT_FSIZE, (size * 1024, resource.RLIM_INFINITY))
        told.append(attempt(suite, results))
    if mounted:
        mount(results.parent, "64m", MS_REMOUNT | MS_RDONLY)
        told.append(attempt(suite, results))
        mount(results.parent, "64m", MS_REMOUNT)
    else:
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    told.append(attempt(suite, results))
    shutil.copytree(results, folder / "results")
    (folder / "told.json").write_text(json.dumps({"mounted": mounted, "told": told}))
