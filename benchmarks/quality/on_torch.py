"""A network of torch where a predictor expects one of numpy's arrays: each part computes on tensors, as in training."""

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from gatewise import nn as layers
from gatewise.decoding.viterbi import Chain
from gatewise.runtime.layers import as_carried, as_tuple


class OnTorch:
    """A module, or the functions of `nn.ops`, which take and give arrays.

    Args:
        part: The module, outside training.
    """

    def __init__(self, part: nn.Module | ModuleType):
        self._part = part

    def __getattr__(self, name: str) -> Any:
        if isinstance(self._part, layers.CRF) and name == "chain":
            return Chain(*called(self._part._weights, torch.zeros(())))
        return wrapped(getattr(self._part, name))

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return called(self._part, *args, **kwargs)

    def __iter__(self) -> Iterator[Any]:
        return map(wrapped, self._part)

    def __len__(self) -> int:
        return len(self._part)

    def __getitem__(self, place: int) -> Any:
        return wrapped(self._part[place])


class Steps:
    """Recurrent layers that step from a state as `runtime.stepping.LiveLayers` do, as far as writing text needs it.

    Args:
        module: Of torch.
        live: The layers in whose place it steps.
    """

    def __init__(self, module: nn.Module, live: Any):
        self._module, self.zeros = module, live.zeros

    def step(self, x: np.ndarray, state: Any) -> Any:
        before = as_carried(tuple(np.stack(values)[:, None] for values in zip(*state, strict=True)))
        _, after = called(self._module, x[None, None], before)
        return [[value[0] for value in layer] for layer in zip(*as_tuple(after), strict=True)]


def wrapped(value: Any) -> Any:
    """What a network has under a name: parts and functions on arrays, weights as arrays, settings as they are."""
    if isinstance(value, nn.Module | ModuleType):
        return OnTorch(value)
    if callable(value) and not isinstance(value, type | Tensor):
        return lambda *args, **kwargs: called(value, *args, **kwargs)
    return to_arrays(value)


@torch.no_grad()
def called(function: Any, *args: Any, **kwargs: Any) -> Any:
    return to_arrays(function(*to_tensors(args), **to_tensors(kwargs)))


def to_arrays(value: Any) -> Any:
    """Tensors, however deep they lie in tuples and lists, as arrays."""
    return value.detach().numpy() if isinstance(value, Tensor) else _within(to_arrays, value)


def to_tensors(value: Any) -> Any:
    """The reverse."""
    if isinstance(value, np.ndarray):
        found = torch.from_numpy(np.array(value))  # a copy, as torch takes neither read-only arrays nor all strides
        return found.float() if found.dtype == torch.float64 else found
    return _within(to_tensors, value)


def _within(function: Any, value: Any) -> Any:
    match value:
        case tuple() if hasattr(value, "_fields"):
            return type(value)(*map(function, value))
        case tuple() | list():
            return type(value)(map(function, value))
        case dict():
            return {name: function(one) for name, one in value.items()}
    return value
