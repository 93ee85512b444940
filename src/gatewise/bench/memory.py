"""Peak memory of a forward pass or a training step, each in a process of its own.

    python -m gatewise.bench.memory gatewise|torch WORK SHAPE THREADS

prints the peak growth of the process in bytes, from the point at which the weights and the input exist.
"""

from __future__ import annotations

import ctypes
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from . import works
from .shapes import Shape

WHO = ("gatewise", "torch")
WORKS = ("forward", "training")
_STATUS = Path("/proc/self/status")


def measurable() -> bool:
    """Whether the system reports the peak memory of a process, as Linux does."""
    return _STATUS.exists() and "VmHWM" in _STATUS.read_text()


def peak(who: str, work: str, shape: Shape, threads: int) -> int:
    """Peak growth of a new process, in bytes."""
    command = [sys.executable, "-m", __name__, who, work, str(shape), str(threads)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command[2:])} failed: {done.stderr.strip()[-2000:]}")
    return int(done.stdout)


def _measure(who: str, work: str, shape: Shape, threads: int) -> int:
    kind = works.WORKS[work]
    import torch

    from .peers import pytorch
    from .problem import pose

    torch.set_num_threads(threads)
    enter = {"gatewise": pytorch.ours, "torch": pytorch.torch_layer}[who]
    enter(pose(kind, Shape(2, 2, 2, 2), threads)).run()  # what is loaded on first use should not count
    run = enter(pose(kind, shape, threads)).run
    with suppress(OSError, AttributeError):  # only glibc has malloc_trim
        ctypes.CDLL(None).malloc_trim(0)  # otherwise memory freed after making the weights would be used first
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")  # reset the peak
    before = _high_water()
    for _ in range(2):  # some libraries keep more memory in the second call
        run()
    return _high_water() - before


def _high_water() -> int:
    line = next(line for line in _STATUS.read_text().splitlines() if line.startswith("VmHWM"))
    return 1024 * int(line.split()[1])


if __name__ == "__main__":
    who, work, shape, threads = sys.argv[1:]
    print(_measure(who, work, Shape.read(shape), int(threads)))
