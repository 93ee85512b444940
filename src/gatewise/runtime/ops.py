"""What networks compute with, on numpy's arrays: as `nn/ops.py` on torch's tensors, name by name.

A network is said once, as a function of its parts (`forward`, in the tasks). Arrays and tensors share indexing,
arithmetic, `@`, `.sum(axis)`, `.mean(axis)`, `.reshape` and `.swapaxes`; the rest is here.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

Array = np.ndarray

arcsinh, exp, log, tanh = np.arcsinh, np.exp, np.log, np.tanh
broadcast_to, maximum, moveaxis, repeat, stack = np.broadcast_to, np.maximum, np.moveaxis, np.repeat, np.stack


def linear(x: Array, weight: Array, bias: Array | None = None) -> Array:
    """x (..., D) times the transposed weight (E, D), plus the bias (E,)."""
    y = x.reshape(-1, x.shape[-1]) @ weight.T  # one product, where numpy would take one for each matrix of a stack
    if bias is not None:
        y += bias
    return y.reshape(*x.shape[:-1], len(weight))


def concatenate(arrays: Sequence[Array], axis: int = -1) -> Array:
    """Side by side along an axis."""
    return arrays[0] if len(arrays) == 1 else np.concatenate(arrays, axis)


def zeros(shape: Sequence[int], like: Array) -> Array:
    """Zeros of the kind of `like`."""
    return np.zeros(shape, like.dtype)


def arange(count: int, like: Array) -> Array:
    """(count,) whole numbers from 0, where `like` is."""
    return np.arange(count)


def as_float(x: Array) -> Array:
    """Whole numbers as float32."""
    return x.astype(np.float32)


def steps_inside(y: Array, lengths: Array) -> Array:
    """(T, B) whether a step of y (T, B, ...) is one of its row's first `lengths`."""
    inside: Array = np.arange(len(y))[:, None] < lengths
    return inside


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
