"""Live streams of the native engine: the bits of each alone, and of its whole sequence; steps that take no memory."""

import random
import shutil
import subprocess
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from native_kit import child, laws, succeeded
from streams_kit import EXPECTED, inputs, same, stack_of, streams_and_steps, whole
from table import HOMEMADE, NATIVE, cells

from gatewise.errors import OptionError, OptionTypeError, ShapeError
from gatewise.native.library import _native
from gatewise.native.streams import Streams

LSTM, GRU = cells.find("lstm"), cells.find("gru")


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
    return streams_and_steps()


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
from streams_kit import inputs, stack_of
from table import cells
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
