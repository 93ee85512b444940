"""Products in bfloat16, with float32 sums and state: under autocast, and for tensors of that dtype."""

from contextlib import contextmanager
from dataclasses import replace

import pytest
import torch
from table import (
    CELLS,
    LARGE,
    ODD,
    ONE_UNIT,
    Inputs,
    Size,
    assert_all_close,
    authority,
    draw,
    generator,
    ragged,
    restarts,
    run_and_differentiate,
    tolerance,
)

from gatewise import cells, engine, nn
from gatewise.algebra import cell
from gatewise.engine import native
from gatewise.native import calls
from gatewise.native.library import _native

LSTM = cells.find("lstm")
LOW = torch.bfloat16
OPTIONS = {
    "plain": lambda size: {},
    "lengths": lambda size: {"lengths": ragged(size)},
    "resets": lambda size: {"resets": restarts(size)},
    "reverse": lambda size: {"reverse": True, "lengths": ragged(size)},
    "all": lambda size: {"reverse": True, "lengths": ragged(size), "resets": restarts(size), "history": True},
}
each_way = pytest.mark.parametrize("way", OPTIONS)
each_cell = pytest.mark.parametrize("cell", CELLS, ids=lambda c: c.name)


def autocast(cell, x, state, weights, **options):
    with torch.autocast("cpu", LOW):
        return engine.recurrence(cell, x, state, weights, **options)


@contextmanager
def threads(count, division):
    """This many, each with some of the rows or with some of the units, however short the call."""
    before = torch.get_num_threads()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(calls, "_SHORT", 0)
        patch.setattr(calls, "_SHORT_STEP", 0)
        patch.setattr(calls, "_SMALL_WEIGHTS", 1 << 60 if division == "rows" else 0)
        torch.set_num_threads(count)
        try:
            yield
        finally:
            torch.set_num_threads(before)


@contextmanager
def instruction_set(name):
    before = _native.isa()
    _native.use(name)
    try:
        yield
    finally:
        _native.use(before)


TEAMS = [(1, "rows"), (2, "rows"), (2, "units"), (3, "units")]
SETS = _native.instruction_sets()
needs_pairs = pytest.mark.skipif(not _native.rounds(), reason="this machine does not multiply in bfloat16")


# Whole numbers small enough for bfloat16 go through every product and sum without rounding, so that whatever is not
# moved to its right place shows.


@cell(carry="h[P] c", pack="a b")
def whole(x, h_prev, c_prev, W, U, V, P, Q, b):
    """Products of x, of each state, of a value inside the step, two gates in one sum; nothing that needs rounding."""
    s = W.a @ x + U.a @ h_prev + b.a
    c = s - V @ c_prev + W.b @ x - U.b @ h_prev
    h = P @ c + Q @ (P @ s)
    return h, c


def whole_inputs(size: Size) -> Inputs:
    random, sizes = generator("whole", str(size)), {"D": size.D, "H": size.H, "P": size.P}

    def few(rows, columns):
        """About one 1 or -1 per row, so that no sum grows past what bfloat16 holds."""
        values = torch.zeros(rows, columns)
        places = torch.randint(columns, (rows, 1), generator=random)
        return values.scatter_(1, places, torch.randint(-1, 2, (rows, 1), generator=random).float())

    def numbers(*shape):
        return torch.randint(-1, 2, shape, generator=random).float()

    weights = []
    for parameter in whole.parameters:
        shape = parameter.shape(sizes)
        weights.append(numbers(*shape) if len(shape) == 1 else few(*shape))
    state = [numbers(size.B, size.P), numbers(size.B, size.H)]
    return Inputs(numbers(size.T, size.B, size.D), state, weights, size)


def whole_results(run, inputs, dtype, **options):
    x, *rest = [t.to(dtype).requires_grad_() for t in (inputs.x, *inputs.state, *inputs.weights)]
    every, last = run(whole, x, rest[:2], rest[2:], **options)
    outputs = [every[0], *last]
    arriving = [torch.randint(-1, 2, o.shape, generator=generator("arriving", i)) for i, o in enumerate(outputs)]
    found = torch.autograd.grad(outputs, [x, *rest], [a.to(o.dtype) for a, o in zip(arriving, outputs, strict=True)])
    return [*outputs, *found]


@pytest.mark.parametrize("team", TEAMS, ids=str)
@pytest.mark.parametrize("rows", [1, 3, 5, 17])
@each_way
def test_whole_numbers_come_out_exactly(way, rows, team):
    size = Size(T=3, B=rows, D=33, H=71, P=19)
    inputs, options = whole_inputs(size), {**OPTIONS[way](size), "history": False}
    want = whole_results(engine.reference.recurrence, inputs, torch.float64, **drop(options, "history"))
    assert max(w.abs().max() for w in want[:3]) <= 256  # or the test itself would round
    with threads(*team):
        got = whole_results(autocast, inputs, torch.float32, **options)
    for number, (g, w) in enumerate(zip(got, want, strict=True)):
        assert torch.equal(g.double(), w), f"result {number}"


def drop(options, name):
    return {key: value for key, value in options.items() if key != name}


# Any numbers.


def well_conditioned(cell, size):
    """Inputs whose own rounding moves no result, such as one of `maximum` to its other branch."""
    inputs = draw(cell, size, LOW).to(torch.float32)
    if cell.name == "stabilised":  # which divides by n + 1
        return replace(inputs, state=[s.abs() for s in inputs.state])
    return inputs


@pytest.mark.parametrize("size", [ONE_UNIT, ODD, LARGE], ids=str)
@each_way
@each_cell
def test_autocast_agrees_with_the_reference(cell, way, size):
    options, inputs = OPTIONS[way](size), well_conditioned(cell, size)
    got = run_and_differentiate(autocast, cell, inputs, **options)
    assert_all_close(got, authority(cell, inputs, **options), tolerance(LOW, size.T))


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("dtype", [torch.float32, LOW], ids=str)
@each_cell
def test_every_instruction_set_agrees_with_the_reference(cell, dtype, name):
    options, inputs = OPTIONS["all"](LARGE), well_conditioned(cell, LARGE).to(dtype)
    with instruction_set(name):
        got = run_and_differentiate(autocast, cell, inputs, **options)
    assert_all_close(got, authority(cell, inputs, **options), tolerance(LOW, LARGE.T))


def relative(got, want):
    """|got - want| / |want|, as lengths of vectors."""
    return ((got.double() - want).norm() / want.norm()).item()


def module_results(module, x, dy):
    """Output, then gradients of x and the weights."""
    x = x.detach().requires_grad_()
    y, _ = module(x)
    return [y.detach(), *torch.autograd.grad(y, [x, *module.parameters()], dy.to(y.dtype))]


# Forward 1.5 times what the notes on CPU kernels measured at most; they simulated gradients, with 3.2e-3 at most.
OUTPUT, GRADIENT = 4e-3, 4e-3


@needs_pairs
@pytest.mark.parametrize("shape", [(32, 50, 16, 64), (16, 50, 64, 128), (16, 30, 128, 256), (20, 35, 650, 650)])
def test_errors_are_below_those_of_torch(shape):
    B, T, D, H = shape
    torch.manual_seed(5)
    theirs, x, dy = torch.nn.LSTM(D, H), torch.randn(T, B, D), torch.randn(T, B, H).bfloat16()
    ours = nn.LSTM(D, H)
    ours.load_state_dict(theirs.state_dict())
    with torch.autocast("cpu", LOW):
        got = module_results(ours, x, dy)
    exact = torch.nn.LSTM(D, H).double()
    exact.load_state_dict(theirs.state_dict())
    want = module_results(exact, x.double(), dy)
    torchs = module_results(theirs.bfloat16(), x.bfloat16(), dy)
    names = ["y", "x", *(name for name, _ in exact.named_parameters())]
    for name, g, t, w in zip(names, got, torchs, want, strict=True):
        error, reference = relative(g, w), relative(t, w)
        print(f"{shape} {name}: {error:.2e}, torch {reference:.2e}")
        assert error <= (OUTPUT if name == "y" else GRADIENT), f"{name}: {error:.2e}, torch {reference:.2e}"
        assert error <= reference, f"{name}: {error:.2e}, torch {reference:.2e}"


@needs_pairs
def test_sums_and_state_are_not_rounded():
    """c after many steps of small additions, which bfloat16 would lose."""

    @cell(carry="h c")
    def adder(x, h_prev, c_prev, W):
        c = c_prev + W @ x
        h = c
        return h, c

    x = torch.full((1000, 1, 1), 2.0**-9)
    (y,), _ = autocast(adder, x, [torch.zeros(1, 1)] * 2, [torch.ones(1, 1)])
    assert y[-1].item() == torch.tensor(1000 * 2.0**-9).bfloat16().item()


@each_way
@pytest.mark.parametrize("name", ["lstm", "gru", "lstmp"])
def test_the_same_bits_each_time_on_any_team_forward(name, way):
    inputs, options = draw(cells.find(name), LARGE, torch.float32), OPTIONS[way](LARGE)
    runs = []
    for team in [*TEAMS, *TEAMS]:
        with threads(*team):
            every, last = autocast(cells.find(name), inputs.x, inputs.state, inputs.weights, **options)
        runs.append([*every, *last])
    for run in runs[1:]:
        assert all(map(torch.equal, run, runs[0]))


@pytest.mark.parametrize("team", TEAMS, ids=str)
def test_gradients_have_the_same_bits_each_time(team):
    inputs, options = draw(LSTM, LARGE, torch.float32), OPTIONS["all"](LARGE)
    with threads(*team):
        one, two = (run_and_differentiate(autocast, LSTM, inputs, **options) for _ in range(2))
    for (name, value), (_, other) in zip(one, two, strict=True):
        assert torch.equal(value, other), name


@pytest.mark.parametrize("name", ["lstm", "gru", "lstmp"])
def test_a_row_does_not_know_its_batch(name):
    """Nor whether its inputs are multiplied in advance, which is so for a few rows."""
    inputs = draw(cells.find(name), LARGE, torch.float32)
    (y,), last = autocast(cells.find(name), inputs.x, inputs.state, inputs.weights)
    for few in (1, 5, 8):
        (part,), end = autocast(cells.find(name), inputs.x[:, :few], [s[:few] for s in inputs.state], inputs.weights)
        assert torch.equal(part, y[:, :few])
        assert all(torch.equal(e, s[:few]) for e, s in zip(end, last, strict=True))


@needs_pairs
def test_padding_and_what_lies_beside_the_units_are_not_read():
    """A cell whose value for no units at all is infinite: 0 * inf must not enter the product of its neighbours."""

    @cell(carry="h", pack="n")
    def reciprocal(x, h_prev, W, U):
        s = W.n @ x + 1.0 - 1.0
        h = 1 / (s + U.n @ h_prev)
        return h

    x, weights = torch.ones(3, 2, 1), [torch.ones(7, 1), torch.zeros(7, 7)]
    (y,), _ = autocast(reciprocal, x, [torch.zeros(2, 7)], weights)
    assert torch.equal(y, torch.ones_like(y))


# Dtypes.


@pytest.mark.parametrize("x_dtype", [torch.float32, LOW], ids=str)
@pytest.mark.parametrize("state_dtype", [torch.float32, LOW], ids=str)
@each_way
def test_autocast_takes_either_dtype_anywhere(way, x_dtype, state_dtype):
    options, inputs = OPTIONS[way](LARGE), draw(LSTM, LARGE, torch.float32)
    inputs = replace(inputs, x=inputs.x.to(x_dtype), state=[s.to(state_dtype) for s in inputs.state])
    got = run_and_differentiate(autocast, LSTM, inputs, **options)
    assert_all_close(got, authority(LSTM, inputs, **options), tolerance(LOW, LARGE.T))
    results = dict(got)
    assert {v.dtype for name, v in got if not name.startswith("dL/d")} == {LOW}
    assert results["dL/dx"].dtype == x_dtype
    assert results["dL/dc[0]"].dtype == state_dtype
    assert results["dL/dU.f"].dtype == torch.float32


@pytest.mark.parametrize("name", SETS)
def test_tensors_of_bfloat16_stay_so(name):
    with instruction_set(name):
        results = run_and_differentiate(engine.recurrence, LSTM, draw(LSTM, LARGE).to(LOW))
    assert {value.dtype for _, value in results} == {LOW}


@pytest.mark.parametrize("layers", [1, 2])
def test_both_directions(layers):
    torch.manual_seed(7)
    ours = nn.LSTM(20, 40, num_layers=layers, bidirectional=True)
    x, lengths = torch.randn(9, 13, 20), torch.arange(13) % 10
    want, _ = ours(x, lengths=lengths)
    with torch.autocast("cpu", LOW):
        got, _ = ours(x, lengths=lengths)
    assert got.dtype == LOW
    assert relative(got, want.double()) < 1.5 * OUTPUT


def test_both_precisions_keep_their_own_weights():
    torch.manual_seed(7)
    layer, x = nn.LSTM(20, 40), torch.randn(9, 13, 20)

    def both():
        with torch.no_grad(), torch.autocast("cpu", LOW):
            low = layer(x)[0]
        with torch.no_grad():
            return low, layer(x)[0]

    before, again = both(), both()
    assert all(map(torch.equal, before, again))
    assert relative(before[0], before[1].double()) < OUTPUT
    with torch.no_grad():
        layer.weight_hh_l0.mul_(-1)
    after = both()
    assert not torch.equal(after[0], before[0])
    assert relative(after[0], after[1].double()) < OUTPUT


@pytest.mark.parametrize("dtype", [torch.float32, LOW], ids=str)
def test_weights_of_another_sign_are_noticed(dtype):
    """A checksum of sums is blind to the highest bit, if an even number of values change it."""
    layer, x = nn.LSTM(20, 40).to(dtype), torch.randn(9, 13, 20).to(dtype)
    with torch.no_grad():
        before = layer(x)[0]
        layer.weight_hh_l0.neg_()
        assert not torch.equal(layer(x)[0], before)


def test_weights_of_bfloat16_that_change_are_noticed():
    layer, x = nn.LSTM(20, 40).bfloat16(), torch.randn(9, 13, 20).bfloat16()
    with torch.no_grad():
        before = layer(x)[0]
        layer.weight_hh_l0.data.mul_(-1)
        assert not torch.equal(layer(x)[0], before)


def test_second_derivatives_under_autocast():
    """By the reference loop, in float32."""
    inputs = draw(LSTM, ODD, torch.float32)

    def second(run):
        leaves = [t.clone().requires_grad_() for t in (inputs.x, *inputs.state, *inputs.weights)]
        (y,), _ = run(LSTM, leaves[0], leaves[1:3], leaves[3:])
        first = torch.autograd.grad(y.float().square().sum(), leaves, create_graph=True)
        return torch.autograd.grad(sum(g.square().sum() for g in first), leaves)

    for got, want in zip(second(autocast), second(engine.recurrence), strict=True):
        assert got.dtype == torch.float32
        assert relative(got, want.double()) < 0.05


# Instruction sets.


def test_sets_are_listed_the_best_first():
    assert SETS[-1] == "plain"
    assert "avx512bf16" not in SETS[1:]
    for name in SETS:
        with instruction_set(name):
            assert _native.isa() == name
            assert _native.rounds() == (name == "avx512bf16")


@pytest.mark.skipif("avx512bf16" not in SETS, reason="this machine has no avx512bf16")
@each_cell
def test_avx512_and_avx512bf16_are_equal_in_every_bit_of_float32(cell):
    inputs, options, results = draw(cell, LARGE, torch.float32), OPTIONS["all"](LARGE), []
    for name in ("avx512", "avx512bf16"):
        with instruction_set(name):
            results.append(run_and_differentiate(engine.recurrence, cell, inputs, **options))
    for (name, one), (_, other) in zip(*results, strict=True):
        assert torch.equal(one.view(torch.int32), other.view(torch.int32)), name


@pytest.mark.parametrize("name", SETS)
def test_rounding_is_to_the_nearest_even_on_every_set(name):
    """Through a cell that hands on what it finds; ties, the largest floats, infinities, NaN."""

    @cell(carry="h c")
    def hand_on(x, h_prev, c_prev, W):
        c = W @ x
        return c_prev, c

    random = torch.randint(-(2**31), 2**31, (50_000,), generator=generator("floats")).to(torch.int32)
    ties = (torch.arange(0, 2**16, 3) * 2**16 + 2**15).to(torch.int32)
    values = torch.cat([random, ties]).view(torch.float32)
    values = values[~values.isfinite() | (values.abs() >= torch.finfo(torch.float32).tiny) | (values == 0)]
    state, weight = [torch.zeros(1, len(values)), values[None]], torch.zeros(len(values), 1)
    with instruction_set(name):
        _, (got, _) = autocast(hand_on, torch.zeros(1, 1, 1), state, [weight])
    want = values.bfloat16()
    assert torch.equal(got[0].isnan(), want.isnan())
    assert torch.equal(got[0].nan_to_num(nan=0.0), want.nan_to_num(nan=0.0))


@pytest.mark.skipif(SETS == ["plain"], reason="this machine has one set only")
def test_packed_weights_of_another_precision_are_refused():
    program = calls.forward_program(LSTM, False, False)
    inputs = draw(LSTM, ODD, torch.float32)
    sizes = calls.Call(native.Layer(LSTM, inputs.x, inputs.state, inputs.weights), native.TENSORS).sizes
    with instruction_set("plain"), pytest.raises(ValueError, match="precision"):
        _native.pack(_native.Plan(program, sizes, (1, 1), "bfloat16"), inputs.weights)
