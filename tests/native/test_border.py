"""Wrong tensors given to the Python function over the C++ module: refused in words, never a crash or a wrong result.

Each call runs in a forked child, for what is refused too late takes the process with it.
"""

import warnings
from dataclasses import replace

import pytest
import torch
from native_kit import apart
from table import Size, cells, draw, ragged, reference
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.autograd import forward_ad

from gatewise import engine
from gatewise.engine import native

LSTM = cells.find("lstm")
SIZE = Size(T=5, B=4, D=20, H=40, P=9)


def with_(**changes):
    """Arguments of `native.recurrence`, these changed: functions of the right ones, or values."""
    inputs = draw(LSTM, SIZE, torch.float32)
    arguments = {"x": inputs.x, "state": inputs.state, "weights": inputs.weights}
    arguments |= {"lengths": ragged(SIZE), "resets": torch.zeros(5, 4, dtype=torch.bool)}
    for name, change in changes.items():
        arguments[name] = change(arguments[name]) if callable(change) else change
    every, last = native.recurrence(LSTM, **arguments)
    return every, last


def of(place, change):
    return lambda tensors: [change(t) if i == place else t for i, t in enumerate(tensors)]


def wider(t):
    return torch.cat([t, t], -1)


def fewer(t):
    return t[:-1]


SHAPE, TYPE = "ShapeError", "OptionError"  # or its child, OptionTypeError
WRONG_TENSORS = {
    "x of float64": ({"x": lambda t: t.double()}, TYPE),
    "x of whole numbers": ({"x": lambda t: t.long()}, TYPE),
    "x of bfloat16": ({"x": lambda t: t.bfloat16()}, TYPE),
    "x on no device": ({"x": lambda t: t.to("meta")}, TYPE),
    "x is a list": ({"x": lambda t: t.tolist()}, TYPE),
    "x of two dimensions": ({"x": lambda t: t[0]}, SHAPE),
    "x with too many features": ({"x": wider}, SHAPE),
    "x with too few features": ({"x": lambda t: t[..., 1:]}, SHAPE),
    "x with more rows": ({"x": lambda t: torch.cat([t, t], 1)}, SHAPE),
    "state of float64": ({"state": of(0, torch.Tensor.double)}, TYPE),
    "state on no device": ({"state": of(1, lambda t: t.to("meta"))}, TYPE),
    "h of fewer rows": ({"state": of(0, fewer)}, SHAPE),
    "c of fewer rows": ({"state": of(1, fewer)}, SHAPE),
    "h too wide": ({"state": of(0, wider)}, SHAPE),
    "c too wide": ({"state": of(1, wider)}, SHAPE),
    "c too narrow": ({"state": of(1, lambda t: t[:, 1:])}, SHAPE),
    "h of three dimensions": ({"state": of(0, lambda t: t[None])}, SHAPE),
    "one state": ({"state": lambda s: s[:1]}, SHAPE),
    "three states": ({"state": lambda s: [*s, s[0]]}, SHAPE),
    "W of float64": ({"weights": of(0, torch.Tensor.double)}, TYPE),
    "U on no device": ({"weights": of(1, lambda t: t.to("meta"))}, TYPE),
    "W with a row too few": ({"weights": of(0, fewer)}, SHAPE),
    "U with a gate too few": ({"weights": of(1, lambda t: t[:120])}, SHAPE),
    "W transposed": ({"weights": of(0, torch.Tensor.t)}, SHAPE),
    "U too wide": ({"weights": of(1, wider)}, SHAPE),
    "U too narrow": ({"weights": of(1, lambda t: t[:, 1:])}, SHAPE),
    "b too short": ({"weights": of(2, fewer)}, SHAPE),
    "b as a matrix": ({"weights": of(2, lambda t: t[:, None])}, SHAPE),
    "b a number": ({"weights": of(2, lambda t: t[0])}, SHAPE),
    "one weight missing": ({"weights": lambda w: w[:2]}, SHAPE),
    "one weight more": ({"weights": lambda w: [*w, w[2]]}, SHAPE),
    "too few lengths": ({"lengths": fewer}, SHAPE),
    "too many lengths": ({"lengths": wider}, SHAPE),
    "lengths as a column": ({"lengths": lambda t: t[:, None]}, SHAPE),
    "a length below zero": ({"lengths": lambda t: t - 6}, SHAPE),
    "a length beyond the end": ({"lengths": lambda t: t + 6}, SHAPE),
    "a length one step too long": ({"lengths": lambda t: t + 1}, SHAPE),  # the longest has all steps
    "a length one step too short": ({"lengths": lambda t: t - 1}, SHAPE),
    "lengths of booleans": ({"lengths": lambda t: t > 0}, SHAPE),
    "lengths with fractions": ({"lengths": lambda t: t * 0.3}, SHAPE),
    "a length without end": ({"lengths": lambda t: t / 0.0}, SHAPE),
    "complex lengths": ({"lengths": lambda t: t * 1j}, SHAPE),
    "too few resets": ({"resets": fewer}, SHAPE),
    "resets of another batch": ({"resets": lambda t: t[:, 1:]}, SHAPE),
    "resets batch first": ({"resets": torch.Tensor.t}, SHAPE),
    "x that is sparse": ({"x": lambda t: t.to_sparse()}, TYPE),
}


@pytest.mark.parametrize("name", WRONG_TENSORS)
def test_wrong_tensors_are_refused_with_an_error_of_ours(name):
    changes, error = WRONG_TENSORS[name]
    kind, message = apart(lambda: with_(**changes))
    assert "GatewiseError" in kind, (kind, message[:300])
    assert error in kind
    assert "\n" not in message


def test_those_tensors_are_right_without_their_mistake():
    kind, message = apart(lambda: with_(lengths=lambda t: t.int())[0][0].isfinite().all().item())
    assert (kind, message) == ("returned", "True")


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int64, torch.float32], ids=str)
def test_resets_of_another_type_are_refused_or_mean_the_same(dtype):
    def call(dtype):
        resets = torch.arange(20).view(5, 4) % 3 == 1
        return with_(resets=resets.to(dtype))[0][0].tolist()

    kind, found = apart(lambda: call(dtype))
    assert "GatewiseError" in kind or found == apart(lambda: call(torch.bool))[1]


# Tensors that are float32 on the CPU, but not plain memory.


def fits_or_agrees(change, tolerance=1e-5):
    """Right by whichever backend takes it."""
    inputs = change(draw(LSTM, SIZE, torch.float32))
    (y,), _ = engine.recurrence(LSTM, inputs.x, inputs.state, inputs.weights)
    wide = inputs.to(torch.float64)
    (want, *_), _ = reference.recurrence(LSTM, wide.x, wide.state, wide.weights)
    return bool((y - want).abs().max() < tolerance)


def lazily_negative(t):
    """Minus t, as an imaginary part of a conjugate: PyTorch keeps the sign apart from the memory."""
    found = torch.view_as_complex(torch.stack([t, t], -1)).conj().imag
    assert found.is_neg()
    return found


@pytest.mark.parametrize("what", ["x", "state", "weights"])
def test_numbers_whose_sign_is_kept_apart(what):
    def change(inputs):
        value = getattr(inputs, what)
        value = lazily_negative(value) if what == "x" else [lazily_negative(t) for t in value]
        return replace(inputs, **{what: value})

    assert apart(lambda: fits_or_agrees(change)) == ("returned", "True")


def test_weights_made_in_inference_mode():
    def call():
        with torch.inference_mode():
            return fits_or_agrees(lambda i: replace(i, weights=[w * 1.0 for w in i.weights]))

    assert apart(call) == ("returned", "True")


def test_tensors_without_memory():
    """As tracing tools use them: they have a shape, a dtype and a device, and nothing else."""

    def call():
        inputs = draw(LSTM, SIZE, torch.float32)
        with FakeTensorMode() as mode:
            fake = mode.from_tensor
            state, weights = [fake(s) for s in inputs.state], [fake(w) for w in inputs.weights]
            return tuple(engine.recurrence(LSTM, fake(inputs.x), state, weights)[0][0].shape)

    assert apart(call) == ("returned", "(5, 4, 40)")


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_forward_derivatives_are_not_lost(dtype):
    def call():
        inputs = draw(LSTM, SIZE, dtype)
        with forward_ad.dual_level():
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # PyTorch's own, when it first loads its decompositions
                x = forward_ad.make_dual(inputs.x, torch.ones_like(inputs.x))
            y = engine.recurrence(LSTM, x, inputs.state, inputs.weights)[0][0]
            return forward_ad.unpack_dual(y).tangent is not None

    kind, found = apart(call)
    assert found == "True" or "NotImplementedError" in kind, (kind, found)  # PyTorch's own kernels may refuse
