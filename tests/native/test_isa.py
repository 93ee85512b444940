"""Each instruction set forced: the same agreement, and functions within their bounds over every float."""

import os

import numpy as np
import pytest
import torch
from native_kit import child, run_inputs, same, succeeded
from table import (
    LARGE,
    NATIVE,
    ODD,
    assert_all_close,
    authority,
    draw,
    ragged,
    restarts,
    run_and_differentiate,
    tolerance,
)

from gatewise.algebra import cell, exp, log, maximum, minimum, relu, sigmoid, softplus, tanh
from gatewise.engine import native
from gatewise.native.library import _native

SETS = ("plain", "avx2", "avx512", "avx512bf16")
BEST = _native.isa()


def here(name):
    try:
        return _native.use(name) == name
    except ValueError:
        return False
    finally:
        _native.use("")


HERE = [name for name in SETS if here(name)]


@pytest.fixture(params=SETS)
def isa(request):
    if request.param not in HERE:
        pytest.skip(f"this machine has no {request.param}")
    _native.use(request.param)
    yield request.param
    _native.use("")


@pytest.mark.parametrize("size", [ODD, LARGE], ids=str)
@pytest.mark.parametrize("cell", NATIVE, ids=lambda c: c.name)
def test_each_set_agrees_with_the_reference(cell, size, isa):
    assert _native.isa() == isa
    options = {"lengths": ragged(size), "resets": restarts(size), "history": True}
    inputs = draw(cell, size, torch.float32)
    got = run_and_differentiate(native.recurrence, cell, inputs, **options)
    assert_all_close(got, authority(cell, inputs, **options), tolerance(torch.float32, size.T))


@pytest.mark.parametrize("rows", [1, 5, 17])
@pytest.mark.parametrize("cell", NATIVE, ids=lambda c: c.name)
def test_avx2_and_avx512_are_equal_in_every_bit(cell, rows):
    if not {"avx2", "avx512"} <= set(HERE):
        pytest.skip("this machine has not got both")
    inputs, results = draw(cell, LARGE, torch.float32), []
    inputs = type(inputs)(inputs.x[:, :rows].clone(), [s[:rows] for s in inputs.state], inputs.weights, inputs.size)
    for name in ("avx2", "avx512"):
        _native.use(name)
        results.append(run_inputs(cell, inputs))
    _native.use("")
    same(*results)


def test_the_best_one_is_used():
    if "GATEWISE_ISA" not in os.environ:
        assert _native.use("") == BEST == HERE[-1]
    with pytest.raises(ValueError, match="sse9"):
        _native.use("sse9")
    assert _native.isa() == BEST


def test_the_environment_chooses():
    script = "from gatewise.native.library import _native; print(_native.isa())"
    assert succeeded(child(script, GATEWISE_ISA=HERE[0])).strip() == HERE[0]


def test_an_unknown_name_in_the_environment_is_one_line():
    script = """
from gatewise.errors import GatewiseError
try:
    import gatewise.engine
except GatewiseError as error:
    print(error)
"""
    message = succeeded(child(script, GATEWISE_ISA="sse9")).strip()
    assert len(message.splitlines()) == 1
    assert "GATEWISE_ISA" in message
    assert "sse9" in message
    for name in HERE:
        assert name in message
    for wrong_advice in ("make native", "install"):  # the engine is there; only the name is wrong
        assert wrong_advice not in message


# One function of x, as a cell: x (1, N, 1), times a weight of one row of ones, so that every float arrives as it is.


def one_function(function, name):
    def equations(x, h_prev, W):
        h = function(W @ x)
        return h

    equations.__name__ = name
    return cell(carry="h")(equations)


def two_values(function, name):
    def equations(x, h_prev, W):
        h = function(W @ x, h_prev)
        return h

    equations.__name__ = name
    return cell(carry="h")(equations)


def through(cell, x, h=None, units=17):
    h = torch.zeros(len(x), units) if h is None else h[:, None].expand(-1, units)
    (y,), _ = native.recurrence(cell, x[None, :, None], [h], [torch.ones(units, 1)])
    assert (y == y[..., :1]).logical_or(y.isnan()).all()  # all lanes and blocks alike
    return y[0, :, 0]


def some_floats():
    """A few thousand of every exponent and sign, dense around where functions bend, and the ends."""
    bits = torch.randint(-(2**31), 2**31, (200_000,), generator=torch.Generator().manual_seed(5)).to(torch.int32)
    floats = bits.view(torch.float32)
    tiny = np.finfo(np.float32)
    ends = [0.0, -0.0, tiny.max, tiny.min, tiny.tiny, -tiny.tiny, tiny.smallest_subnormal, -tiny.smallest_subnormal]
    near = [torch.linspace(-reach, reach, 100_001) for reach in (1.0, 20.0, 120.0)]
    near.append(1 + torch.linspace(-0.5, 0.5, 50_001) ** 3)  # around 1, where log is small
    return torch.cat([floats[floats.isfinite()], torch.tensor(ends, dtype=torch.float32), *near])


FLOATS = some_floats()
NORMAL = float(np.finfo(np.float32).tiny)
DENORMAL = float(np.finfo(np.float32).smallest_subnormal)


def exact_sigmoid(v):
    return torch.where(v < 0, v.exp() / (1 + v.exp()), 1 / (1 + (-v).exp()))


def exact_softplus(v):
    return torch.maximum(v, torch.zeros_like(v)) + (-v.abs()).exp().log1p()


# Function, in float64, largest relative error, and what may be added to that where results are below normal floats.
BOUNDS = {
    "sigmoid": (sigmoid, exact_sigmoid, 3e-7, NORMAL),
    "tanh": (tanh, torch.tanh, 3e-7, DENORMAL),
    "softplus": (softplus, exact_softplus, 3e-7, 2 * DENORMAL),
    "exp": (exp, torch.exp, 1.5e-7, 2 * DENORMAL),
    "log": (log, torch.log, 2.5e-7, 0.0),
    "relu": (relu, torch.relu, 0.0, 0.0),
}
INF, NAN = float("inf"), float("nan")
LIMITS = {  # at inf and -inf
    "sigmoid": (1.0, 0.0),
    "tanh": (1.0, -1.0),
    "softplus": (INF, 0.0),
    "exp": (INF, 0.0),
    "log": (INF, NAN),
    "relu": (INF, 0.0),
}


@pytest.mark.parametrize("name", BOUNDS)
def test_functions_are_within_their_bounds(name, isa):
    function, exact, relative, absolute = BOUNDS[name]
    floats = FLOATS.abs() if name == "log" else FLOATS
    got = through(one_function(function, f"only_{name}"), floats).double()
    want = exact(floats.double())
    want = torch.where(want.abs() > torch.finfo(torch.float32).max, want.sign() * INF, want)
    special = ~want.isfinite()
    assert torch.equal(got[special], want[special])
    # A result within its error of the largest float may be infinite.
    edge = got.isinf() & (want > torch.finfo(torch.float32).max * (1 - relative))
    excess = (got - want).abs() - absolute - relative * want.abs()
    excess = torch.where(special | edge, torch.zeros_like(excess), excess)
    worst = excess.nan_to_num(nan=INF).argmax()
    assert not excess.isnan().any()
    assert excess[worst] <= 0, f"{name}({floats[worst]!r}) = {got[worst]!r}, not {want[worst]!r}"


@pytest.mark.parametrize("name", BOUNDS)
def test_functions_of_what_is_no_number(name, isa):
    got = through(one_function(BOUNDS[name][0], f"only_{name}"), torch.tensor([INF, -INF, NAN]))
    assert torch.equal(got.nan_to_num(nan=7.0), torch.tensor([*LIMITS[name], NAN]).nan_to_num(nan=7.0))


def test_log_of_zero_and_below(isa):
    got = through(one_function(log, "only_log"), torch.tensor([0.0, -0.0, -1.0, -DENORMAL]))
    assert torch.equal(got[:2], torch.tensor([-INF, -INF]))
    assert got[2:].isnan().all()


def test_bounded_functions_stay_within_their_bounds(isa):
    assert through(one_function(tanh, "only_tanh"), FLOATS).abs().max() <= 1
    got = through(one_function(sigmoid, "only_sigmoid"), FLOATS)
    assert got.min() >= 0
    assert got.max() <= 1
    odd = one_function(tanh, "only_tanh")
    assert torch.equal(through(odd, -FLOATS), -through(odd, FLOATS))


PAIRS = {
    "add": (lambda a, b: a + b, torch.add),
    "sub": (lambda a, b: a - b, torch.sub),
    "mul": (lambda a, b: a * b, torch.mul),
    "div": (lambda a, b: a / b, torch.div),
    "maximum": (maximum, torch.maximum),
    "minimum": (minimum, torch.minimum),
}


@pytest.mark.parametrize("name", PAIRS)
def test_operations_of_two_values_are_rounded_once(name, isa):
    function, exact = PAIRS[name]
    ends = torch.tensor([INF, -INF, NAN, 0.0, 1.0, NORMAL, DENORMAL])
    a = torch.cat([FLOATS[:100_000], ends.repeat_interleave(7)])
    b = torch.cat([FLOATS[:100_000].flip(0), ends.repeat(7)])
    got, want = through(two_values(function, f"only_{name}"), a, b, units=2), exact(a, b)
    differ = ~((got == want) | (got.isnan() & want.isnan()))
    assert not differ.any(), f"{a[differ][0]!r}, {b[differ][0]!r}: {got[differ][0]!r}, not {want[differ][0]!r}"
