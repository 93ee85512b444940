"""Products in int8: the whole numbers that they are defined by, and what they cost in exactness."""

import numpy as np
import pytest
import torch
from table import NATIVE, Size, draw

from gatewise import cells
from gatewise.errors import OptionError
from gatewise.native import arrays, calls, lowering
from gatewise.native.library import _native
from gatewise.native.streams import Product, Streams

FUSED = [name for name in _native.instruction_sets() if name != "plain"]


@pytest.fixture(params=_native.instruction_sets())
def isa(request):
    _native.use(request.param)
    yield request.param
    _native.use("")


def quantised(values):
    """Whole numbers, and a scale per row, in float32 as the engine takes them."""
    size = np.abs(values).max(-1, keepdims=True)
    with np.errstate(divide="ignore"):
        each = np.where(size > np.float32(1e-36), np.float32(127) / size, 0)
    return np.rint(values * each.astype(np.float32)).astype(np.int64), size[..., 0] / np.float32(127)


def expected(weight, bias, x):
    """The same in whole numbers, which are exact, and in float64."""
    (w, by), (v, scale) = quantised(weight), quantised(x)
    return (v @ w.T).astype(np.float64) * by * scale[:, None] + bias


@pytest.mark.parametrize("rows", [1, 2, 3, 6, 7, 13, 40])
@pytest.mark.parametrize(("inputs", "outputs"), [(1, 1), (3, 5), (16, 16), (17, 33), (66, 70), (300, 130)])
def test_a_product_is_that_of_whole_numbers(inputs, outputs, rows, isa):
    rng = np.random.default_rng(inputs)
    weight, x = (rng.standard_normal((n, inputs)).astype(np.float32) for n in (outputs, rows))
    bias = rng.standard_normal(outputs).astype(np.float32)
    got, want = Product(weight, bias, "int8")(x), expected(weight, bias, x)
    largest = np.abs(want - bias).max() + np.abs(bias).max()
    np.testing.assert_allclose(got, want, rtol=0, atol=3e-7 * largest)
    exact = x.astype(np.float64) @ weight.T.astype(np.float64) + bias
    assert np.abs(got - exact).max() < 0.03 * inputs**0.5 * np.abs(x).max() * np.abs(weight).max()


def test_the_same_bits_with_every_instruction_set_that_fuses():
    rng = np.random.default_rng(0)
    weight, x = (rng.standard_normal((n, 70)).astype(np.float32) for n in (50, 9))
    found = []
    for name in FUSED:
        _native.use(name)
        found.append(Product(weight, np.ones(50, np.float32), "int8")(x))
    _native.use("")
    for one in found:
        assert one.tobytes() == found[0].tobytes()


def test_a_row_that_is_no_number_spoils_itself_alone(isa):
    rng = np.random.default_rng(0)
    weight, x = (rng.standard_normal((n, 21)).astype(np.float32) for n in (19, 8))
    bias = rng.standard_normal(19).astype(np.float32)
    product = Product(weight, bias, "int8")
    want = product(x)
    x[2, 20], x[5, 0], x[6, 3] = np.nan, np.inf, -np.inf
    x[7] = 0
    got = product(x)
    for row in (0, 1, 3, 4):
        assert got[row].tobytes() == want[row].tobytes()
    assert np.isnan(got[[2, 5, 6]]).all()
    assert got[7].tobytes() == bias.tobytes()


def test_weights_that_are_no_numbers_spoil_their_unit_alone(isa):
    rng = np.random.default_rng(0)
    weight, x = (rng.standard_normal((n, 21)).astype(np.float32) for n in (19, 4))
    bias = rng.standard_normal(19).astype(np.float32)
    want = Product(weight, bias, "int8")(x)
    weight[3, 20], weight[17, 0] = np.nan, np.inf
    weight[5] = 0
    got = Product(weight, bias, "int8")(x)
    assert np.isnan(got[:, [3, 17]]).all()
    assert (got[:, 5] == bias[5]).all()
    others = [i for i in range(19) if i not in (3, 5, 17)]
    assert got[:, others].tobytes() == want[:, others].tobytes()


def test_weights_that_were_quantised_once_stay_as_they_are():
    """So a file may hold the whole numbers and scales."""
    rng = np.random.default_rng(0)
    weight, x = (rng.standard_normal((n, 64)).astype(np.float32) for n in (48, 5))
    whole, scale = quantised(weight)
    kept = (whole * scale[:, None].astype(np.float32)).astype(np.float32)
    again, _ = quantised(kept)
    np.testing.assert_array_equal(again, whole)
    bias = np.zeros(48, np.float32)
    np.testing.assert_allclose(Product(kept, bias, "int8")(x), Product(weight, bias, "int8")(x), rtol=0, atol=1e-5)


@pytest.mark.parametrize("cell", NATIVE, ids=lambda cell: cell.name)
def test_a_step_of_each_cell_is_near_the_exact_one(cell):
    inputs = draw(cell, Size(T=1, B=7, D=50, H=48, P=20), torch.float32)
    stack = [(cell, [w.numpy() for w in inputs.weights])]
    x, state = inputs.x[0].numpy(), [[s.numpy() for s in inputs.state]]
    exact, near = (Streams(stack, precision).step(x, state) for precision in ("float32", "int8"))
    for one, other in zip(exact[0], near[0], strict=True):
        assert 0 < np.abs(one - other).max() < 0.06 * max(1.0, np.abs(one).max()) or np.array_equal(one, other)


@pytest.mark.parametrize("rows", [1, 5, 14])
@pytest.mark.parametrize("cell", NATIVE, ids=lambda cell: cell.name)
def test_whole_sequences_have_the_bits_of_streams(cell, rows):
    """Also where products of x are taken in advance, as with few rows."""
    inputs = draw(cell, Size(T=7, B=rows, D=50, H=48, P=20), torch.float32)
    x, state, weights = (
        inputs.x.numpy(),
        [np.zeros_like(s.numpy()) for s in inputs.state],
        [w.numpy() for w in inputs.weights],
    )
    [y], last = arrays.recurrence(cell, x, state, weights, precision="int8")
    streams = Streams([(cell, weights)], "int8")
    ids = [streams.open() for _ in range(rows)]
    assert streams.push(ids, x).tobytes() == y.tobytes()
    for row, stream in enumerate(ids):
        for value, end in zip(streams.state(stream)[0], last, strict=True):
            assert value.tobytes() == end[row].tobytes()


@pytest.mark.parametrize("division", ["rows", "units"])
@pytest.mark.parametrize("name", ["lstm", "layer_norm_lstm", "slstm"])
def test_threads_lengths_and_directions(name, division, monkeypatch):
    cell = cells.find(name)
    inputs = draw(cell, Size(T=9, B=14, D=50, H=96, P=20), torch.float32)
    x, state, weights = inputs.x.numpy(), [s.numpy() for s in inputs.state], [w.numpy() for w in inputs.weights]
    lengths = np.arange(14) % 10

    def run(reverse, threads):
        found = arrays.recurrence(cell, x, state, weights, lengths, reverse, True, threads, "int8")
        return [value.tobytes() for values in found for value in values]

    want = [run(reverse, 1) for reverse in (False, True)]
    monkeypatch.setattr(calls, "_SHORT", 0)
    monkeypatch.setattr(calls, "_SHORT_STEP", 0)
    monkeypatch.setattr(calls, "_SMALL_WEIGHTS", {"rows": 1 << 60, "units": 0}[division])
    assert [run(reverse, 3) for reverse in (False, True)] == want


def test_both_precisions_of_the_same_weights_are_kept():
    inputs = draw(cells.find("gru"), Size(T=3, B=2, D=8, H=9, P=4), torch.float32)
    given = inputs.x.numpy(), [s.numpy() for s in inputs.state], [w.numpy() for w in inputs.weights]
    found = {p: arrays.recurrence(cells.find("gru"), *given, precision=p)[0][0] for p in ("float32", "int8")}
    assert not np.array_equal(found["float32"], found["int8"])
    for precision, y in found.items():
        assert arrays.recurrence(cells.find("gru"), *given, precision=precision)[0][0].tobytes() == y.tobytes()
    with pytest.raises(OptionError, match="precision must be 'float32' or 'int8', not 'int4'"):
        arrays.recurrence(cells.find("gru"), *given, precision="int4")


def test_the_backward_pass_has_none():
    program = _native.Program(*lowering.lower_backward(cells.find("lstm")))
    with pytest.raises(ValueError, match="the precision of a backward program"):
        _native.Plan(program, [20, 40, 0], (1, 1), "int8")
    with pytest.raises(ValueError, match="a precision"):
        _native.Plan(program, [20, 40, 0], (1, 1), "float16")
