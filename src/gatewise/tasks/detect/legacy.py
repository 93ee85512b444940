"""Scores of the mean error of all channels: those of older model files, which still open and say what they said."""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .baselines import WINDOWS
from .rolling import RollingState, RollingZ, furthest
from .series import Scale
from .surprise import Errors, Surprises

_HIGH = 0.99  # the share of the reference below a score of 1
_ONE = 2.3263478740408408  # standard deviations: what a score of 1 is where scores are normally distributed
_LASTING = 5.0  # standard deviations: the most that a lasting change counts in a network's score
_MOST_REFERENCE = 10_000  # errors of normal data that are kept where there is no history
_LEAST_SPREAD = 1e-3  # nats: normal data without any spread would make every score infinite


@dataclass(frozen=True)
class Blend:
    """How what a network and a z-score of the values say of a step becomes one score.

    Attributes:
        share: Of the network, from 0 to 1.
        window: Steps that a z-score is over, of the values and of the errors.
        mean, spread: Mean and standard deviation of a normal step's error.
    """

    share: float
    window: int
    mean: float
    spread: float

    def __post_init__(self) -> None:
        possible = 0 <= self.share <= 1 and self.window in WINDOWS  # a window costs memory, in each stream
        if not (possible and math.isfinite(self.mean) and 0 < self.spread < math.inf):
            raise ValueError(f"{self} is no blend")

    def score(self, lasting: float, sudden: float, plain: float) -> float:
        """The score of a step, 0 or more.

        Args:
            lasting: Score of the mean of the last errors.
            sudden: z of this error, NaN if there is none.
            plain: z of the values, NaN if there are none.
        """
        sudden = 0.0 if math.isnan(sudden) else max(sudden, 0.0)
        plain = 0.0 if math.isnan(plain) else plain
        network = (sudden / _ONE + min(max(lasting, 0.0), _LASTING / _ONE)) / 2
        share, rest = self.share, 1 - self.share
        return max(share * network, rest * (plain / _ONE)) / max(share, rest)


@dataclass
class LegacyState:
    """What the scores of a series' next steps depend on. Reading changes it.

    Attributes:
        history: Mean errors that define what is normal, the oldest first; None where they are always the reference.
        recent: Errors that the next one is averaged with.
        sudden, plain: Of the z-scores; None without a blend.
    """

    history: tuple[float, ...] | None
    recent: tuple[float, ...]
    sudden: RollingState | None
    plain: RollingState | None


class LegacyScorer:
    """How far the mean error of the last few steps stands out, and with a blend also this error and the values.

    Args:
        reference: (n,) mean errors of normal data, in their order, at least 1.
        blend: None in the oldest models, where the scores are those of mean errors.
        scale: Of the channels.
        smoothing: Steps that an error is averaged over.
        history: Steps that define what is normal; None: the reference always does.
    """

    def __init__(
        self, reference: np.ndarray, blend: Blend | None, scale: Scale, *, smoothing: int, history: int | None
    ):
        self._kept = [float(error) for error in reference][-(history or _MOST_REFERENCE) :]
        self._blend, self._smoothing, self._history = blend, smoothing, history
        self._sudden = self._plain = None
        if blend is not None:
            self._sudden = RollingZ(blend.window, np.array([blend.mean]), np.array([blend.spread]))
            self._plain = RollingZ(blend.window, scale.location, scale.scale)

    def start(self) -> LegacyState:
        # As if all had been normal before: one large error of a network that knows nothing yet is no alarm.
        recent = (sorted(self._kept)[len(self._kept) // 2],) * self._smoothing
        return LegacyState(
            None if self._history is None else tuple(self._kept),
            recent,
            None if self._sudden is None else self._sudden.start(),
            None if self._plain is None else self._plain.start(),
        )

    def read(self, errors: Errors | None, values: np.ndarray, states: Sequence[LegacyState]) -> Surprises:
        nats = np.full(values.shape[:2], np.nan) if errors is None else errors.mean()
        lasting = [self._lasting(own, state) for own, state in zip(nats.T.tolist(), states, strict=True)]
        if self._blend is None or self._sudden is None or self._plain is None:
            return Surprises(np.array(lasting).T)
        sudden = self._sudden.read(nats[:, :, None], [state.sudden for state in states if state.sudden is not None])
        z = self._plain.read(values, [state.plain for state in states if state.plain is not None])
        parts = zip(lasting, sudden[:, :, 0].T.tolist(), furthest(z).T.tolist(), strict=True)
        return Surprises(np.array([[self._blend.score(*step) for step in zip(*own, strict=True)] for own in parts]).T)

    def _lasting(self, errors: Sequence[float], state: LegacyState) -> list[float]:
        """Scores of mean errors: 0 is the median of what is normal, 1 is exceeded by one of its steps in a hundred."""
        order = deque(self._kept if state.history is None else state.history)
        ordered, recent = sorted(order), deque(state.recent, maxlen=self._smoothing)
        found = []
        for error in errors:
            if math.isnan(error):  # nothing was observed
                found.append(0.0)
                continue
            recent.append(error)
            mean = sum(recent) / len(recent)
            median, high = ordered[len(ordered) // 2], ordered[int(_HIGH * len(ordered))]
            found.append((mean - median) / max(high - median, _LEAST_SPREAD))
            if self._history is not None:
                insort(ordered, mean)
                order.append(mean)
                if len(order) > self._history:
                    del ordered[bisect_left(ordered, order.popleft())]
        state.history, state.recent = None if self._history is None else tuple(order), tuple(recent)
        return found
