"""Who holds a lease, and whether that process is still there."""

from __future__ import annotations

import os
import secrets
import socket
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated

from pydantic import Field, TypeAdapter

_Word = Annotated[str, Field(max_length=255)]

_PROC = Path("/proc")


@dataclass(frozen=True)
class Owner:
    """A process that holds a lease.

    Attributes:
        host: its host name.
        pid: its process number.
        started: when it started, in ticks since the machine did; tells it from a later process of the same number.
            None where the operating system does not say.
        boot: identifies the machine's last start; None where the operating system does not say.
        namespace: which process numbers its own belongs to (containers have their own); None as above.
        token: a random name of this one lease.
    """

    host: _Word
    pid: Annotated[int, Field(ge=1, lt=2**31)]
    started: Annotated[int, Field(ge=0)] | None
    boot: _Word | None
    namespace: _Word | None
    token: _Word

    @classmethod
    def from_json(cls, data: bytes) -> Owner:
        """The owner that a lease file names; raises ValueError if it names none."""
        return _adapter().validate_json(data, strict=True)

    def is_gone(self) -> bool:
        """Whether the process has certainly ended; false wherever this process cannot know, as for other hosts."""
        if (self.host, self.boot, self.namespace) != (socket.gethostname(), _boot(), _namespace()):
            return False
        if self.started is not None:
            return _start_time(self.pid) != self.started
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return True
        except OSError:
            return False
        return False


def this_process() -> Owner:
    """This process as the owner of a new lease."""
    pid = os.getpid()
    return Owner(socket.gethostname(), pid, _start_time(pid), _boot(), _namespace(), secrets.token_hex(8))


@cache
def _adapter() -> TypeAdapter[Owner]:
    return TypeAdapter(Owner)


def _start_time(pid: int) -> int | None:
    """None if there is no such process, or if it has ended and only its parent does not know yet."""
    try:
        line = (_PROC / str(pid) / "stat").read_text()
    except OSError:
        return None
    # The second field is the command in parentheses, which may hold spaces and parentheses itself.
    state, *fields = line.rpartition(")")[2].split()
    return None if state in "ZX" else int(fields[18])


@cache
def _boot() -> str | None:
    try:
        return (_PROC / "sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return None


def _namespace() -> str | None:
    try:
        return str((_PROC / "self/ns/pid").readlink())
    except OSError:
        return None
