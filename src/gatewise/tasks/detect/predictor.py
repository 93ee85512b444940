"""A trained network reads series, whole or as they arrive: the same code, and for predictions the same bits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...errors import DataError
from .network import LEAST_SCALE, Detection, energy, features, prepared
from .scoring import Scorer
from .series import Scale, Steps

CHUNK = 1024  # steps read at a time


class Reader:
    """Errors of one series, from its beginning: negative log-likelihoods in nats, mean over what is observed.

    Args:
        model: The network, in evaluation mode.
        scale: Of its channels.
    """

    def __init__(self, model: Detection, scale: Scale):
        self.model, self.scale = model, scale
        D = len(scale.location)
        self._state: Any = None
        self._last = np.zeros(D, np.float32)
        self._given: tuple[np.ndarray, np.ndarray] | None = None  # what was predicted of the next step
        self._past = np.full((model.window - 1, D), np.nan, np.float32)

    def read(self, values: np.ndarray | Steps) -> np.ndarray:
        """The errors (T,) of the next steps (T, D), one at least; NaN where nothing is observed or was predicted."""
        return np.concatenate([self._chunk(values[s : s + CHUNK]) for s in range(0, len(values), CHUNK)])

    @torch.no_grad()
    def _chunk(self, values: np.ndarray) -> np.ndarray:
        z = self.scale.apply(values)
        errors = []
        if self.model.predictor is not None:
            errors.append(self._predicted(z))
        if self.model.repeater is not None:
            errors.append(self._repeated(z))
        if len(errors) == 1:
            return errors[0]
        return np.where(np.isnan(errors[0]), errors[1], (errors[0] + errors[1]) / 2)  # no prediction of a first step

    def _predicted(self, z: np.ndarray) -> np.ndarray:
        predictor = self.model.predictor
        assert predictor is not None
        filled, observed = self._filled(z)
        y, self._state = predictor.layers(features(filled[:, None], observed[:, None]), self._state)
        change, scale = _head(predictor.head, y[:, 0])
        location = filled.numpy() + change
        first = self._given or (np.full_like(location[:1], np.nan), np.ones_like(scale[:1]))
        self._given = location[-1:], scale[-1:]
        return self._errors(z, np.concatenate([first[0], location[:-1]]), np.concatenate([first[1], scale[:-1]]))

    def _filled(self, z: np.ndarray) -> tuple[Tensor, Tensor]:
        """Each missing value as the last before it, however long ago, and what was observed."""
        seen = np.isfinite(z)
        rows = np.vstack([self._last[None], np.where(seen, z, 0)])
        where = np.maximum.accumulate(np.where(seen, np.arange(1, len(z) + 1)[:, None], 0), axis=0)
        filled = np.take_along_axis(rows, where, axis=0)
        self._last = filled[-1]
        return torch.from_numpy(filled), torch.from_numpy(seen.astype(np.float32))

    def _repeated(self, z: np.ndarray) -> np.ndarray:
        """How well the newest value of each window is repeated by its end."""
        repeater = self.model.repeater
        assert repeater is not None
        rows = np.vstack([self._past, z])
        self._past = rows[len(z) :]
        windows = np.lib.stride_tricks.sliding_window_view(rows, self.model.window, axis=0)  # (T, D, L)
        location, scale = _head(repeater.head, repeater.newest(*prepared(windows.transpose(2, 0, 1))))
        return self._errors(z, location, scale)

    def _errors(self, z: np.ndarray, location: np.ndarray, scale: np.ndarray) -> np.ndarray:
        off = (z.astype(np.float64) - location) / scale
        nats = energy(off, self.model.distribution) + np.log(scale.astype(np.float64))
        seen = np.isfinite(nats)
        count = seen.sum(axis=1)
        total = np.where(seen, nats, 0.0).sum(axis=1)
        return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _head(head: Any, y: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """What a head says of each row of y (T, H), summed row by row: a matrix product's bits would depend on T."""
    weight, bias = head.weight.numpy(), head.bias.numpy()
    rows = y.numpy()
    both = np.stack([(rows * w).sum(axis=1) for w in weight], axis=1) + bias
    location, scale = np.split(both, 2, axis=1)
    return location, np.logaddexp(scale, np.float32(0)) + np.float32(LEAST_SCALE)


class Stream:
    """Scores steps as they arrive, each from what came before; made by `Detector.stream`."""

    def __init__(self, reader: Reader, scorer: Scorer, threshold: float, channels: tuple[str, ...]):
        self._reader, self._scorer = reader, scorer
        self.threshold, self.channels = threshold, channels

    def push(self, row: Any) -> tuple[float, bool]:
        """The next step's score, and whether it is an alarm.

        Args:
            row: Its values by channel, or in the order of `channels`, NaN or None where missing; a number, if there is
                one channel.

        Raises:
            DataError: There are more or fewer values, or one is no number.
        """
        if isinstance(row, Mapping):
            unknown = [name for name in self.channels if name not in row]
            if unknown:
                raise DataError(f"the step has no '{unknown[0]}'. Give it as None, if it is missing")
            row = [row[name] for name in self.channels]
        try:
            values = np.array([row] if np.ndim(row) == 0 else row, np.float64)
        except (TypeError, ValueError):
            raise DataError(f"a step is a row of numbers, not {row!r:.60}") from None
        if values.shape != (len(self.channels),) or np.isinf(values).any():
            wanted = f"{len(self.channels)} finite numbers, or NaN where missing ({', '.join(self.channels[:5])})"
            raise DataError(f"a step of this detector has {wanted}, not {row!r:.60}")
        score = self._scorer.push(float(self._reader.read(values[None])[0]))
        return score, score >= self.threshold
