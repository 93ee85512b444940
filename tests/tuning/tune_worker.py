"""A worker on a toy objective, to be killed: `python tune_worker.py STORAGE LOG MACHINE`.

MACHINE is one that it pretends to run on, so that others cannot see that it is dead; empty: this one. It notes in LOG
what it does, a line for each event: its time, the event, the trial's number. Once there is a file `stop` it asks for no
more trials, and ends when none is left.
"""

import os
import sys
import time
from pathlib import Path

from gatewise.tuning import processes
from gatewise.tuning.storage import opened

GRACE = 4.0
STEPS = 4


def value_of(number):
    return number / 7


def main(where, log, machine):
    if machine:
        processes._kernel = lambda: machine
    descriptor = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def note(event, number):
        os.write(descriptor, f"{time.monotonic()} {event} {number}\n".encode())

    def run(storage, number):
        with storage.lease(number):
            note("begin", number)
            progress = storage.folder / "trials" / str(number) / f"{os.getpid()}"
            progress.parent.mkdir(parents=True, exist_ok=True)
            for step in range(STEPS):
                progress.write_text(str(step))
                time.sleep(0.01)
            note("told?", number)
            storage.study.tell(number, value_of(number))
            note("told", number)

    storage = opened(where, {"objective": "toy"}, "toy", beat=0.5, grace=GRACE)
    note("open", -1)
    while True:
        for number in storage.abandoned():
            if storage.take(number):
                run(storage, number)
        if not Path("stop").exists():
            number = storage.study.ask({}).number
            note("asked", number)
            run(storage, number)
        elif storage._running():
            time.sleep(0.1)
        else:
            return


if __name__ == "__main__":
    main(*sys.argv[1:])
