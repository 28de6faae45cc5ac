"""Ends a driver whose Ray was killed: without its servers it would wait for ever."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path

SERVERS = ("raylet", "gcs_server")
POLL_SECONDS = 1.0


class ServersWatch:
    """Watches the servers that this process started for a Ray of its own, in a thread, within a `with` block."""

    def __init__(self, before_end: Callable[[], None]) -> None:
        """Takes what is to be done before the process ends with status 3, as after any stop."""
        self._before_end = before_end
        self._ended = threading.Event()
        self._servers = own_servers()

    def __enter__(self) -> None:
        threading.Thread(target=self._watch, name="Ray's servers", daemon=True).start()

    def __exit__(self, *given: object) -> None:
        self._ended.set()

    def _watch(self) -> None:
        while not self._ended.wait(POLL_SECONDS):
            gone = self._servers.keys() - own_servers().keys()
            if gone and not self._ended.is_set():
                self._before_end()
                names = " and ".join(sorted({self._servers[pid] for pid in gone}))
                print(
                    f"\nRay ended ({names} was killed); the same command goes on from here", file=sys.stderr, flush=True
                )
                os._exit(3)


def own_servers() -> dict[int, str]:
    """{process: name} of Ray's servers that this process started and that live; none where there is no /proc."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            name, rest = (folder / "stat").read_text().split("(", 1)[1].rsplit(")", 1)
            state, parent = rest.split()[:2]
        except (OSError, ValueError, IndexError):
            continue
        if name in SERVERS and int(parent) == os.getpid() and state not in "ZX":
            found[int(folder.name)] = name
    return found
