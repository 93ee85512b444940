"""Several processes of this machine that run the trials of one study."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from threading import Lock, Thread
from typing import IO

from ..terminal import shown

REFUSED = 2  # exit code of a command that cannot be done as it was given
_LOOK = 0.2  # seconds between two looks at whether a worker has ended
_PATIENCE = 60.0  # seconds that a worker has to keep its trial after Ctrl-C
_BEGIN = "from gatewise.tuning.workers import tie; tie(); from gatewise.cli import main; raise SystemExit(main())"
_SET_PDEATHSIG = 1  # of Linux's prctl

Worker = subprocess.Popen[str]


def run_workers(count: int, argv: Sequence[str]) -> int:
    """Run `gatewise ARGV` in several processes, one thread each, until all have ended.

    What they write to stderr appears on stderr, each line with the worker's number in front; what they write to stdout
    is dropped. When this process ends, however it does, they stop as they do at a SIGTERM.

    Args:
        count: How many.
        argv: The words after `gatewise`.

    Returns:
        0 if all of them return 0. `REFUSED` if one of them does: the same command was given to the others, which are
        stopped as by a Ctrl-C. Else the exit code of the first one, by number, that failed (negative: the signal that
        ended it), which does not stop the others.

    Raises:
        KeyboardInterrupt: Ctrl-C. All have stopped, as they do at a Ctrl-C; a second one ends them at once.
    """
    workers: list[Worker] = []
    shows: list[Thread] = []
    writing = Lock()
    try:
        for number in range(1, count + 1):
            workers.append(_begun(argv))
            shows.append(Thread(target=_show, args=(number, workers[-1].stderr, writing), daemon=True))
            shows[-1].start()
        while None in (codes := [worker.poll() for worker in workers]) and REFUSED not in codes:
            time.sleep(_LOOK)
        if REFUSED in codes:
            _stop(workers)
            return REFUSED
    except KeyboardInterrupt:
        _stop(workers)
        raise
    finally:
        for worker in workers:  # of an error while the others began, or a second Ctrl-C
            worker.kill()
            worker.wait()
        for show in shows:
            show.join()
    return next((worker.returncode for worker in workers if worker.returncode), 0)


def tie() -> None:
    """In a worker: stop when the process ends that began it, and take the words behind its number as arguments."""
    ctypes.CDLL(None).prctl(_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != int(sys.argv.pop(1)):  # it has ended before
        raise SystemExit(128 + signal.SIGTERM)


def _begun(argv: Sequence[str]) -> Worker:
    return subprocess.Popen(
        [sys.executable, "-P", "-c", _BEGIN, str(os.getpid()), *argv],
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        errors="replace",
        start_new_session=True,  # a Ctrl-C on the terminal would reach them from there and from here
    )


def _show(number: int, lines: IO[str], writing: Lock) -> None:
    with lines:
        for line in lines:
            with writing, suppress(OSError, ValueError):  # a closed stderr must not stop the workers
                print(f"worker {number}: {shown(line.rstrip())}", file=sys.stderr, flush=True)


def _stop(workers: Sequence[Worker]) -> None:
    for worker in workers:
        worker.send_signal(signal.SIGINT)
    for worker in workers:
        with suppress(subprocess.TimeoutExpired):
            worker.wait(_PATIENCE)
