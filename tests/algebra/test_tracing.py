"""Names of local variables are found without a hook, so that debuggers, profilers and coverage tools keep theirs."""

import cProfile
import functools
import gc
import json
import pstats
import subprocess
import sys
import textwrap
import threading
import weakref

import pytest

from gatewise.algebra import cell, sigmoid, tanh
from gatewise.cells import find
from gatewise.errors import CellError


def gated(x, h_prev, W, U):
    a = W.g @ x + U.g @ h_prev
    g = sigmoid(a)
    n = tanh(W.n @ x)
    h = g * n
    return h


def declare(function=gated):
    return cell(carry="h", pack="g n", name="gated")(function)


def names(function=gated):
    return list(declare(function).names.values())


KEY = declare().key


def test_every_local_variable_is_a_name():
    assert names() == ["a", "g", "n", "h"]


# Beside other tools


def test_a_profiler_that_runs_before_the_import_goes_on():
    program = """
        import cProfile, json, sys
        profile = cProfile.Profile()
        profile.enable()
        import gatewise.nn
        from gatewise import cells
        running = sys.getprofile() is profile
        profile.disable()
        profile.create_stats()
        seen = any(name == "lstm" and "cells" in file for file, _, name in profile.stats)
        print(json.dumps([list(cells.find("lstm").names.values()), running, seen]))
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [["i", "f", "g", "o", "c", "h"], True, True]


def test_a_profile_sees_the_equations_run():
    with cProfile.Profile() as profile:
        key = declare().key
    assert key == KEY
    assert gated.__name__ in {name for _, _, name in pstats.Stats(profile).stats}


def test_a_profile_function_keeps_its_place():
    events = []

    def profile(frame, event, _):
        if frame.f_code is gated.__code__:
            events.append(event)

    before = sys.getprofile()
    sys.setprofile(profile)
    try:
        key = declare().key
        stayed = sys.getprofile() is profile
    finally:
        sys.setprofile(before)
    assert stayed
    assert key == KEY
    assert events == ["call", "return"]


class Tracer:
    """As a debugger or a coverage tool: follows every line, and looks at the local variables there."""

    def __init__(self):
        self.lines, self.shown = set(), []

    def __call__(self, frame, event, _):
        if frame.f_code is gated.__code__:
            if event == "line":
                self.lines.add(frame.f_lineno - gated.__code__.co_firstlineno)
            self.shown.append(sorted(frame.f_locals))
        return self

    def __enter__(self):
        self.before = sys.gettrace(), threading.gettrace()
        sys.settrace(self)
        threading.settrace(self)
        return self

    def __exit__(self, *_):
        sys.settrace(self.before[0])
        threading.settrace(self.before[1])


def test_a_tracer_keeps_its_place():
    with Tracer() as tracer:
        key = declare().key
        stayed = sys.gettrace() is tracer
    assert stayed
    assert key == KEY
    assert tracer.lines == {1, 2, 3, 4, 5}
    assert tracer.shown[-1] == sorted(["x", "h_prev", "W", "U", "a", "g", "n", "h"])


def test_a_mistake_under_a_tracer_names_its_line():
    def wrong(x, h_prev, W):
        a = W.n @ x
        return a + a @ x

    line = wrong.__code__.co_firstlineno + 2
    with Tracer() as tracer, pytest.raises(CellError, match=rf":{line}: cell 'gated': '@' needs"):
        declare(wrong)
    assert tracer.before[0] is sys.gettrace()


@pytest.mark.parametrize("traced", [False, True])
def test_in_a_thread(traced):
    found = []
    thread = threading.Thread(target=lambda: found.append(declare().key))
    if traced:
        with Tracer() as tracer:
            thread.start()
            thread.join()
        assert tracer.lines == {1, 2, 3, 4, 5}
    else:
        thread.start()
        thread.join()
    assert found == [KEY]


@pytest.mark.skipif(not hasattr(sys, "monitoring"), reason="sys.monitoring is new in Python 3.12")
def test_a_monitoring_tool_keeps_its_place():
    seen = []
    tool, event = sys.monitoring.DEBUGGER_ID, sys.monitoring.events.PY_START
    sys.monitoring.use_tool_id(tool, "test")
    sys.monitoring.register_callback(tool, event, lambda code, _: seen.append(code))
    sys.monitoring.set_events(tool, event)
    try:
        key = declare().key
        stayed = sys.monitoring.get_tool(tool) == "test" and sys.monitoring.get_events(tool) == event
    finally:
        sys.monitoring.free_tool_id(tool)
    assert stayed
    assert key == KEY
    assert gated.__code__ in seen


# Nothing is kept


class Token:
    """What a local variable may hold that is not of the cell."""


@pytest.mark.parametrize("fails", [False, True])
def test_the_local_variables_are_set_free(fails):
    tokens = []

    def holds(x, h_prev, W):
        token = Token()
        tokens.append(weakref.ref(token))
        a = W.n @ x
        return tanh(a) if not fails else a @ x

    gc.disable()
    try:
        if fails:
            with pytest.raises(CellError):
                cell(carry="h", pack="n")(holds)
            gc.collect()  # an exception and the frames it went through hold each other
        else:
            made = cell(carry="h", pack="n")(holds)
            assert "a" in made.names.values()
    finally:
        gc.enable()
    [token] = tokens
    assert token() is None


# Every way to write a function


def early(x, h_prev, W, U):
    a = W.g @ x + U.g @ h_prev
    if True:
        g = sigmoid(a)
        return g * tanh(W.n @ x)
    n = tanh(a)
    return n


def gate(w, u, x, h):
    inside = w @ x + u @ h
    return sigmoid(inside)


def helped(x, h_prev, W, U):
    def candidate():
        inner = W.n @ x
        return tanh(inner)

    g = gate(W.g, U.g, x, h_prev)
    n = candidate()
    return g * n


def comprehended(x, h_prev, W, U):
    a, b = (w @ x for w in (W.g, W.n))
    products = [v * v for v in (a, b)]
    s = products[0] + products[1] + U.g @ h_prev
    return tanh(s)


def removed(x, h_prev, W, U):
    a = W.g @ x + U.g @ h_prev
    g = sigmoid(a)
    n = tanh(W.n @ x)
    del a, n
    return g * tanh(W.n @ x)


def captured(x, h_prev, W, U):
    a = W.g @ x

    def add():
        nonlocal a
        a = a + U.g @ h_prev

    add()
    g = sigmoid(a)
    return g * tanh(W.n @ x)


def handled(x, h_prev, W, U):
    try:
        a = W.g @ x
        raise ValueError
    except ValueError as error:  # noqa: F841  # a name that Python takes away again
        g = sigmoid(a + U.g @ h_prev)
    return g * tanh(W.n @ x)


def not_used(x, h_prev, W, U):
    spare = tanh(x)  # noqa: F841  # reaches nothing
    h_prev = U.g @ h_prev  # a name that is an argument's
    a = W.g @ x + h_prev
    return tanh(a) * (W.n @ x)


def wrapped(x, h_prev, W, U):
    g = sigmoid(W.g @ x + U.g @ h_prev)
    return g * tanh(W.n @ x)


def passed_on(function):
    @functools.wraps(function)
    def call(*arguments, **options):
        return function(*arguments, **options)

    return call


SPACE: dict = {"tanh": tanh}
exec("def typed(x, h_prev, W, U):\n    s = W.g @ x + U.g @ h_prev\n    return tanh(s) * (W.n @ x)\n", SPACE)

FUNCTIONS = [
    (early, ["a", "g", "h"]),
    (helped, ["g", "n", "h"]),
    (comprehended, ["a", "b", "s", "h"]),
    (removed, ["g", "h"]),
    (captured, ["g", "a", "h"]),
    (handled, ["a", "g", "h"]),
    (not_used, ["a", "h"]),
    (passed_on(wrapped), ["g", "h"]),
    (SPACE["typed"], ["s", "h"]),
    (lambda x, h_prev, W, U: tanh(W.g @ x + U.g @ h_prev) * (W.n @ x), ["h"]),
]


@pytest.mark.parametrize(("function", "expected"), FUNCTIONS, ids=[function.__name__ for function, _ in FUNCTIONS])
def test_names_are_those_that_the_function_has_at_its_end(function, expected):
    assert names(function) == expected
    with Tracer():
        assert names(function) == expected


def test_a_cell_declared_while_another_of_the_same_code_is_traced():
    inner = []

    def make(depth):
        def equations(x, h_prev, W, U):
            a = tanh(W.a @ x + U.a @ h_prev)
            if depth:
                inner.append(make(depth - 1))
            b = a * (W.b @ x)
            h = a + b
            return h

        return cell(carry="h", pack="a b")(equations)

    outer = make(1)
    assert list(outer.names.values()) == list(inner[0].names.values()) == ["a", "b", "h"]


def test_a_cell_without_weights_is_refused_for_what_it_lacks():
    """So there is a weight in every cell that asks for its frame."""
    with pytest.raises(CellError, match="never uses its input x"):
        cell(carry="h")(lambda x, h_prev: h_prev)
    with pytest.raises(CellError, match="vectors that differ in size"):
        cell(carry="h")(lambda x, h_prev: tanh(h_prev * x))


def test_coverage_sees_the_equations_and_names_stay(tmp_path):
    code = "import json; from gatewise import cells; print(json.dumps([*cells.find('lstm').names.values()]))"
    (tmp_path / "run.py").write_text(code)
    command = [sys.executable, "-m", "coverage"]
    run = [*command, "run", "--include", "*/cells/lstm.py", "run.py"]
    found = subprocess.run(run, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert json.loads(found) == [*find("lstm").names.values()]
    subprocess.run([*command, "json", "-q", "-o", "lines.json"], cwd=tmp_path, capture_output=True, check=True)
    [file] = json.loads((tmp_path / "lines.json").read_text())["files"].values()
    assert not file["missing_lines"]
