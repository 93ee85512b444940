"""The networks of `detect`: one that predicts each step from those before it, one that repeats a window it has read."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from ...algebra import Cell
from ...data.batches import Epochs, in_batches
from ...nn import Recurrent
from ..network import Network

FREEDOM = 4.0  # degrees of freedom of the Student distribution: tails heavy enough for sensors, a variance still finite
LEAST_SCALE = 1e-3  # of a prediction, in standard deviations of the channel


class Detection(Network):
    """Predicts, repeats, or both; each gives a location and a scale for every value.

    Args:
        method: "prediction", "reconstruction" or "both".
        distribution: "gaussian" or "student", of what is left unexplained.
        cell: The recurrent cell.
        channels: Values per step, D.
        hidden_size: Units per layer, H.
        num_layers: Recurrent layers of each network.
        window: Steps that are repeated at a time, L.
        dropout, recurrent_dropout, zoneout, weight_dropout: Of the layers; see `Recurrent`.

    Shape:
        values: (T, B, D), standardised, 0 where missing.
        observed: (T, B, D), 1 or 0.
    """

    def __init__(
        self,
        method: str,
        distribution: str,
        cell: Cell,
        channels: int,
        hidden_size: int,
        num_layers: int,
        window: int,
        **regularisation: Any,
    ):
        super().__init__()
        self.distribution, self.window = distribution, window
        sizes = (hidden_size, num_layers)
        self.predictor = Predictor(cell, channels, *sizes, **regularisation) if method != "reconstruction" else None
        self.repeater = Repeater(cell, channels, *sizes, **regularisation) if method != "prediction" else None

    # What the training loop asks for: `training.Trainable`.

    def training_loss(self, batch: tuple[Tensor, Tensor]) -> Tensor:
        total, count = self._sums(*batch)
        return total / max(count, 1)

    def validation_sums(self, batch: tuple[Tensor, Tensor]) -> tuple[Tensor, int]:
        return self._sums(*batch)

    def _sums(self, values: Tensor, observed: Tensor) -> tuple[Tensor, int]:
        total: Any = 0.0
        count = 0
        if self.predictor is not None:
            given, _ = self.predictor(values[:-1], observed[:-1])
            total = total + self._nats(given, values[1:], observed[1:])
            count += int(observed[1:].sum())
        if self.repeater is not None:
            total = total + self._nats(self.repeater(values[1:], observed[1:]), values[1:], observed[1:])
            count += int(observed[1:].sum())
        return total, count

    def _nats(self, given: tuple[Tensor, Tensor], values: Tensor, observed: Tensor) -> Tensor:
        location, scale = given
        z = (values - location) / scale
        if self.distribution == "student":
            energy = (FREEDOM + 1) / 2 * torch.log1p(z * z / FREEDOM) + _STUDENT
        else:
            energy = 0.5 * z * z + _GAUSS
        return ((energy + scale.log()) * observed).sum()


_STUDENT = math.lgamma(FREEDOM / 2) - math.lgamma((FREEDOM + 1) / 2) + 0.5 * math.log(FREEDOM * math.pi)
_GAUSS = 0.5 * math.log(2 * math.pi)


def energy(z: np.ndarray, distribution: str) -> np.ndarray:
    """Nats by which a value so many scales off is less likely than the likeliest one: 0 or more."""
    if distribution == "student":
        return (FREEDOM + 1) / 2 * np.log1p(z * z / FREEDOM)
    return 0.5 * z * z


class Predictor(nn.Module):
    """Location and scale of the step after each, the location counted from that step's own value.

    A last value that is missing counts as the last one that is not, or as 0, the mean.
    """

    def __init__(self, cell: Cell, channels: int, hidden_size: int, num_layers: int, **options: Any):
        super().__init__()
        self.layers = Recurrent(cell, 2 * channels, hidden_size, num_layers, **options)
        self.head = nn.Linear(hidden_size, 2 * channels)
        nn.init.zeros_(self.head.weight)  # at first: nothing changes
        nn.init.zeros_(self.head.bias)

    def forward(self, values: Tensor, observed: Tensor, state: Any = None) -> tuple[tuple[Tensor, Tensor], Any]:
        y, state = self.layers(features(values, observed), state)
        change, scale = self.head(y).chunk(2, -1)
        return (values + change, softplus(scale) + LEAST_SCALE), state


class Repeater(nn.Module):
    """A window's values from the few numbers that are left after reading it, the last first.

    Source: Malhotra et al. (2016), "LSTM-based encoder-decoder for multi-sensor anomaly detection", arXiv:1607.00148.
    """

    def __init__(self, cell: Cell, channels: int, hidden_size: int, num_layers: int, **options: Any):
        super().__init__()
        code = max(1, hidden_size // 4)
        self.reader = Recurrent(cell, 2 * channels, hidden_size, num_layers, **options)
        self.code = nn.Linear(hidden_size, code)
        self.writer = Recurrent(cell, code, hidden_size, num_layers, **options)
        self.head = nn.Linear(hidden_size, 2 * channels)

    def forward(self, values: Tensor, observed: Tensor) -> tuple[Tensor, Tensor]:
        location, scale = self.head(self._written(values, observed, len(values)).flip(0)).chunk(2, -1)
        return location, softplus(scale) + LEAST_SCALE

    def newest(self, values: Tensor, observed: Tensor) -> Tensor:
        """(B, H) what the head reads for the last step of each window, which is the first to be written."""
        return self._written(values, observed, 1)[0]

    def _written(self, values: Tensor, observed: Tensor, steps: int) -> Tensor:
        y, _ = self.reader(features(values, observed))
        code = torch.tanh(self.code(y[-1]))
        y, _ = self.writer(code.expand(steps, *code.shape))
        return y


def features(values: Tensor, observed: Tensor) -> Tensor:
    """What the layers read: values, the far-out ones drawn in, and which of them are real."""
    return torch.cat([torch.asinh(values), observed], -1)


class Windows:
    """Windows of L + 1 steps of many series as batches for the training loop; padded with missing values.

    Args:
        series: Per series, values (n, D), NaN where missing.
        window: L.
        batch_size: Windows in a batch.
        seed: Of the windows' places, drawn anew in each pass; None: side by side, each step once, in order.
    """

    def __init__(self, series: Sequence[np.ndarray], window: int, batch_size: int, seed: int | None):
        self.series = [part for part in series if len(part) > 1]
        self.window, self.batch_size, self.seed = window, batch_size, seed
        self.fixed = [(k, s) for k, part in enumerate(self.series) for s in range(0, len(part) - 1, window)]
        self.free = np.cumsum([max(1, len(part) - window) for part in self.series])
        self._epochs = Epochs(-(-len(self.fixed) // batch_size), self._drawn, seed)

    def __len__(self) -> int:
        return len(self._epochs)

    def at(self, step: int) -> tuple[Tensor, Tensor]:
        chosen = self._epochs.at(step)
        D = self.series[0].shape[1]
        values = np.full((self.window + 1, len(chosen), D), np.nan, np.float32)
        for column, (k, s) in enumerate(chosen):
            part = self.series[k][s : s + self.window + 1]
            values[: len(part), column] = part
        return prepared(values)

    def _drawn(self, random: np.random.Generator | None) -> list[list[tuple[int, int]]]:
        """The series and the start of each window, batch by batch."""
        if random is None:
            return in_batches(self.fixed, self.batch_size)
        drawn = random.integers(0, self.free[-1], len(self.fixed))
        which = np.searchsorted(self.free, drawn, side="right")
        starts = drawn - np.concatenate([[0], self.free])[which]
        return in_batches(list(zip(which.tolist(), starts.tolist(), strict=True)), self.batch_size)


def prepared(values: np.ndarray) -> tuple[Tensor, Tensor]:
    """Values (T, B, D) with NaN where missing, as the networks take them: each missing one is the last before it."""
    observed = np.isfinite(values)
    filled = np.where(observed, values, 0).astype(np.float32)
    for t in range(1, len(filled)):
        filled[t] = np.where(observed[t], filled[t], filled[t - 1])
    return torch.from_numpy(filled), torch.from_numpy(observed.astype(np.float32))
