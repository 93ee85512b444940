"""A process of its own for a stranger's file: whatever opens it there may crash, take all memory or never end.

A module that is run so gives `serve` a function in its `__main__`; `call` starts it and takes what that function gives.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ..errors import ModelFileError

Arrays = Mapping[str, np.ndarray]
Answer = tuple[Mapping[str, Any], Arrays]  # what can be said in JSON, and arrays

_STARTED = b"started\n"


class DiedError(Exception):
    """The process gave no answer; the message says how it ended.

    Attributes:
        started: Whether it had all that it needs, and went on to the file.
    """

    def __init__(self, how: str, started: bool):
        super().__init__(how)
        self.started = started


def call(
    module: str, asked: Mapping[str, Any], arrays: Arrays | None = None, *, memory: int, clock: int, processor: int = 0
) -> Answer:
    """What a module's function answers, in a process of its own.

    Args:
        module: Its name.
        asked, arrays: What the function gets.
        memory: Bytes that the process may write to, where the system has such a limit.
        clock: Seconds after which it is ended.
        processor: Seconds of a processor that it may take, where the system has such a limit; 0 for any.

    Raises:
        ModelFileError: The function raised it.
        DiedError: The process came to another end.
    """
    command = [sys.executable, "-P", "-m", module, str(memory), str(processor)]
    given = _packed(asked, arrays or {})
    try:
        done = subprocess.run(command, input=given, capture_output=True, check=False, timeout=clock)
    except subprocess.TimeoutExpired as error:
        raise DiedError(f"no end within {clock} seconds", (error.output or b"").startswith(_STARTED)) from error
    began = done.stdout.startswith(_STARTED)
    if done.returncode:
        raise DiedError(_ending(done.returncode, done.stderr), began)
    about, found = _unpacked(done.stdout.removeprefix(_STARTED))
    if "refused" in about:
        raise ModelFileError(about["refused"])
    return about, found


def serve(function: Callable[[Mapping[str, Any], Arrays, Callable[[], None]], Answer]) -> None:
    """In the process: limit it, and give what a function answers.

    Args:
        function: Of what `call` was given, and a function to be called when all that it needs is there, and nothing of
            the file has been opened.
    """
    memory, processor = sys.argv[1:]
    limit(int(memory), int(processor))
    # What a library prints is no part of the answer.
    output = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)

    def started() -> None:
        output.write(_STARTED)
        output.flush()

    try:
        about, arrays = function(*_unpacked(sys.stdin.buffer.read()), started)
    except ModelFileError as error:
        about, arrays = {"refused": str(error)}, {}
    output.write(_packed(about, arrays))
    output.close()


def _packed(about: Mapping[str, Any], arrays: Arrays) -> bytes:
    from safetensors.numpy import save

    return json.dumps(about).encode() + b"\0" + save({name: np.ascontiguousarray(own) for name, own in arrays.items()})


def _unpacked(data: bytes) -> Answer:
    from safetensors.numpy import load

    text, _, arrays = data.partition(b"\0")
    return json.loads(text), load(arrays)


def _ending(code: int, said: bytes) -> str:
    if code < 0:
        return f"ended by {signal.Signals(-code).name}"
    lines = said.decode("utf-8", "replace").strip().splitlines()
    return f"{lines[-1]:.200}" if lines else f"ended with {code}"


def limit(memory: int, processor: int) -> None:
    """Bytes that this process may write to, and seconds of a processor, 0 for any, where the system has such limits."""
    try:
        import resource
    except ImportError:  # Windows
        return
    wanted = {resource.RLIMIT_DATA: memory, resource.RLIMIT_CORE: 0}
    if processor:
        wanted[resource.RLIMIT_CPU] = processor
    for kind, most in wanted.items():
        _, hard = resource.getrlimit(kind)
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(kind, (most, most))
