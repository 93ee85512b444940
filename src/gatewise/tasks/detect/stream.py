"""Steps scored as they arrive."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ...errors import DataError
from ...runtime import streams
from .predictor import Predictor, SeriesState


class Stream(streams.Stream[SeriesState]):
    """Scores steps as they arrive, each from what came before; made by `Detector.stream`.

    Attributes:
        threshold: A step is an alarm if its score is this or more.
        channels: Names of the values of a step.
    """

    def __init__(self, predictor: Predictor):
        self._predictor = predictor
        self.threshold, self.channels = predictor.threshold, predictor.channels
        super().__init__()

    def _initial_state(self) -> SeriesState:
        return self._predictor.start()

    def push(self, piece: Any) -> tuple[float, bool]:
        """The next step's score, and whether it is an alarm.

        Args:
            piece: Its values by channel, or in the order of `channels`, NaN or None where missing; a number, if there
                is one channel.

        Raises:
            DataError: There are more or fewer values, or one is not a number.
        """
        found, _, self.state = self._predictor.read(self._values(piece)[None], self.state)
        score = float(found.scores[0])
        return score, score >= self.threshold

    def _values(self, row: Any) -> np.ndarray:
        """(D,) float64."""
        if isinstance(row, Mapping):
            missing = [name for name in self.channels if name not in row]
            if missing:
                raise DataError(f"the step has no '{missing[0]}'. Give it as None, if it is missing")
            row = [row[name] for name in self.channels]
        try:
            values = np.array([row] if np.ndim(row) == 0 else row, np.float64)
        except (TypeError, ValueError):
            raise DataError(f"a step is a row of numbers, not {row!r:.60}") from None
        if values.shape != (len(self.channels),) or np.isinf(values).any():
            wanted = f"{len(self.channels)} finite numbers, or NaN where missing ({', '.join(self.channels[:5])})"
            raise DataError(f"a step of this detector has {wanted}, not {row!r:.60}")
        return values
