"""What the networks of all tasks have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn


class Network(nn.Module):
    """The part of `training.Trainable` that does not depend on the task: nothing passes from batch to batch, and
    biases do not decay."""

    def __init__(self) -> None:
        super().__init__()
        self.carried: list[Tensor] = []

    def begin(self, split: str) -> None:
        """A pass starts: forget what was carried."""
        self.carried = []

    @staticmethod
    def concatenate(arrays: Sequence[Tensor]) -> Tensor:
        """Features side by side, for a predictor's function."""
        return torch.cat(list(arrays), -1)

    @contextmanager
    def predicting(self) -> Iterator[None]:
        """Neither dropout nor gradients; afterwards the mode is the one of before."""
        was_training = self.training
        self.eval()
        try:
            with torch.no_grad():
                yield
        finally:
            self.train(was_training)

    def compute(self, forward: Callable[..., Any], arrays: Mapping[str, Any]) -> Any:
        """What a predictor's function of a network and a batch gives, numpy in and out.

        Args:
            forward: Takes this network and tensors by name; gives a tensor, or several.
            arrays: Arrays by name; a state may also be None, or a tuple of arrays.
        """
        with self.predicting():
            return _arrays(forward(self, {name: _tensors(array) for name, array in arrays.items()}))

    def parameter_groups(self, weight_decay: float) -> list[dict[str, Any]]:
        weights = [p for p in self.parameters() if p.dim() > 1]
        biases = [p for p in self.parameters() if p.dim() < 2]
        return [{"params": weights, "weight_decay": weight_decay}, {"params": biases, "weight_decay": 0.0}]


def _tensors(value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(map(_tensors, value))
    return None if value is None else torch.from_numpy(value)


def _arrays(value: Any) -> Any:
    return tuple(map(_arrays, value)) if isinstance(value, tuple) else value.numpy()
