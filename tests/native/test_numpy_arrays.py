"""The engine on numpy arrays, without torch: the bits that it gives on tensors."""

import random

import numpy as np
import pytest
import torch
from native_kit import apart, child, run, succeeded
from table import EMPTY, HOMEMADE, LARGE, NATIVE, ODD, SINGLE_STEP, Size, cells, draw, ragged

from gatewise import engine
from gatewise.algebra import cell, sigmoid, tanh
from gatewise.errors import OptionError, OptionTypeError, ShapeError
from gatewise.native import arrays, calls
from gatewise.native.library import _native

LSTM = cells.find("lstm")


@cell(carry="h c", pack="f g")
def own(x, h_prev, c_prev, W, U, b):
    """A cell of the user's."""
    f = sigmoid(W.f @ x + U.f @ h_prev + b.f)
    c = f * c_prev + (1 - f) * tanh(W.g @ x + b.g)
    h = tanh(c + 0.5 * h_prev)
    return h, c


FAMILY = [own, *[cells.find(name) for name in ("lstm", "gru", "peephole", "layer_norm_lstm", "lstmp", "slstm")]]


def numpy_inputs(cell, size):
    """x, state and weights as arrays."""
    inputs = draw(cell, size, torch.float32)
    return inputs, (inputs.x.numpy(), [s.numpy() for s in inputs.state], [w.numpy() for w in inputs.weights])


def same(got, want):
    """Equal in every bit: arrays and tensors."""
    assert len(got) == len(want)
    for array, tensor in zip(got, want, strict=True):
        assert type(array) is np.ndarray
        assert array.dtype == np.float32
        assert array.flags.c_contiguous
        assert array.flags.writeable
        assert array.shape == tuple(tensor.shape)
        assert array.tobytes() == tensor.contiguous().numpy().tobytes()


OPTIONS = {
    "plain": {},
    "history": {"history": True},
    "reverse": {"reverse": True},
    "lengths": {"lengths": True, "history": True},
    "reverse-lengths": {"lengths": True, "reverse": True},
}


@pytest.mark.parametrize("how", OPTIONS)
@pytest.mark.parametrize("size", [ODD, SINGLE_STEP, EMPTY, LARGE], ids=str)
@pytest.mark.parametrize("cell", FAMILY, ids=lambda cell: cell.name)
def test_the_same_bits_as_with_tensors(cell, size, how):
    options = dict(OPTIONS[how])
    inputs, given = numpy_inputs(cell, size)
    lengths = ragged(size) if options.pop("lengths", False) else None
    every, last = engine.recurrence(cell, inputs.x, inputs.state, inputs.weights, lengths, **options)
    got_every, got_last = arrays.recurrence(cell, *given, None if lengths is None else lengths.numpy(), **options)
    same(got_every, every)
    same(got_last, last)


@pytest.mark.parametrize("cell", [c for c in NATIVE if c not in FAMILY], ids=lambda cell: cell.name)
def test_every_other_cell(cell):
    inputs, given = numpy_inputs(cell, ODD)
    every, last = run(cell, inputs.x, inputs.state, inputs.weights)
    got_every, got_last = arrays.recurrence(cell, *given, history=True)
    same(got_every, every)
    same(got_last, last)


@pytest.mark.parametrize("cell", FAMILY, ids=lambda cell: cell.name)
def test_a_step(cell):
    inputs, (x, state, weights) = numpy_inputs(cell, ODD)
    same(arrays.step(cell, x[1], state, weights), engine.step(cell, inputs.x[1], inputs.state, inputs.weights))


def test_steps_are_a_sequence():
    _, (x, state, weights) = numpy_inputs(LSTM, ODD)
    every, last = arrays.recurrence(LSTM, x, state, weights, history=True)
    for t in range(len(x)):
        state = arrays.step(LSTM, x[t], state, weights)
        for one, whole in zip(state, every, strict=True):
            assert one.tobytes() == whole[t].tobytes()
    assert [s.tobytes() for s in state] == [s.tobytes() for s in last]


@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize("division", ["rows", "units"])
def test_any_number_of_threads(count, division, monkeypatch):
    monkeypatch.setattr(calls, "_SHORT", 0)
    monkeypatch.setattr(calls, "_SHORT_STEP", 0)
    monkeypatch.setattr(calls, "_SMALL_WEIGHTS", {"rows": 1 << 60, "units": 0}[division])
    inputs, given = numpy_inputs(LSTM, LARGE)
    every, last = run(LSTM, inputs.x, inputs.state, inputs.weights)
    got_every, got_last = arrays.recurrence(LSTM, *given, history=True, threads=count)
    same(got_every, every)
    same(got_last, last)


# Arrays that lie in memory as no tensor does.


def read_only(array):
    array = array.copy()
    array.flags.writeable = False
    return array


def unaligned(array):
    memory = np.zeros(array.nbytes + 1, np.uint8)
    found = memory[1:].view(np.float32).reshape(array.shape)
    found[...] = array
    assert not found.flags.aligned
    return found


LAYOUTS = {
    "the last axis in pieces": lambda a: np.ascontiguousarray(a.T).T,
    "from the last to the first": lambda a: a[::-1].copy()[::-1],
    "columns backwards": lambda a: a[..., ::-1].copy()[..., ::-1],
    "rows with gaps": lambda a: np.repeat(a, 2, 0)[::2],
    "read-only": read_only,
    "unaligned": unaligned,
    "a matrix's subclass": lambda a: a.view(type("Weights", (np.ndarray,), {})),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("which", ["x", "state", "weights"])
def test_any_layout(layout, which):
    change = LAYOUTS[layout]
    inputs, (x, state, weights) = numpy_inputs(LSTM, ODD)
    every, last = run(LSTM, inputs.x, inputs.state, inputs.weights)
    x = change(x) if which == "x" else x
    state = [change(s) for s in state] if which == "state" else state
    weights = [change(w) for w in weights] if which == "weights" else weights
    got_every, got_last = arrays.recurrence(LSTM, x, state, weights, history=True)
    same(got_every, every)
    same(got_last, last)


def test_lengths_of_any_kind():
    _, given = numpy_inputs(LSTM, ODD)
    want = arrays.recurrence(LSTM, *given, np.array([4, 0, 2]))[0][0]
    for lengths in ([4, 0, 2], (4, 0, 2), np.array([4, 0, 2], np.uint8), np.array([4, 9, 0, 9, 2, 9])[::2]):
        assert arrays.recurrence(LSTM, *given, lengths)[0][0].tobytes() == want.tobytes()
    assert not want[2:, 2].any()


def test_weights_changed_in_place_are_packed_anew():
    _, (x, state, weights) = numpy_inputs(LSTM, ODD)
    weights = [w.copy() for w in weights]
    first, _ = arrays.recurrence(LSTM, x, state, weights)
    weights[1][3, 2] += 1
    second, _ = arrays.recurrence(LSTM, x, state, weights)
    fresh, _ = arrays.recurrence(LSTM, x, state, [w.copy() for w in weights])
    assert first[0].tobytes() != second[0].tobytes()
    assert second[0].tobytes() == fresh[0].tobytes()


def test_packed_weights_are_kept_and_go_with_the_weights():
    _, (x, state, weights) = numpy_inputs(LSTM, ODD)
    weights = [w.copy() for w in weights]
    before = len(calls._cache)
    for _ in range(3):
        arrays.recurrence(LSTM, x, state, weights)
    assert len(calls._cache) == before + 1
    assert len(calls._cache[id(weights[0])]) == 1
    del weights
    assert len(calls._cache) == before


# Mistakes.


def of(place, change):
    return lambda values: [change(v) if i == place else v for i, v in enumerate(values)]


WRONG = {
    "x of float64": ({"x": lambda a: a.astype(np.float64)}, OptionTypeError, "x is of float64"),
    "x of integers": ({"x": lambda a: a.astype(np.int32)}, OptionTypeError, "x is of int32"),
    "x of swapped bytes": ({"x": lambda a: a.astype(">f4")}, OptionTypeError, "x is of >f4"),
    "x a list": ({"x": lambda a: a.tolist()}, OptionTypeError, "x is a list"),
    "x a tensor": ({"x": torch.from_numpy}, OptionTypeError, "x is a Tensor"),
    "x masked": ({"x": np.ma.masked_array}, OptionTypeError, "x is a MaskedArray"),
    "c of float16": ({"state": of(1, lambda a: a.astype(np.float16))}, OptionTypeError, r"state\[1\] is of float16"),
    "U of float64": ({"weights": of(1, lambda a: a.astype(float))}, OptionTypeError, r"weights\[1\] is of float64"),
    "b missing": ({"weights": of(2, lambda a: None)}, OptionTypeError, r"weights\[2\] is a NoneType"),
    "x of two axes": ({"x": lambda a: a[0]}, ShapeError, r"must be \(steps, rows, features\), but has shape \(3, 3\)"),
    "x of seven axes": ({"x": lambda a: a[None, None, None, None]}, ShapeError, r"has shape \(1, 1, 1, 1, 4, 3, 3\)"),
    "x too wide": ({"x": lambda a: np.repeat(a, 2, 2)}, ShapeError, r"the weight W .*must have shape \(28, 6\)"),
    "x of more rows": ({"x": lambda a: np.repeat(a, 2, 1)}, ShapeError, r"the state h .*must have shape \(6, 7\)"),
    "h of three axes": ({"state": of(0, lambda a: a[None])}, ShapeError, r"states must be \(rows, units\)"),
    "one state": ({"state": lambda s: s[:1]}, ShapeError, "carries 2 values and has 3 weights, but was given 1 and 3"),
    "one weight more": ({"weights": lambda w: [*w, w[0]]}, ShapeError, "was given 2 and 4"),
    "U transposed": ({"weights": of(1, np.transpose)}, ShapeError, "the weight U"),
    "too few lengths": ({"lengths": [4, 4]}, ShapeError, r"lengths has shape \(2,\), but the batch has 3 rows"),
    "a length too long": ({"lengths": [4, 5, 1]}, ShapeError, "a length of 5 does not fit an input of 4 steps"),
    "a length below zero": ({"lengths": [4, -1, 1]}, ShapeError, "a length of -1 does not fit"),
    "lengths of floats": ({"lengths": [1.0, 2.0, 3.0]}, ShapeError, "must be whole numbers, not float64"),
    "lengths of booleans": ({"lengths": [True] * 3}, ShapeError, "must be whole numbers, not bool"),
    "lengths without end": ({"lengths": [10**30, 1, 1]}, ShapeError, "must be whole numbers, not object"),
    "ragged lengths": ({"lengths": [[1], [2, 3], [4]]}, ShapeError, "must be whole numbers, one per row, not"),
    "no threads": ({"threads": 0}, OptionError, "threads must be a whole number, 1 or more, not 0"),
    "true threads": ({"threads": True}, OptionError, "threads must be a whole number, 1 or more, not True"),
    "matrices": ({"cell": cells.find("mlstm")}, OptionError, "'mlstm' carries matrices"),
}


@pytest.mark.parametrize("mistake", WRONG)
def test_mistakes(mistake):
    changes, error, message = WRONG[mistake]
    _, (x, state, weights) = numpy_inputs(LSTM, ODD)
    arguments = {"cell": LSTM, "x": x, "state": state, "weights": weights, "lengths": None, "threads": 1}
    for name, change in changes.items():
        arguments[name] = change(arguments[name]) if callable(change) and name != "cell" else change
    with pytest.raises(error, match=message) as caught:
        arrays.recurrence(**arguments)
    assert "\n" not in str(caught.value)


def test_a_step_has_no_time():
    _, (x, state, weights) = numpy_inputs(LSTM, ODD)
    with pytest.raises(ShapeError, match=r"must be \(rows, features\), but has shape \(4, 3, 3\)"):
        arrays.step(LSTM, x, state, weights)


def raw_call(**changes):
    """A forward call of the compiled side on arrays, but for what is changed."""
    _, (x, state, weights) = numpy_inputs(LSTM, ODD)
    call = calls.Call(calls.Layer(LSTM, x, state, weights), arrays.NUMPY)
    (fields, given, outputs, last, keep), _ = call.forward([x, *state, *weights], False)
    arguments = dict(zip(("plan", "packed", "weights", "inputs", "lengths", "resets", "reverse"), fields, strict=True))
    arguments |= {"state": given, "outputs": outputs, "last": last, "keep": keep}
    for name, change in changes.items():
        arguments[name] = change(arguments[name])
    *call, state, outputs, last, keep = arguments.values()
    return _native.forward([(tuple(call), state, outputs, last, keep)])


WRONG_RAW = {
    "an input whose last axis is in pieces": {"inputs": of(0, LAYOUTS["the last axis in pieces"])},
    "an input of float64": {"inputs": of(0, lambda a: a.astype(np.float64))},
    "an input of swapped bytes": {"inputs": of(0, lambda a: a.astype(">f4"))},
    "an input of times": {"inputs": of(0, lambda a: a.astype("datetime64[s]"))},
    "an input of objects": {"inputs": of(0, lambda a: a.astype(object))},
    "an input of records": {"inputs": of(0, lambda a: a.view([("value", np.float32)]))},
    "an input that is not aligned": {"inputs": of(0, unaligned)},
    "an input of a subclass": {"inputs": of(0, np.ma.masked_array)},
    "an input of fewer features": {"inputs": of(0, lambda a: a[..., :2])},
    "an input of seven axes": {"inputs": of(0, lambda a: a[None, None, None, None])},
    "a number": {"inputs": of(0, lambda a: np.array(1, np.float32))},
    "weights of float64": {"weights": of(0, lambda a: a.astype(np.float64))},
    "a state by columns": {"state": of(0, LAYOUTS["the last axis in pieces"])},
    "a read-only output": {"outputs": of(0, read_only)},
    "a read-only last state": {"last": of(1, read_only)},
    "lengths of 32 bits": {"lengths": lambda _: np.array([4, 0, 2], np.int32)},
    "a length too long": {"lengths": lambda _: np.array([4, 0, 5])},
    "resets of numbers": {"resets": lambda _: np.zeros((4, 3), np.uint8)},
}


def test_the_call_that_is_spoilt_below_is_valid():
    changes = {"lengths": lambda _: np.array([4, 0, 2]), "resets": lambda _: np.zeros((4, 3), np.bool_)}
    kind, message = apart(lambda: raw_call(**changes))
    assert kind == "returned", message


@pytest.mark.parametrize("name", WRONG_RAW)
def test_wrong_calls_of_the_compiled_side_are_refused(name):
    kind, message = apart(lambda: raw_call(**WRONG_RAW[name]))
    assert "ValueError" in kind or "TypeError" in kind, (kind, message)


def test_arrays_are_no_tensors():
    """For the engine behind `gatewise.engine`, which makes tensors."""
    _, (x, state, weights) = numpy_inputs(LSTM, ODD)
    with pytest.raises(OptionError, match="tensors on the CPU"):
        engine.native.recurrence(LSTM, x, state, weights)


WITHOUT_TORCH = """
import sys
sys.modules["torch"] = None  # every import of it fails
import numpy
import gatewise
from gatewise.algebra import Cell
from gatewise.native import arrays

file = numpy.load(sys.argv[1])
cells = [Cell.from_key(key) for key in sys.argv[2:]]
for i, cell in enumerate(cells):
    x, lengths = file[f"{i} x"], file["lengths"]
    state, weights = ([file[f"{i} {what} {k}"] for k in range(count)]
                      for what, count in (("state", len(cell.carry)), ("weight", len(cell.parameters))))
    for threads in (1, 3):
        every, last = arrays.recurrence(cell, x, state, weights, lengths, history=True, threads=threads)
        for k, value in enumerate([*every, *last]):
            assert value.tobytes() == file[f"{i} result {k}"].tobytes(), (cell.name, threads, k)
    for k, value in enumerate(arrays.step(cell, x[0], state, weights)):
        assert value.tobytes() == file[f"{i} step {k}"].tobytes(), (cell.name, k)
assert not any(name.partition(".")[0] == "torch" for name in sys.modules if sys.modules[name])
print("equal", len(cells))
"""


def test_without_torch(tmp_path):
    """In an interpreter that has none; with threads of the engine's own, as there are none of PyTorch's."""
    size = Size(T=30, B=40, D=20, H=48, P=9)
    chosen = [*FAMILY, *random.Random(1).sample(HOMEMADE, 3)]
    saved = {"lengths": ragged(size).numpy()}
    for i, one in enumerate(chosen):
        inputs = draw(one, size, torch.float32)
        every, last = run(one, inputs.x, inputs.state, inputs.weights, lengths=ragged(size))
        after = engine.step(one, inputs.x[0], inputs.state, inputs.weights)
        saved[f"{i} x"] = inputs.x.numpy()
        named = {"state": inputs.state, "weight": inputs.weights, "result": [*every, *last], "step": after}
        saved |= {f"{i} {what} {k}": t.numpy() for what, tensors in named.items() for k, t in enumerate(tensors)}
    np.savez(tmp_path / "calls.npz", **saved)
    done = child(WITHOUT_TORCH, tmp_path / "calls.npz", *[one.key for one in chosen])
    assert succeeded(done).split() == ["equal", str(len(chosen))]
