"""What networks compute with, on torch's tensors: as `runtime/ops.py` on numpy's arrays, name by name."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.functional import linear, softplus
from torch.nn.functional import linear as linear_by_row
from torch.nn.functional import logsigmoid as log_sigmoid

from ..engine.reference import OPERATIONS

__all__ = ["linear", "linear_by_row", "log_sigmoid", "softplus"]

arcsinh, exp, log, tanh, sigmoid = torch.asinh, torch.exp, torch.log, torch.tanh, torch.sigmoid
broadcast_to, full_like, logaddexp = torch.broadcast_to, torch.full_like, torch.logaddexp
maximum, moveaxis = torch.maximum, torch.moveaxis
permute, repeat = torch.permute, torch.repeat_interleave
clip, relu, softmax, stack, where = torch.clip, torch.relu, torch.softmax, torch.stack, torch.where
log_softmax, logsumexp = torch.log_softmax, torch.logsumexp


def concatenate(arrays: Sequence[Tensor], axis: int = -1) -> Tensor:
    """Side by side along an axis."""
    return torch.cat(list(arrays), axis)


def zeros(shape: Sequence[int], like: Tensor) -> Tensor:
    """Zeros of the kind of `like`."""
    return like.new_zeros(shape)


def constant(values: Sequence[float], like: Tensor) -> Tensor:
    """Numbers of the kind of `like`."""
    return torch.as_tensor(values, dtype=like.dtype, device=like.device)


def integers(values: Sequence[int], like: Tensor) -> Tensor:
    """Whole numbers, where `like` is."""
    return torch.as_tensor(values, dtype=torch.int64, device=like.device)


def arange(count: int, like: Tensor) -> Tensor:
    """(count,) whole numbers from 0, where `like` is."""
    return torch.arange(count, device=like.device)


def as_float(x: Tensor) -> Tensor:
    """Numbers as float32, or as float64 where they are that."""
    return x if x.dtype == torch.float64 else x.float()


def steps_inside(y: Tensor, lengths: Tensor) -> Tensor:
    """(T, B) whether a step of y (T, B, ...) is one of its row's first `lengths`."""
    return torch.arange(len(y), device=y.device)[:, None] < lengths


def flipped(x: Tensor) -> Tensor:
    """The steps of x (T, ...) from the last one to the first."""
    return x.flip(0)


def pointwise(op: str, *args: Tensor | float) -> Tensor:
    """An operation of cells that acts number by number; see `engine.reference.OPERATIONS`."""
    return OPERATIONS[op](*(OPERATIONS["constant"](arg) if isinstance(arg, float) else arg for arg in args))


def largest(x: Tensor, axis: int) -> Tensor:
    """The largest value along an axis."""
    return x.amax(axis)


def binary_cross_entropy(scores: Tensor, targets: Tensor) -> Tensor:
    """Nats of 0 or 1, each given the log-odds of 1."""
    return functional.binary_cross_entropy_with_logits(scores, targets, reduction="none")


def contiguous(x: Tensor) -> Tensor:
    """In memory as its axes go, where that makes a difference."""
    return x.contiguous()


def rows_at(x: Tensor, places: Tensor) -> Tensor:
    """(..., D): the rows of x (N, D) at these places. Indexing would sum the gradients of a row that is taken several
    times in the order in which threads come to them, and so to other bits each time."""
    return x.index_select(0, places.flatten()).unflatten(0, places.shape)


def summed_at(values: Tensor, places: Tensor, width: int) -> Tensor:
    """(N, width): in each row the sum of the values (N, S) that belong to each place (N, S)."""
    return values.new_zeros(len(values), width).scatter_add(1, places, values)
