"""Which process wrote something down, and whether that process is dead."""

from __future__ import annotations

import json
import os
import socket
from dataclasses import astuple, dataclass
from functools import cache
from pathlib import Path


@dataclass(frozen=True)
class Process:
    """A process among those of all machines that share a folder or a database.

    Attributes:
        host: The name of its machine, for messages.
        kernel: Where its number means something: the boot of a kernel, and a container's own numbering of processes.
            Names of machines do not tell that; two machines, or two containers, may have the same. Empty if unknown.
        number: Its process id.
        start: When it was started, in ticks since boot; ids are given again. -1 if unknown.
    """

    host: str
    kernel: str
    number: int
    start: int

    @property
    def is_dead(self) -> bool:
        """Whether it surely is; False for one whose state cannot be known here, as on another machine."""
        if not self.kernel or self.kernel != _kernel():
            return False
        try:
            os.kill(self.number, 0)
        except ProcessLookupError:
            return True
        except OSError:  # somebody else's
            pass
        state, start = _state(self.number)
        return state in ("Z", "X") or (-1 not in (start, self.start) and start != self.start)

    def __str__(self) -> str:
        return f"process {self.number} on {self.host}"


def this_process() -> Process:
    return Process(socket.gethostname(), _kernel(), os.getpid(), _state(os.getpid())[1])


def written(process: Process) -> str:
    """One line, which `read` reads."""
    return json.dumps(astuple(process))


def read(text: str) -> Process | None:
    """The process that `written` wrote, or None where that is not what stands there."""
    try:
        host, kernel, number, start = json.loads(text)
    except (ValueError, TypeError, RecursionError):
        return None
    right = isinstance(host, str) and isinstance(kernel, str) and type(number) is int and type(start) is int
    return Process(host, kernel, number, start) if right and 0 < number < 2**31 else None


@cache
def _kernel() -> str:
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:  # not Linux
        return ""


def _state(number: int) -> tuple[str, int]:
    """The state of a process as a letter, and when it was started. Behind its name, which may hold anything."""
    try:
        fields = Path(f"/proc/{number}/stat").read_bytes().rpartition(b")")[2].split()
        return fields[0].decode("ascii"), int(fields[19])
    except (OSError, IndexError, ValueError):
        return "", -1
