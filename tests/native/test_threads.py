"""Several threads of Python's own at once, forked children, signals, and the interpreter's lock."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import torch
from native_kit import TESTS, child, succeeded, threads
from table import NATIVE, Size, draw, ragged, run_and_differentiate
from torch.utils.data import DataLoader, Dataset

from gatewise import nn
from gatewise.engine import native
from gatewise.errors import OptionError
from gatewise.native import calls

SIZE = Size(T=8, B=26, D=20, H=40, P=9)


@pytest.mark.parametrize(("count", "division"), [(1, "as it is"), (2, "rows"), (2, "units")])
def test_callers_at_once_get_what_each_gets_alone(count, division):
    """Forward and backward, of several cells and sizes, each many times."""
    work = [(cell, draw(cell, size, torch.float32)) for cell in NATIVE[:6] for size in (SIZE, Size(5, 13, 33, 17, 7))]

    def once(cell, inputs):
        torch.set_num_threads(count)  # OpenMP counts for each thread of its own
        return run_and_differentiate(native.recurrence, cell, inputs, lengths=ragged(inputs.size))

    with threads(count, division):
        want = [once(*item) for item in work]
        wrong, start = [], threading.Barrier(4)

        def caller(number):
            try:
                start.wait(60)
                for turn in range(2 * len(work)):
                    item = (turn * (number + 1) + number) % len(work)
                    for (name, got), (_, wanted) in zip(once(*work[item]), want[item], strict=True):
                        if not torch.equal(got, wanted):
                            wrong.append((work[item][0].name, name))
            except BaseException as error:  # a thread that dies takes its complaint with it
                wrong.append(repr(error))

        callers = [threading.Thread(target=caller, args=(number,)) for number in range(4)]
        for thread in callers:
            thread.start()
        for thread in callers:
            thread.join(100)
        assert not any(thread.is_alive() for thread in callers)
        assert not wrong, wrong[:5]


FORKED = """
import os, signal, sys, torch
from native_kit import threads
from table import NATIVE, Size, draw, ragged, run_and_differentiate
from gatewise.engine import native
from gatewise.errors import OptionError

size = Size(T=8, B=26, D=20, H=40, P=9)
calls = [(cell, draw(cell, size, torch.float32)) for cell in NATIVE[:6]]

def everything(division):
    with threads(2, division):
        rubbish = draw(NATIVE[0], Size(12, 30, 50, 60, 9), torch.float32)
        run_and_differentiate(native.recurrence, NATIVE[0], rubbish)  # what the memory of the next calls held before
        return [run_and_differentiate(native.recurrence, *call, lengths=ragged(size)) for call in calls]

want = {division: everything(division) for division in ("rows", "units")}
child = os.fork()
if child:
    _, status = os.waitpid(child, 0)
    print("status", status)
else:
    signal.alarm(60)
    wrong = []
    for _ in range(3):
        for division, results in want.items():
            for (cell, _), got, one in zip(calls, everything(division), results):
                wrong += [
                    f"{cell.name} by {division}: {name} is off by {(a - b).abs().max()}"
                    for (name, a), (_, b) in zip(got, one)
                    if not torch.allclose(a, b, rtol=1e-5, atol=1e-5)
                ]
    print(*wrong[:8], sep="\\n", flush=True)
    os._exit(len(wrong) > 0)
"""


def test_a_forked_child_computes_the_same_and_ends():
    """Its parent has used two threads, which the child has not got."""
    printed = succeeded(child(FORKED, OMP_NUM_THREADS="2"))
    assert "status 0" in printed, printed


class Hidden(Dataset):
    """Runs a layer in the workers."""

    def __init__(self):
        torch.manual_seed(0)
        self.layer = nn.LSTM(5, 8)
        self.x = torch.randn(6, 4, 5)

    def __len__(self):
        return len(self.x)

    def __getitem__(self, index):
        y, (h, _) = self.layer(self.x[index])
        h.sum().backward()
        gradient = self.layer.weight_hh_l0.grad.clone()
        self.layer.zero_grad()
        return y.detach(), gradient


@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_a_data_loader_whose_workers_run_a_layer(start):
    data = Hidden()
    with threads(2, "rows"):
        data.layer(torch.randn(30, 16, 5))  # two threads, before the workers are forked
    want = [data[i] for i in range(len(data))]
    workers = 2 if start == "fork" else 1
    loader = DataLoader(data, batch_size=2, num_workers=workers, multiprocessing_context=start, timeout=60)
    for _ in range(2 if start == "fork" else 1):
        got = [torch.cat(values) for values in zip(*loader, strict=True)]
        assert torch.equal(got[0], torch.stack([y for y, _ in want]))
        assert torch.equal(got[1], torch.stack([g for _, g in want]))


LONG = """
import signal, sys, threading, time, torch
from table import Size, draw, cells
from gatewise.engine import native
from gatewise.errors import OptionError
torch.set_num_threads(1)
cell = cells.find("lstm")
inputs = draw(cell, Size(200, 64, 128, 256, 9), torch.float32)
def long(repeats=1):
    with torch.no_grad():
        for _ in range(repeats):
            results = native.recurrence(cell, inputs.x, inputs.state, inputs.weights)
    return results
start = time.perf_counter()
long()
seconds = time.perf_counter() - start
"""

INTERRUPTED = (
    LONG
    + """
inputs = draw(cell, Size(max(2, int(200 * 1.5 / seconds)), 64, 128, 256, 9), torch.float32)
print("ready", flush=True)
done = False
try:
    while True:
        done = False
        long()
        done = True
except KeyboardInterrupt:
    print("interrupted", flush=True)
    assert native.recurrence(cell, inputs.x[:2], inputs.state, inputs.weights)[0][0].isfinite().all()
    print("usable", flush=True)
    raise
"""
)


def test_ctrl_c_during_a_long_call():
    """Arrives when the call is done: a KeyboardInterrupt like any other, and the engine goes on working."""
    folders = os.pathsep.join([str(TESTS), str(Path(__file__).parent)])
    process = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED],
        env={**os.environ, "PYTHONPATH": folders},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout.readline().strip() == "ready", process.stderr.read()
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
        printed, complaint = process.communicate(timeout=60)
    finally:
        process.kill()
    assert printed.split() == ["interrupted", "usable"], complaint
    assert complaint.strip().endswith("KeyboardInterrupt")
    assert process.returncode in (-signal.SIGINT, 128 + signal.SIGINT)


PROGRESS = (
    LONG
    + """
inputs = draw(cell, Size(max(2, int(200 * 0.4 / seconds)), 64, 128, 256, 9), torch.float32)
weights = [w.requires_grad_() for w in inputs.weights]
ticks, stop = [], False
def tick():
    while not stop:
        ticks.append(time.perf_counter())
        time.sleep(0.005)
counter = threading.Thread(target=tick)
counter.start()
for name, call in {
    "forward": lambda: long(),
    "backward": lambda loss=native.recurrence(cell, inputs.x, inputs.state, weights)[0][0].sum(): loss.backward(),
}.items():
    start = time.perf_counter()
    call()
    end = time.perf_counter()
    print(name, end - start, sum(start < t < end for t in ticks), flush=True)
stop = True
counter.join()
"""
)


def test_other_threads_go_on_during_a_long_call():
    """A thread that wakes every 5 ms would wake once or twice in a call that keeps the interpreter's lock."""
    for line in succeeded(child(PROGRESS)).splitlines():
        name, seconds, ticks = line.split()
        assert float(seconds) > 0.05, "too short to tell"
        assert int(ticks) > float(seconds) * 20, f"{name}: {ticks} ticks in {seconds} s"


def test_a_layer_has_threads_of_its_own(monkeypatch):
    """`threads=` divides its work, backward too, whatever torch uses; the result is the same."""
    seen = []
    for name in ("forward", "backward"):
        run = getattr(calls._native, name)
        spy = lambda jobs, run=run: (seen.extend(call[0].work for call, *_ in jobs), run(jobs))[1]  # noqa: E731
        monkeypatch.setattr(calls._native, name, spy)
    monkeypatch.setattr(calls, "_SHORT", 0)
    with threads(1, "as it is"):
        plain, divided = nn.LSTM(20, 40), nn.LSTM(20, 40, threads=2)
        divided.load_state_dict(plain.state_dict())
        x = torch.randn(5, 24, 20)
        results = [layer(x)[0] for layer in (plain, divided)]
        for y in results:
            y.sum().backward()
    assert seen == [(1, 1), (2, 2), (1, 1), (2, 2)]
    assert torch.equal(*results)
    assert "threads=2" in repr(divided)
    for wrong in (0, -1, 1.5, True):
        with pytest.raises(OptionError, match="threads must be a whole number"):
            nn.LSTM(2, 3, threads=wrong)
