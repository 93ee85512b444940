"""What networks compute with, on numpy's arrays: as `nn/ops.py` on torch's tensors, name by name.

A network is said once, as a function of its parts (`forward`, in the tasks). Arrays and tensors share indexing,
arithmetic, `@`, `.sum(axis)`, `.mean(axis)`, `.reshape` and `.swapaxes`; the rest is here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from .products import by_row as _by_row

Array = np.ndarray

arcsinh, exp, log, tanh = np.arcsinh, np.exp, np.log, np.tanh
broadcast_to, full_like, logaddexp = np.broadcast_to, np.full_like, np.logaddexp
maximum, moveaxis = np.maximum, np.moveaxis
permute, repeat, stack = np.transpose, np.repeat, np.stack


def linear(x: Array, weight: Array, bias: Array | None = None) -> Array:
    """x (..., D) times the transposed weight (E, D), plus the bias (E,)."""
    y = x.reshape(-1, x.shape[-1]) @ weight.T  # one product, where numpy would take one for each matrix of a stack
    if bias is not None:
        y += bias
    return y.reshape(*x.shape[:-1], len(weight))


def linear_by_row(x: Array, weight: Array) -> Array:
    """The same without a bias, of which a row has the same bits whatever rows are beside it."""
    return _by_row(x, weight.T)


def concatenate(arrays: Sequence[Array], axis: int = -1) -> Array:
    """Side by side along an axis."""
    return arrays[0] if len(arrays) == 1 else np.concatenate(arrays, axis)


def zeros(shape: Sequence[int], like: Array) -> Array:
    """Zeros of the kind of `like`."""
    return np.zeros(shape, like.dtype)


def constant(values: Sequence[float] | Array, like: Array) -> Array:
    """Numbers of the kind of `like`."""
    return np.asarray(values, like.dtype)


def integers(values: Sequence[int] | Array, like: Array) -> Array:
    """Whole numbers, where `like` is."""
    return np.asarray(values, np.int64)


def arange(count: int, like: Array) -> Array:
    """(count,) whole numbers from 0, where `like` is."""
    return np.arange(count)


def as_float(x: Array) -> Array:
    """Numbers as float32."""
    return x.astype(np.float32, copy=False)


def steps_inside(y: Array, lengths: Array) -> Array:
    """(T, B) whether a step of y (T, B, ...) is one of its row's first `lengths`."""
    inside: Array = np.arange(len(y))[:, None] < lengths
    return inside


def flipped(x: Array) -> Array:
    """The steps of x (T, ...) from the last one to the first."""
    return x[::-1]


def largest(x: Array, axis: int) -> Array:
    """The largest value along an axis."""
    return x.max(axis)


def where(condition: Array, chosen: Array, other: Array | float) -> Array:
    """The one or the other, in the dtype of the former."""
    return np.where(condition, chosen, np.asarray(other, chosen.dtype))


def clip(x: Array, least: float, most: float) -> Array:
    """Each value, or the bound that it is beyond."""
    return np.clip(x, least, most)


def relu(x: Array) -> Array:
    """Each value, or 0 where it is below."""
    return np.maximum(x, np.zeros((), x.dtype))


def sigmoid(x: Array) -> Array:
    """1 / (1 + exp(-x)), by tanh, as exp(-x) overflows where x is far below 0."""
    return 0.5 * (1 + np.tanh(0.5 * x))


def softplus(x: Array) -> Array:
    """log(1 + exp(x))."""
    return np.logaddexp(x, np.zeros((), x.dtype))


def softmax(x: Array, axis: int) -> Array:
    """Shares that sum to 1 along an axis."""
    shares = np.exp(x - x.max(axis, keepdims=True))
    shares /= shares.sum(axis, keepdims=True)
    return shares


def logsumexp(x: Array, axis: int) -> Array:
    """Logarithm of the sum of exp(x) along an axis."""
    most = x.max(axis, keepdims=True)
    return np.log(np.exp(x - most).sum(axis)) + most.squeeze(axis)


def log_softmax(x: Array, axis: int) -> Array:
    """Logarithms of `softmax`."""
    shifted = x - x.max(axis, keepdims=True)
    shifted -= np.log(np.exp(shifted).sum(axis, keepdims=True))
    return shifted


def binary_cross_entropy(scores: Array, targets: Array) -> Array:
    """Nats of 0 or 1, each given the log-odds of 1."""
    return softplus(scores) - scores * targets


def contiguous(x: Array) -> Array:
    """In memory as its axes go, where that makes a difference."""
    return x


def log_sigmoid(x: Array) -> Array:
    """Logarithm of `sigmoid`."""
    return -softplus(-x)


def rows_at(x: Array, places: Array) -> Array:
    """(..., D): the rows of x (N, D) at these places."""
    taken: Array = x[places]
    return taken


def summed_at(values: Array, places: Array, width: int) -> Array:
    """(N, width): in each row the sum of the values (N, S) that belong to each place (N, S)."""
    found = np.zeros((len(values), width), values.dtype)
    np.add.at(found, (np.arange(len(values))[:, None], places), values)
    return found


POINTWISE: dict[str, Callable[..., Array]] = {  # operations of cells that act number by number
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": np.divide,
    "neg": np.negative,
    "sigmoid": sigmoid,
    "tanh": np.tanh,
    "relu": lambda v: np.maximum(v, 0),
    "step": lambda v: (v > 0).astype(v.dtype),
    "exp": np.exp,
    "log": np.log,
    "sqrt": np.sqrt,
    "softplus": softplus,
    "maximum": np.maximum,
    "minimum": np.minimum,
}


def pointwise(op: str, *args: Array | float) -> Array:
    """One of `POINTWISE`."""
    return POINTWISE[op](*args)
