"""What the native engine's tests share: ways to divide the work, the engine's own results, scripts in a child."""

import ast
import faulthandler
import os
import signal
import subprocess
import sys
import warnings
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from hypothesis import settings
from hypothesis import strategies as st
from table import Inputs, Size

from gatewise import engine
from gatewise.native import calls

TESTS = Path(__file__).resolve().parents[1]

# How a call is divided: what it takes to be too short for two threads, and weights small enough to split by rows.
DIVISIONS = {"rows": (0, 1 << 60), "units": (0, 0), "as it is": (calls._SHORT, calls._SMALL_WEIGHTS)}

laws = settings(derandomize=True, deadline=None, max_examples=6)
SIZES = st.builds(
    Size, T=st.integers(1, 9), B=st.integers(1, 20), D=st.integers(1, 40), H=st.integers(1, 40), P=st.integers(1, 20)
)


@contextmanager
def threads(count: int, division: str = "as it is"):
    """This many threads, and calls divided among them in this way."""
    before = torch.get_num_threads()
    with pytest.MonkeyPatch.context() as patch:
        short, small = DIVISIONS[division]
        patch.setattr(calls, "_SHORT", short)
        patch.setattr(calls, "_SMALL_WEIGHTS", small)
        torch.set_num_threads(count)
        try:
            yield
        finally:
            torch.set_num_threads(before)


TEAMS = [(1, "as it is"), (2, "rows"), (2, "units"), (3, "rows"), (3, "units")]


def run(cell, x, state, weights, **options):
    """Every step of every carried value, and the last ones, without a tape."""
    with torch.no_grad():
        return engine.recurrence(cell, x, state, weights, history=True, **options)


def run_inputs(cell, inputs: Inputs, **options):
    return run(cell, inputs.x, inputs.state, inputs.weights, **options)


def same(got, want):
    """Equal in every bit; `got` and `want` are what `run` returns."""
    for which, ours, theirs in zip(("step", "last state"), got, want, strict=True):
        for k, (one, other) in enumerate(zip(ours, theirs, strict=True)):
            assert one.dtype == other.dtype == torch.float32
            assert one.shape == other.shape
            # As integers, so that -0 is not 0 and a NaN is the same NaN.
            differ = one.contiguous().view(torch.int32) != other.contiguous().view(torch.int32)
            if differ.any():
                place = tuple(differ.nonzero()[0].tolist())
                text = f"{which} of carried value {k} at {place}: {one[place].item()!r} is not {other[place].item()!r}"
                raise AssertionError(f"{text}; {int(differ.sum())} of {differ.numel()} differ")


def joined(parts):
    """Every step's values of consecutive calls, as one call's."""
    return [torch.cat(values) for values in zip(*parts, strict=True)]


def child(script: str, *arguments: object, seconds: float = 100, **environment: str) -> subprocess.CompletedProcess:
    """Run a script in a process of its own, which can import `table` and this file; it may not outlive its time."""
    folders = [str(TESTS), str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", script, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, folders)), **environment},
        capture_output=True,
        text=True,
        timeout=seconds,
    )


def succeeded(done: subprocess.CompletedProcess) -> str:
    """What the child printed; fails with what it complained of."""
    assert done.returncode == 0, f"exit code {done.returncode}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
    return done.stdout


def apart(function) -> tuple[str, str]:
    """What a call comes to, made in a forked child, which may crash: "returned", an exception's names, "crashed"."""
    read, write = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a fork beside threads; this child uses none
        forked = os.fork()
    if not forked:
        try:
            faulthandler.disable()
            signal.alarm(30)
            torch.set_num_threads(1)
            outcome = "returned", str(function())
        except BaseException as error:
            outcome = " ".join(kind.__name__ for kind in type(error).__mro__), str(error)
        os.write(write, repr(outcome).encode()[:60_000])
        os._exit(0)
    os.close(write)
    with open(read, "rb") as pipe:
        text = pipe.read()
    status = os.waitpid(forked, 0)[1]
    if os.WIFSIGNALED(status):
        return "crashed", signal.Signals(os.WTERMSIG(status)).name
    return ast.literal_eval(text.decode())
