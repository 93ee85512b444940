"""Stacks whose layers run at the same time, each a few steps behind the one below: the same bits as by turns."""

import gc
import os
import threading
import weakref
from contextlib import contextmanager

import pytest
import torch
from native_kit import child, same, succeeded, threads
from table import NATIVE, Size, cells, draw, generator, ragged, restarts

from gatewise import engine, nn
from gatewise.engine import native
from gatewise.native import calls

SANITIZED = "san.so" in os.environ.get("LD_PRELOAD", "")  # slow, and at odds with a limit to memory
SIZE = Size(T=40, B=3, D=5, H=20, P=9)
LENGTHS, RESETS = ragged(SIZE), restarts(SIZE)


@contextmanager
def chained(count, limit=99):
    """On so many threads, chains of up to `limit` layers whether that pays or not, or none at all."""
    with pytest.MonkeyPatch.context() as patch, threads(count):
        patch.setattr(calls, "chained", lambda layers, threads: min(len(layers), limit))
        yield


def stack_of(cell, layers, size=SIZE):
    """x, states and weights, all of which want gradients; the layers above the first take what comes out of it."""
    width = size.P if cell.projected else size.H
    drawn = [draw(cell, Size(size.T, size.B, width if i else size.D, size.H, size.P)) for i in range(layers)]
    drawn = [d.to(torch.float32) for d in drawn]
    for layer, inputs in enumerate(drawn):
        for tensor in (*inputs.state, *inputs.weights):
            tensor.mul_(0.9**layer)  # not all alike
    wanted = lambda tensors: [t.requires_grad_() for t in tensors]  # noqa: E731
    return drawn[0].x.requires_grad_(), [wanted(d.state) for d in drawn], [wanted(d.weights) for d in drawn]


def joined(lists):
    return [tensor for tensors in lists for tensor in tensors]


def differentiate(cell, x, states, weights, arriving=lambda every, last, layer, top: True, **options):
    """Results of every layer, without and with a tape, and the gradients of all that wants one, None among them."""
    with torch.no_grad():
        plain = engine.stack(cell, x, states, weights, **options)
    runs = engine.stack(cell, x, states, weights, **options)
    results = [value for every, last in runs for value in (*every, *last)]
    outputs = []
    for layer, (every, last) in enumerate(runs):
        top = layer == len(runs) - 1
        # What happens inside a stack stays there; only its last output is read, and all histories but the first one.
        outputs += [value for k, value in enumerate(every) if k or top] + list(last)
    outputs = [value for value in outputs if value.requires_grad]
    gradients = [torch.randn(v.shape, generator=generator("arrives", i)) for i, v in enumerate(outputs)]
    wanted = [t for t in (x, *joined(states), *joined(weights)) if t.requires_grad]
    found = torch.autograd.grad(outputs, wanted, gradients, allow_unused=True) if wanted else []
    return [value for every, last in plain for value in (*every, *last)], [v.detach() for v in results], list(found)


def equal(got, want):
    """Absent in the same places, else the same bits."""
    assert [t is None for t in got] == [t is None for t in want]
    same(([t for t in got if t is not None], []), ([t for t in want if t is not None], []))


def check(cell, layers, count=2, size=SIZE, freeze=lambda *_: None, **options):
    x, states, weights = stack_of(cell, layers, size)
    freeze(x, states, weights)
    with chained(1, 1):
        want = differentiate(cell, x, states, weights, **options)
    with chained(count):
        got = differentiate(cell, x, states, weights, **options)
    for ours, theirs in zip(got, want, strict=True):
        equal(ours, theirs)


@pytest.mark.parametrize("cell", NATIVE, ids=lambda cell: cell.name)
@pytest.mark.parametrize("how", ["plain", "lengths", "resets", "both", "history"])
def test_every_cell(cell, how):
    options = {
        "plain": {},
        "lengths": {"lengths": LENGTHS},
        "resets": {"resets": RESETS},
        "both": {"lengths": LENGTHS.int(), "resets": RESETS},
        "history": {"history": True, "lengths": LENGTHS},
    }[how]
    check(cell, 2, **options)


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("layers", [3, 4, 5])
def test_more_layers_than_threads(layers, count):
    check(cells.find("lstm"), layers, count, lengths=LENGTHS)
    check(cells.find("gru"), layers, count, resets=RESETS)


@pytest.mark.parametrize(
    "size",
    [
        Size(1, 1, 1, 1, 1),
        Size(1, 5, 3, 4, 1),
        Size(300, 1, 3, 33, 1),
        Size(700, 2, 3, 8, 1),
        Size(30, 40, 20, 16, 1),
        Size(5, 0, 3, 4, 1),
    ],
    ids=str,
)
def test_sizes(size):
    """Among them several chunks, chunks of one slice, and no rows at all."""
    check(cells.find("lstm"), 3, size=size)
    check(cells.find("gru"), 2, size=size, lengths=ragged(size))
    check(cells.find("lstm"), 2, size=size, lengths=torch.zeros(size.B, dtype=torch.int64))


FROZEN = {
    "the lowest": lambda x, s, w: frozen(x, *s[0], *w[0]),
    "the lowest but x": lambda x, s, w: frozen(*s[0], *w[0]),
    "the highest": lambda x, s, w: frozen(*s[2], *w[2]),
    "all but the highest": lambda x, s, w: frozen(x, *s[0], *s[1], *w[0], *w[1]),
    "all but x": lambda x, s, w: frozen(*joined(s), *joined(w)),
    "the middle, and a matrix each": lambda x, s, w: frozen(*s[1], *w[1], w[0][0], w[2][1]),
    "all but a state": lambda x, s, w: frozen(x, *s[0], s[1][0], *s[2], *joined(w)),
}


def frozen(*tensors):
    for tensor in tensors:
        tensor.requires_grad_(False)


@pytest.mark.parametrize("which", FROZEN)
def test_frozen_layers(which, monkeypatch):
    """Gradients of what wants one, and no work for what does not."""
    lstm = cells.find("lstm")
    check(lstm, 3, freeze=FROZEN[which])
    runs = []
    backward = calls._native.backward
    monkeypatch.setattr(calls._native, "backward", lambda jobs, *rest: (runs.append(jobs), backward(jobs, *rest)))
    x, states, weights = stack_of(lstm, 3)
    FROZEN[which](x, states, weights)
    with chained(2):
        results = engine.stack(lstm, x, states, weights)
        results[-1][0][0].sum().backward()
    [jobs] = runs
    lowest = next(i for i in range(3) if any(t.requires_grad for t in (*([] if i else [x]), *states[i], *weights[i])))
    assert len(jobs) == 3 - lowest
    assert (jobs[-1][4] is not None) == x.requires_grad, "dx that nobody wants"
    for layer, (every, last) in enumerate(results):
        assert all(value.requires_grad == (layer >= lowest) for value in (*every, *last))


@pytest.mark.parametrize("name", ["lstm", "gru"])
@pytest.mark.parametrize("read", ["all outputs", "the lowest state", "the lowest output", "the middle layer twice"])
def test_gradients_that_arrive_inside_the_stack(name, read):
    """From anywhere, in any combination; what nothing reaches has none."""
    cell = cells.find(name)

    def loss(runs):
        return {
            "all outputs": lambda: sum(every[0].square().sum() for every, _ in runs),
            "the lowest state": lambda: runs[0][1][0].square().sum(),
            "the lowest output": lambda: runs[0][0][0].square().sum(),
            "the middle layer twice": lambda: (runs[1][0][0] * runs[1][1][0]).sum() + runs[2][1][-1].sum(),
        }[read]()

    found = []
    for limit in (1, 99):
        x, states, weights = stack_of(cell, 3)
        with chained(1 if limit == 1 else 2, limit):
            value = loss(engine.stack(cell, x, states, weights))
            for _ in range(2):  # the second adds to the first
                value.backward(retain_graph=True)
        found.append([t.grad for t in (x, *joined(states), *joined(weights))])
    equal(found[1], found[0])


@pytest.mark.parametrize("name", ["lstm", "gru"])
def test_second_derivatives(name):
    """Of a stack with a state read in its middle, as if its layers had taken turns."""
    cell = cells.find(name)
    size, found = Size(T=3, B=2, D=3, H=4, P=1), []
    for limit in (1, 99):
        x, states, weights = stack_of(cell, 3, size)
        with chained(2, limit):
            runs = engine.stack(cell, x, states, weights)
            wanted = [x, *states[0], *weights[0], *weights[2]]
            value = runs[-1][0][0].square().sum() + runs[1][1][0].pow(3).sum()
            first = torch.autograd.grad(value, wanted, create_graph=True)
            second = torch.autograd.grad(sum(g.square().sum() for g in first), [*wanted, *weights[1]])
        found.append([*first, *second])
    for got, want in zip(*found, strict=True):
        torch.testing.assert_close(got, want, rtol=1e-5, atol=1e-6)


def layers_of(name, **options):
    torch.manual_seed(3)
    kind = nn.GRU if name == "gru" else nn.LSTM
    return kind(20, 40, num_layers=3, **({"proj_size": 9} if name == "lstmp" else {}), **options)


@pytest.mark.parametrize("name", ["lstm", "gru", "lstmp"])
@pytest.mark.parametrize("how", ["plain", "lengths", "resets", "cell states", "packed", "given states"])
def test_layers_of_the_package(name, how):
    layer = layers_of(name)
    x = torch.randn(30, 5, 20, generator=generator("layers", name))
    lengths = torch.tensor([3, 30, 0 if how == "lengths" else 1, 17, 30])
    with torch.no_grad():
        state = layer(x)[1] if how == "given states" else None
    options = {
        "lengths": {"lengths": lengths},
        "resets": {"resets": torch.rand(30, 5, generator=generator("resets")) < 0.2},
        "cell states": {"return_cell_states": True},
    }.get(how, {})
    if how == "packed":
        x = torch.nn.utils.rnn.pack_padded_sequence(x, lengths, enforce_sorted=False)
    found = []
    for count, limit in ((1, 1), (2, 99)):
        layer.zero_grad()
        with chained(count, limit):
            y, last, *rest = layer(x, state, **options)
            values = [y.data if how == "packed" else y, *([last] if name == "gru" else last), *rest]
            sum(value.square().sum() for value in values).backward()
        found.append([*[v.detach() for v in values], *[p.grad.clone() for p in layer.parameters()]])
    equal(found[1], found[0])


def test_what_stands_between_layers_is_run(monkeypatch):
    """Dropout in training, and what a subclass or the user puts there; else the stack is handed over whole."""
    stacks = []
    stack = engine.stack
    monkeypatch.setattr(engine, "stack", lambda *arguments: (stacks.append(arguments), stack(*arguments))[1])

    class Doubled(nn.LSTM):
        def between_layers(self, y):
            return 2 * y

    x = torch.randn(4, 2, 20)
    plain = layers_of("lstm", dropout=0.5)
    plain(x)
    assert not stacks
    plain.eval()(x)
    assert len(stacks) == 1
    doubled = Doubled(20, 40, num_layers=2)
    doubled(x)
    own = layers_of("lstm")
    own.between_layers = lambda y: 2 * y
    own(x)
    nn.LSTM(20, 40, num_layers=2, bidirectional=True)(x)
    nn.LSTM(20, 40)(x)
    assert len(stacks) == 1


def test_where_it_pays():
    """Few rows, several steps, more than one thread; as many layers for one thread as for another."""
    lstm = cells.find("lstm")

    def chained_of(layers, count, size):
        x, states, weights = stack_of(lstm, layers, size)
        stack = [native.Layer(lstm, x, s, w) for s, w in zip(states, weights, strict=True)]
        return calls.chained(stack, count)

    few, many = Size(100, 4, 64, 64, 1), Size(100, 12, 64, 64, 1)
    assert [chained_of(layers, 2, few) for layers in (1, 2, 3, 4, 5)] == [1, 2, 2, 4, 4]
    assert [chained_of(2, count, few) for count in (1, 2)] == [1, 2]
    assert chained_of(2, 2, many) == 1, "a tile of rows for each thread"
    assert chained_of(2, 2, Size(50, 8, 256, 256, 1)) == 1, "weights that no core keeps in its cache"
    assert chained_of(2, 2, Size(2, 4, 64, 64, 1)) == 1, "no step of the second layer before the first is done"
    assert chained_of(2, 2, Size(100, 1, 4, 4, 1)) == 1, "too short for a second thread"
    assert chained_of(2, 8, few) == 1, "eight threads for each layer"
    assert chained_of(2, 8, Size(100, 2, 32, 32, 1)) == 2, "too small to be shared"


def test_tapes_go_with_the_graph(monkeypatch):
    """And with the first backward pass, if none is to follow; nothing waits for the garbage collector."""
    made = []

    class Call(calls.Call):
        def __init__(self, layer, arrays):
            super().__init__(layer, arrays)
            made.append(weakref.ref(self))

    monkeypatch.setattr(calls, "Call", Call)
    x, states, weights = stack_of(cells.find("lstm"), 3)
    gc.disable()
    try:
        with chained(2):
            runs = engine.stack(cells.find("lstm"), x, states, weights)
        y = runs[-1][0][0]
        del runs
        assert all(call().tape for call in made)
        y.sum().backward(retain_graph=True)
        assert all(call().tape for call in made)
        y.sum().backward()
        assert not any(call().tape for call in made)
        del y
        assert len(made) == 3
        assert not any(call() for call in made)
    finally:
        gc.enable()


def test_under_autocast():
    """In bfloat16 too."""
    layer = layers_of("lstm")
    x, found = torch.randn(30, 5, 20, generator=generator("low")), []
    for count, limit in ((1, 1), (2, 99)):
        layer.zero_grad()
        with chained(count, limit), torch.autocast("cpu", torch.bfloat16):
            y, (h, c) = layer(x)
            (y.float().square().sum() + h.float().sum() + c.float().sum()).backward()
        assert y.dtype == torch.bfloat16
        found.append([t.detach().float() for t in (y, h, c)] + [p.grad.clone() for p in layer.parameters()])
    equal(found[1], found[0])


def test_several_callers_at_once():
    layer = layers_of("lstm")
    inputs = [torch.randn(25, 1 + i, 20, generator=generator("caller", i)) for i in range(4)]

    def once(x):
        torch.set_num_threads(2)  # OpenMP counts for each thread of its own
        y = layer(x)[0]
        return [y.detach(), *torch.autograd.grad(y.square().sum(), [*layer.parameters()])]

    wrong, start = [], threading.Barrier(4)
    with chained(2):
        want = [once(x) for x in inputs]

        def caller(number):
            try:
                start.wait(60)
                for turn in range(10):
                    i = (turn * (number + 1) + number) % 4
                    pairs = zip(once(inputs[i]), want[i], strict=True)
                    wrong.extend((i, k) for k, pair in enumerate(pairs) if not torch.equal(*pair))
            except BaseException as error:  # a thread that dies takes its complaint with it
                wrong.append(repr(error))

        callers = [threading.Thread(target=caller, args=(number,)) for number in range(4)]
        for thread in callers:
            thread.start()
        for thread in callers:
            thread.join(100)
    assert not any(thread.is_alive() for thread in callers)
    assert not wrong, wrong[:5]


FAILS = """
import resource, sys, torch
from native_kit import threads
from table import Size, cells, draw
from gatewise import engine
from gatewise.engine import native
from gatewise.native import calls

# One layer's tape takes 200 MB and more, all else a few.
cell, failing = cells.find("lstmp"), int(sys.argv[1])
def layer(i):
    wide = 512 if i == failing else 8
    inputs = draw(cell, Size(2000, 8, 4, wide, 4), torch.float32)
    return native.Layer(cell, inputs.x, inputs.state, [w.requires_grad_() for w in inputs.weights])
calls.chained = lambda layers, threads: len(layers)
def run():
    return native.run_stack([layer(i) for i in range(3)])[-1][0]
with threads(2):
    want = run().detach()
    used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
    layers = [layer(i) for i in range(3)]
    small = layers[failing == 0]
    for _ in range(70):  # until what the engine kept of the first run is given back
        native.recurrence(cell, small.x[:2], small.state, small.weights)
    free = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
    assert free < used - 100e6, (free, used)
    resource.setrlimit(resource.RLIMIT_AS, (free + 60_000_000, resource.RLIM_INFINITY))
    try:
        native.run_stack(layers)
    except MemoryError as error:
        print("refused")
    resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert torch.equal(run(), want)
    print("usable")
"""


@pytest.mark.skipif(SANITIZED, reason="a sanitizer takes more memory than can be forbidden")
@pytest.mark.parametrize(
    "failing", [pytest.param(0, marks=pytest.mark.slow), 1, pytest.param(2, marks=pytest.mark.slow)]
)
def test_one_layer_fails(failing):
    """Those that wait for it end too, its error comes out, and the engine goes on working."""
    assert succeeded(child(FAILS, failing)).split() == ["refused", "usable"]


INTERRUPTED = """
import signal, threading, torch
from native_kit import threads
from gatewise import nn
from gatewise.native import calls

chained, counts = calls.chained, set()
calls.chained = lambda *arguments: (counts.add(chained(*arguments)), chained(*arguments))[1]
layer, x = nn.LSTM(64, 64, num_layers=2), torch.randn(100, 2, 64)
with threads(2), torch.no_grad():
    layer(x)
    timer = threading.Timer(0.3, signal.pthread_kill, (threading.get_ident(), signal.SIGINT))
    timer.start()
    try:
        while True:
            layer(x)
    except KeyboardInterrupt:
        print("interrupted")
    timer.join()
    assert layer(x)[0].isfinite().all()
    print(counts)
"""


def test_ctrl_c_during_a_chain():
    """Arrives when the call is done, as of any other; other threads of Python's go on meanwhile."""
    assert succeeded(child(INTERRUPTED)).split() == ["interrupted", "{2}"]


def test_what_is_no_chain_is_refused():
    """The engine would wait for what never comes, or read what is not there yet."""
    lstm = cells.find("lstm")
    x, states, weights = stack_of(lstm, 2)
    jobs, made, y = [], [], x
    for state, own in zip(states, weights, strict=True):
        made.append(calls.Call(native.Layer(lstm, y, state, own), native.TENSORS))
        fields, (y, *_) = made[-1].forward([y, *state, *own], True)
        jobs.append(fields)
    other = calls.Call(native.Layer(lstm, x[:1], states[0], weights[0]), native.TENSORS).forward(
        [x[:1], *states[0], *weights[0]], True
    )
    for wrong in (jobs[::-1], [jobs[0], jobs[0]], [jobs[0], other[0]]):
        with pytest.raises(ValueError, match="a chain"):
            calls._native.forward(wrong, 2)
    with pytest.raises(ValueError, match="threads"):
        calls._native.forward(jobs, -1)
    assert all(calls._native.forward(jobs, 2))
