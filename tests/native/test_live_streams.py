"""Live streams of the native engine: the bits of each alone, and of its whole sequence; steps that take no memory."""

import random
import shutil
import subprocess
import threading

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from native_kit import apart, child, laws, succeeded
from table import HOMEMADE, NATIVE, Size, cells, draw

from gatewise.errors import OptionError, OptionTypeError, ShapeError
from gatewise.native import arrays
from gatewise.native.library import _native
from gatewise.native.streams import Streams

LSTM, GRU = cells.find("lstm"), cells.find("gru")


def stack_of(cell, D, H, P, layers):
    """A stack of layers of one cell with weights that differ, as `Streams` takes it."""
    found, width = [], D
    for layer in range(layers):
        inputs = draw(cell, Size(T=1, B=1, D=width, H=H, P=P), torch.float32)
        turned = [np.roll(w.numpy(), layer, -1) for w in inputs.weights]
        found.append((cell, turned))
        width = inputs.state[0].shape[1]
    return found


def zeros(cell, D, H, P, rows):
    sizes = cell.sizes(D, H, P)
    return [np.zeros((rows, sizes[letter]), np.float32) for letter in cell.carry_sizes]


def whole(stack, x, H, P):
    """Output and last states of whole sequences (T, B, D) by `recurrence`, layer after layer."""
    states = []
    for cell, weights in stack:
        [x], last = arrays.recurrence(cell, x, zeros(cell, x.shape[2], H, P, x.shape[1]), weights)
        states.append(last)
    return x, states


def inputs(rng, *shape):
    return rng.standard_normal(shape).astype(np.float32)


def same(one, other):
    assert one.shape == other.shape
    assert one.tobytes() == other.tobytes()


def alone_in_int8(stack, x, H, P):
    """As `whole`, each row by itself in int8."""
    streams = Streams(stack, "int8")
    ids = [streams.open() for _ in range(x.shape[1])]
    y = np.stack([streams.push(stream, x[:, b].copy()) for b, stream in enumerate(ids)], 1)
    states = [streams.state(stream) for stream in ids]
    return y, [[np.stack(rows) for rows in zip(*layer, strict=True)] for layer in zip(*states, strict=True)]


EXPECTED = {"float32": whole, "int8": alone_in_int8}


def run_schedule(stack, H, P, sequences, draw_int, precision="float32"):
    """Push sequences in random pieces, each stream beside random others, some opened late and some closed early.

    Every output and the last state of each are compared with those of its whole sequence alone.
    """
    streams = Streams(stack, precision)
    waiting = list(range(len(sequences)))
    place, got, ids = dict.fromkeys(waiting, 0), {i: [] for i in waiting}, {}
    while waiting or ids:
        if waiting and (not ids or draw_int(0, 2) == 0):
            ids[waiting.pop(0)] = streams.open()
        chosen = [i for i in ids if draw_int(0, 1)] or [next(iter(ids))]
        lengths = [min(draw_int(0, 4), len(sequences[i]) - place[i]) for i in chosen]
        pieces = [sequences[i][place[i] : place[i] + n] for i, n in zip(chosen, lengths, strict=True)]
        if len(chosen) == 1 and draw_int(0, 1):
            if lengths[0] == 1 and draw_int(0, 1):
                outputs = [streams.push(ids[chosen[0]], pieces[0][0])[None]]
            else:
                outputs = [streams.push(ids[chosen[0]], pieces[0])]
        else:
            numbers = [ids[i] for i in chosen]
            if len(set(lengths)) == 1 and draw_int(0, 1):
                y = streams.push(numbers, np.stack(pieces, 1))
                outputs = list(y.swapaxes(0, 1))
            else:
                y = streams.push(numbers, np.concatenate(pieces), lengths=lengths)
                outputs = np.split(y, np.cumsum(lengths)[:-1])
        for i, n, y in zip(chosen, lengths, outputs, strict=True):
            got[i].append(y)
            place[i] += n
            if place[i] == len(sequences[i]):
                want, states = EXPECTED[precision](stack, sequences[i][:, None], H, P)
                same(np.concatenate(got[i]), want[:, 0])
                for found, last in zip(streams.state(ids[i]), states, strict=True):
                    for one, other in zip(found, last, strict=True):
                        same(one, other[0])
                streams.close(ids.pop(i))
    assert len(streams) == 0


SIZES = st.tuples(st.integers(1, 40), st.integers(1, 40), st.integers(1, 20), st.integers(1, 3), st.integers(1, 9))


@pytest.mark.parametrize("precision", EXPECTED)
@pytest.mark.parametrize("cell", NATIVE, ids=lambda cell: cell.name)
def test_any_schedule_gives_each_stream_the_bits_of_its_sequence(cell, precision):
    @laws
    @given(SIZES, st.integers(0, 1 << 30))
    def law(sizes, seed):
        D, H, P, layers, count = sizes
        H *= cell.heads
        chance, rng = random.Random(seed), np.random.default_rng(seed)
        sequences = [inputs(rng, chance.randint(1, 12), D) for _ in range(count)]
        run_schedule(stack_of(cell, D, H, P, layers), H, P, sequences, chance.randint, precision)

    law()


@pytest.mark.parametrize("precision", EXPECTED)
@pytest.mark.parametrize("name", _native.instruction_sets())
@pytest.mark.parametrize("cell", [LSTM, cells.find("layer_norm_lstm"), *HOMEMADE[:3]], ids=lambda cell: cell.name)
def test_with_every_instruction_set(cell, name, precision):
    chance = random.Random(3)
    _native.use(name)
    try:
        rng = np.random.default_rng(1)
        sequences = [inputs(rng, chance.randint(1, 12), 20) for _ in range(15)]
        run_schedule(stack_of(cell, 20, 36, 17, 2), 36, 17, sequences, chance.randint, precision)
    finally:
        _native.use("")


def test_many_streams_with_large_weights():
    """More rows than a tile and more units than are gathered at once."""
    stack, rng = stack_of(LSTM, 70, 400, 0, 2), np.random.default_rng(0)
    x = inputs(rng, 5, 45, 70)
    want, _ = whole(stack, x, 400, 0)
    streams = Streams(stack)
    ids = np.array([streams.open() for _ in range(45)])
    got = [streams.push(ids, x[:2]), streams.push(ids[::-1], x[2, ::-1])[None, ::-1]]
    got += [np.stack([streams.push(int(i), x[3:, b]) for b, i in enumerate(ids)], 1)]
    same(np.concatenate(got), want)


def test_steps_are_not_mixed_with_what_is_no_number():
    """A stream that is fed NaN spoils itself alone."""
    stack, rng = stack_of(GRU, 5, 19, 0, 2), np.random.default_rng(0)
    x = inputs(rng, 6, 3, 5)
    want, _ = whole(stack, x, 19, 0)
    streams = Streams(stack)
    ids = [streams.open() for _ in range(3)]
    x[2, 1] = np.nan
    got = streams.push(ids, x)
    same(got[:, 0], want[:, 0])
    same(got[:, 2], want[:, 2])
    assert np.isnan(got[2:, 1]).all()
    streams.reset(ids[1])
    x[2, 1] = 0
    assert np.isfinite(streams.push(ids[1], x[:, 1].copy())).all()


# States.


@pytest.fixture
def pair():
    """Streams of a stack, and a function that draws so many steps for them."""
    rng = np.random.default_rng(5)
    return Streams(stack_of(LSTM, 6, 21, 0, 2)), lambda *shape: inputs(rng, *shape, 6)


def test_a_state_can_be_kept_and_set_again(pair):
    streams, steps = pair
    one, other = streams.open(), streams.open()
    streams.push(one, steps(4))
    kept, x = streams.state(one), steps(3)
    assert [[v.shape for v in layer] for layer in kept] == [[(21,), (21,)]] * 2
    want = streams.push(one, x)
    streams.push(other, steps(9))
    for again in (one, other):
        streams.restore(again, kept)
        same(streams.push(again, x), want)


def test_a_fork_goes_on_alone(pair):
    streams, steps = pair
    one = streams.open()
    streams.push(one, steps(4))
    others = [streams.fork(one) for _ in range(40)]  # which moves the states to larger memory
    x = steps(3)
    want = streams.push(one, x)
    streams.close(one)
    streams.push(others[0], steps(2))
    for other in others[1:]:
        same(streams.push(other, x), want)


def test_a_new_stream_and_one_that_was_reset_begin_alike(pair):
    streams, steps = pair
    x = steps(3)
    want = streams.push(streams.open(), x)
    used = streams.open()
    streams.push(used, steps(5))
    streams.reset(used)
    same(streams.push(used, x), want)
    streams.push(used, steps(5))
    streams.close(used)
    same(streams.push(streams.open(), x), want)  # in the memory of the one that was closed


def test_ids_are_never_given_again(pair):
    streams, steps = pair
    seen = set()
    for _ in range(5):
        ids = [streams.open() for _ in range(20)]
        assert seen.isdisjoint(ids)
        assert len(streams) == 20
        seen |= set(ids)
        for i in ids:
            assert i in streams
            streams.close(i)
            assert i not in streams
    for i in seen:
        with pytest.raises(OptionError, match=f"there is no stream {i}"):
            streams.push(i, steps())


def test_the_weights_are_copied():
    stack = stack_of(LSTM, 6, 21, 0, 1)
    x = inputs(np.random.default_rng(0), 4, 6)
    want = Streams(stack)
    streams = Streams([(cell, [w.copy() for w in weights]) for cell, weights in stack])
    same(streams.push(streams.open(), x), want.push(want.open(), x))
    changed = Streams(stack)
    for weight in stack[0][1]:
        weight += 1
    same(changed.push(changed.open(), x), streams.push(streams.open(), x))


def test_layers_of_different_cells():
    first, second = stack_of(LSTM, 6, 21, 0, 1), stack_of(GRU, 21, 7, 0, 1)
    x = inputs(np.random.default_rng(0), 4, 3, 6)
    middle, _ = whole(first, x, 21, 0)
    want, _ = whole(second, middle, 7, 0)
    streams = Streams([*first, *second])
    assert (streams.inputs, streams.outputs) == (6, 7)
    same(streams.push([streams.open() for _ in range(3)], x), want)


@pytest.mark.parametrize("cell", [LSTM, cells.find("layer_norm_lstm"), cells.find("lstmp")], ids=lambda cell: cell.name)
@pytest.mark.parametrize("units", [16, 21])
def test_a_step_of_states_that_the_caller_keeps(cell, units):
    streams = Streams(stack_of(cell, 6, units, 5, 2))
    x = inputs(np.random.default_rng(0), 4, 3, 6)
    ids = [streams.open() for _ in range(3)]
    alone = [streams.zeros() for _ in ids]
    together = [[np.stack([value] * 3) for value in layer] for layer in streams.zeros()]
    for step in x:
        want = streams.push(ids, step)
        kept = [[value.copy() for value in layer] for layer in together]
        after = streams.step(step, together)
        for one, other in zip(together, kept, strict=True):
            for value, before in zip(one, other, strict=True):
                same(value, before)
        together = after
        alone = [streams.step(row, state) for row, state in zip(step, alone, strict=True)]
        same(together[-1][0], want)
        for row, stream in enumerate(ids):
            for layer, values in enumerate(streams.state(stream)):
                for k, value in enumerate(values):
                    same(value, together[layer][k][row])
                    same(value, alone[row][layer][k])
    with pytest.raises(ShapeError, match=r"x must have shape \(6,\) or \(rows, 6\), but has \(4, 3, 6\)"):
        streams.step(x, together)
    with pytest.raises(ShapeError, match="a state of this stack has the shapes"):
        streams.step(x[0], streams.zeros())
    with pytest.raises(OptionTypeError, match="x is of float64"):
        streams.step(x[0].astype(float), together)


def test_from_several_threads():
    """Long pushes give the interpreter away; each thread's streams come out as alone."""
    stack, rng = stack_of(LSTM, 30, 64, 0, 2), np.random.default_rng(0)
    x = inputs(rng, 4, 40, 9, 30)
    want = [whole(stack, one, 64, 0)[0] for one in x]
    streams, got = Streams(stack), {}

    def work(number):
        ids = [streams.open() for _ in range(9)]
        got[number] = np.stack([streams.push(ids, step) for step in x[number][:20]])
        got[number] = np.concatenate([got[number], streams.push(ids, x[number][20:])])
        for i in ids:
            streams.close(i)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number in range(4):
        same(got[number], want[number])
    assert len(streams) == 0


# Arrays of any layout, and mistakes.


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
        "'mlstm' carries matrices, which the native engine cannot run. Step it with gatewise.runtime.equations",
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


# Memory.

COUNTING = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stddef.h>
static long count;
long allocations(void) { return count; }
extern void *__libc_malloc(size_t), *__libc_calloc(size_t, size_t), *__libc_realloc(void*, size_t);
extern void* __libc_memalign(size_t, size_t);
void* malloc(size_t n) { count++; return __libc_malloc(n); }
void* calloc(size_t n, size_t m) { count++; return __libc_calloc(n, m); }
void* realloc(void* p, size_t n) { count++; return __libc_realloc(p, n); }
int posix_memalign(void** p, size_t a, size_t n) { count++; *p = __libc_memalign(a, n); return *p ? 0 : 12; }
"""

ALLOCATING = """
import ctypes, gc, tracemalloc
import numpy as np
from test_live_streams import cells, inputs, stack_of
from gatewise.native.streams import Streams

allocations = ctypes.CDLL(None).allocations
for name, precision in (
    ("lstm", "float32"), ("gru", "float32"), ("layer_norm_lstm", "float32"), ("lstmp", "float32"), ("lstm", "int8")
):
    rng = np.random.default_rng(0)
    streams = Streams(stack_of(cells.find(name), 24, 40, 20, 2), precision)
    ids = np.array([streams.open() for _ in range(20)])
    one, out = inputs(rng, 24), np.empty(streams.outputs, np.float32)
    lengths = np.arange(20) % 4
    many, outs = inputs(rng, lengths.sum(), 24), np.empty((lengths.sum(), streams.outputs), np.float32)
    first, push = int(ids[0]), streams.push

    def steps(count):
        for _ in range(count):
            push(first, one, out)
            push(ids, many, outs, lengths)
            push(ids[:7], many[:7], outs[:7])

    steps(3)
    gc.disable()
    before = allocations()
    assert before > 0
    steps(100)
    assert allocations() == before, (name, allocations() - before)
    tracemalloc.start()
    steps(3)
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.reset_peak()
    steps(100)
    now, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert now - held < 200 and peak - held < 2000, (name, held, now, peak)
print("none")
"""


@pytest.mark.skipif(not shutil.which("cc"), reason="there is no C compiler")
def test_a_step_allocates_nothing(tmp_path):
    """Neither the engine, whose every call of the allocator is counted, nor Python beyond what a call hands over."""
    source, library = tmp_path / "counting.c", tmp_path / "counting.so"
    source.write_text(COUNTING)
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", library, source], check=True)
    done = child(ALLOCATING, LD_PRELOAD=str(library))
    if "undefined symbol: __libc_" in done.stderr:
        pytest.skip("the allocator here is not glibc's")
    assert succeeded(done) == "none\n"
