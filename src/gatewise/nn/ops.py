"""What networks compute with, on torch's tensors: as `runtime/ops.py` on numpy's arrays, name by name."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import linear, softplus

__all__ = ["linear", "softplus"]

arcsinh, exp, log, tanh, sigmoid = torch.asinh, torch.exp, torch.log, torch.tanh, torch.sigmoid
broadcast_to, maximum, moveaxis, repeat = torch.broadcast_to, torch.maximum, torch.moveaxis, torch.repeat_interleave
clip, relu, softmax, stack, where = torch.clip, torch.relu, torch.softmax, torch.stack, torch.where


def concatenate(arrays: Sequence[Tensor], axis: int = -1) -> Tensor:
    """Side by side along an axis."""
    return torch.cat(list(arrays), axis)


def zeros(shape: Sequence[int], like: Tensor) -> Tensor:
    """Zeros of the kind of `like`."""
    return like.new_zeros(shape)


def arange(count: int, like: Tensor) -> Tensor:
    """(count,) whole numbers from 0, where `like` is."""
    return torch.arange(count, device=like.device)


def as_float(x: Tensor) -> Tensor:
    """Whole numbers as float32."""
    return x.float()


def steps_inside(y: Tensor, lengths: Tensor) -> Tensor:
    """(T, B) whether a step of y (T, B, ...) is one of its row's first `lengths`."""
    return torch.arange(len(y), device=y.device)[:, None] < lengths


def largest(x: Tensor, axis: int) -> Tensor:
    """The largest value along an axis."""
    return x.amax(axis)
