"""Live streams at the border: arrays of any layout, and mistakes, which change nothing."""

import numpy as np
import pytest
from native_kit import apart
from streams_kit import same, stack_of, streams_and_steps
from table import cells

from gatewise.errors import OptionError, OptionTypeError, ShapeError
from gatewise.native.streams import Streams

LSTM = cells.find("lstm")


@pytest.fixture
def pair():
    return streams_and_steps()


def test_any_layout(pair):
    streams, steps = pair
    x = steps(5, 3)
    ids = [streams.open() for _ in range(3)]
    want = streams.push(ids, x)
    subclass = x.view(type("Steps", (np.ndarray,), {}))
    unaligned = np.zeros(x.nbytes + 1, np.uint8)[1:].view(np.float32).reshape(x.shape)
    unaligned[...] = x
    columns = np.ascontiguousarray(x.T).T
    for steps_given in (subclass, unaligned, columns, x[::-1].copy()[::-1]):
        for numbers in (ids, tuple(ids), np.array(ids, np.int32), np.repeat(ids, 2)[::2]):
            for stream in ids:
                streams.reset(stream)
            same(streams.push(numbers, steps_given), want)
    out = np.empty((5, 3, 42), np.float32)[..., ::2]
    for stream in ids:
        streams.reset(stream)
    with pytest.raises(ShapeError, match=r"out must be a writable array of float32 of shape .* in one piece"):
        streams.push(ids, x, out)
    rows = np.empty((5, 6, 21), np.float32)[:, ::2]
    streams.push(ids, x, rows)
    same(np.ascontiguousarray(rows), want)
    assert streams.push([], steps(4, 0)).shape == (4, 0, 21)
    assert streams.push(ids[0], steps(0)).shape == (0, 21)


MISTAKES = {
    "an unknown id": (lambda s, x: s.push(99, x[0, 0]), OptionError, "there is no stream 99: it was closed"),
    "an unknown id among others": (lambda s, x: s.push([0, 1, 99], x), OptionError, "there is no stream 99"),
    "an id below zero": (lambda s, x: s.push(-1, x[0, 0]), OptionError, "there is no stream -1"),
    "an id beyond all": (lambda s, x: s.push(1 << 70, x[0, 0]), OptionError, "is not the id of a stream"),
    "a name": (lambda s, x: s.reset("first"), OptionError, "'first' is not the id of a stream"),
    "an id twice": (lambda s, x: s.push([0, 1, 0], x), OptionError, "stream 0 is there twice. Push its"),
    "ids of floats": (lambda s, x: s.push([0.0, 1.0, 2.0], x), ShapeError, "the ids of streams must be 3 whole"),
    "too few ids": (lambda s, x: s.push([0, 1], x), ShapeError, "the ids of streams must be 3 whole"),
    "too many channels": (lambda s, x: s.push(0, np.zeros(7, np.float32)), ShapeError, r"\(6,\) or \(steps, 6\)"),
    "channels of three": (lambda s, x: s.push([0, 1, 2], x[..., :5]), ShapeError, r"\(rows, 6\) or \(steps, rows, 6\)"),
    "a number": (lambda s, x: s.push(0, np.float32(1)), OptionTypeError, "x is a float32"),
    "no axis": (lambda s, x: s.push(0, np.array(1, np.float32)), ShapeError, r"but has \(\)"),
    "x of float64": (lambda s, x: s.push(0, x[0, 0].astype(float)), OptionTypeError, "x is of float64"),
    "x a list": (lambda s, x: s.push(0, [0.0] * 6), OptionTypeError, "x is a list"),
    "a length too long": (lambda s, x: s.push([0, 1], x[0], lengths=[1, 5]), ShapeError, "3 steps, but .* add up to 6"),
    "a length below zero": (lambda s, x: s.push([0, 1], x[0], lengths=[4, -1]), ShapeError, "a length of -1 is none"),
    "lengths of floats": (
        lambda s, x: s.push([0, 1], x[0], lengths=[1.0, 2.0]),
        ShapeError,
        "the lengths must be whole",
    ),
    "too few lengths": (
        lambda s, x: s.push([0, 1], x[0], lengths=[3]),
        ShapeError,
        "the ids of streams must be 1 whole",
    ),
    "lengths of one": (lambda s, x: s.push(0, x[0], lengths=[3]), ShapeError, "lengths are for several streams"),
    "lengths of many steps": (
        lambda s, x: s.push([0, 1], x, lengths=[2, 2]),
        ShapeError,
        r"x must have shape \(steps, 6\)",
    ),
    "an output of float64": (lambda s, x: s.push(0, x[0, 0], np.empty(21)), ShapeError, "out must be a writable"),
    "an output too small": (lambda s, x: s.push(0, x[0, 0], np.empty(20, np.float32)), ShapeError, r"of shape \(21,"),
    "a state of one layer": (lambda s, x: s.restore(0, s.state(1)[:1]), ShapeError, "a state of this stack has"),
    "a state of fewer units": (
        lambda s, x: s.restore(0, [[v[:4] for v in layer] for layer in s.state(1)]),
        ShapeError,
        "these arrays have",
    ),
    "a state of float64": (
        lambda s, x: s.restore(0, [[v.astype(float) for v in layer] for layer in s.state(1)]),
        OptionTypeError,
        r"state\[0\]\[0\] is of float64",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_change_nothing(mistake, pair):
    streams, steps = pair
    ids = [streams.open() for _ in range(3)]
    assert ids == [0, 1, 2]
    streams.push(ids, steps(2, 3))
    before = [streams.state(i) for i in ids]
    wrong, error, message = MISTAKES[mistake]
    with pytest.raises(error, match=message) as caught:
        wrong(streams, steps(4, 3))
    assert "\n" not in str(caught.value)
    for i, state in zip(ids, before, strict=True):
        for layer, kept in zip(streams.state(i), state, strict=True):
            for one, other in zip(layer, kept, strict=True):
                same(one, other)


def test_an_unknown_precision():
    with pytest.raises(OptionError, match="precision must be 'float32' or 'int8', not 'int4'"):
        Streams(stack_of(LSTM, 6, 21, 0, 1), "int4")


STACKS = {
    "no layer": (lambda stack: [], ShapeError, "at least one layer"),
    "layers that do not fit": (lambda stack: stack[:1] + stack[:1], ShapeError, "layer 1 takes 6 values, but the"),
    "one weight less": (lambda stack: [(LSTM, stack[0][1][:2])], ShapeError, "has 3 weights, but was given 2 and 2"),
    "a weight transposed": (
        lambda stack: [(LSTM, [stack[0][1][0], stack[0][1][1].T, stack[0][1][2]])],
        ShapeError,
        "the weight U of cell 'lstm' must have shape",
    ),
    "weights of float64": (
        lambda stack: [(LSTM, [w.astype(float) for w in stack[0][1]])],
        OptionTypeError,
        r"weights\[0\] of layer 0 is of float64",
    ),
    "matrices": (
        lambda stack: [(cells.find("mlstm"), stack[0][1])],
        OptionError,
        "'mlstm' carries matrices, which the native engine cannot run. Step it with gatewise.runtime.stepping",
    ),
}


@pytest.mark.parametrize("mistake", STACKS)
def test_mistaken_stacks(mistake):
    change, error, message = STACKS[mistake]
    with pytest.raises(error, match=message) as caught:
        Streams(change(stack_of(LSTM, 6, 21, 0, 2)))
    assert "\n" not in str(caught.value)


RAW = {
    "an input of fewer values": lambda s: s.push(0, np.zeros(5, np.float32), np.zeros(21, np.float32)),
    "an output of fewer values": lambda s: s.push(0, np.zeros(6, np.float32), np.zeros(20, np.float32)),
    "an output of more rows": lambda s: s.push(0, np.zeros((2, 6), np.float32), np.zeros((3, 21), np.float32)),
    "ids of 32 bits": lambda s: s.push(
        np.zeros(1, np.int32), np.zeros((1, 6), np.float32), np.zeros((1, 21), np.float32)
    ),
    "an id of no stream": lambda s: s.push(1 << 33, np.zeros(6, np.float32), np.zeros(21, np.float32)),
    "a length too long": lambda s: s.push(
        np.zeros(1, int), np.zeros((1, 6), np.float32), np.zeros((1, 21), np.float32), np.array([2])
    ),
    "lengths below zero": lambda s: s.push(
        np.array([0, 1]), np.zeros((1, 6), np.float32), np.zeros((1, 21), np.float32), np.array([2, -1])
    ),
    "a state of fewer values": lambda s: s.read(0, [np.zeros(20, np.float32)] * 4),
    "a state of fewer arrays": lambda s: s.write(0, [np.zeros(21, np.float32)] * 3),
    "a closed id": lambda s: (s.close(0), s.reset(0)),
}


@pytest.mark.parametrize("name", RAW)
def test_wrong_calls_of_the_compiled_side_are_refused(name, pair):
    streams, _ = pair
    streams.open()
    kind, message = apart(lambda: RAW[name](streams._native))
    assert "ValueError" in kind or "TypeError" in kind, (kind, message)
