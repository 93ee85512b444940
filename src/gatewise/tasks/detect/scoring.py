"""From errors to scores, from scores to alarms, from alarms to events; no step depends on later ones."""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .baselines import WINDOWS, RollingState, RollingZ
from .options import DetectOptions

HIGH = 0.99  # the share of the reference below a score of 1
ONE = 2.3263478740408408  # standard deviations: what a score of 1 is where scores are normally distributed
# Standard deviations from which a step is an alarm, unless a rate is given. Of 3 to 5 in halves, 4 had the best sum of
# NAB scores over nab, skab, ucr_anomaly, mba_ecg805 and made anomalies; without skab, 4.5 would be a little better.
ALARM = 4.0
MOST_ALARMS = 0.01  # of normal steps, unless a rate is given: where tails are heavy, the threshold is higher
# Standard deviations: the most that a lasting change counts in a network's score. Half of it is no alarm, so that of a
# series that has moved away from what was learned, sudden errors alone are.
LASTING = 5.0
MOST_REFERENCE = 10_000  # errors of normal data that are kept where there is no history: more say the same

_LEAST_SPREAD = 1e-3  # nats: normal data without any spread would make every score infinite
_LEAST_TAIL = 50  # scores that a Pareto tail is fitted to, at least; fewer get an exponential one
_TAIL_SHARE = 0.1
_COUNTED = 10  # expected false alarms from which they are counted rather than extrapolated


@dataclass(frozen=True)
class ScorerState:
    """What scores of a series' next steps depend on.

    Attributes:
        history: Mean errors that define what is normal, the oldest first; None where they are always the reference.
        recent: Errors that the next one is averaged with.
    """

    history: tuple[float, ...] | None
    recent: tuple[float, ...]


class Scorer:
    """Scores one series step by step: how far the mean error of the last few steps stands out.

    A score of 0 is the median of the reference, a score of 1 is exceeded by one of its steps in a hundred. The
    reference is the errors of normal data or, with a history, those of the last `history` steps, so that a lasting
    change stops being an anomaly.

    Args:
        reference: (n,) mean errors of normal data, in their order, at least 1.
        smoothing: Steps that an error is averaged over.
        history: Steps that define what is normal, or None.

    Source: after Ahmad et al. (2017), "Unsupervised real-time anomaly detection for streaming data", Neurocomputing
    262, section 3.2: recent errors against the distribution of past ones; here by its quantiles instead of a Gaussian,
    for errors have heavy tails.
    """

    def __init__(self, reference: Sequence[float] | np.ndarray, smoothing: int, history: int | None):
        kept = [float(error) for error in reference][-(history or MOST_REFERENCE) :]
        self._history = history
        self._order = deque(kept)
        self._sorted = sorted(kept)
        # As if all had been normal before: one large error of a network that knows nothing yet is no alarm.
        self._recent = deque([self._sorted[len(kept) // 2]] * smoothing, maxlen=smoothing)

    def push(self, error: float) -> float:
        """The score of the next step; NaN, nothing was observed, scores 0 and changes nothing."""
        if math.isnan(error):
            return 0.0
        self._recent.append(error)
        mean = sum(self._recent) / len(self._recent)
        median = self._sorted[len(self._sorted) // 2]
        high = self._sorted[int(HIGH * len(self._sorted))]
        score = (mean - median) / max(high - median, _LEAST_SPREAD)
        if self._history is not None:
            insort(self._sorted, mean)
            self._order.append(mean)
            if len(self._order) > self._history:
                del self._sorted[bisect_left(self._sorted, self._order.popleft())]
        return score

    @property
    def state(self) -> ScorerState:
        """As a value: a scorer with the same reference that is given it goes on from there."""
        return ScorerState(None if self._history is None else tuple(self._order), tuple(self._recent))

    @state.setter
    def state(self, state: ScorerState) -> None:
        if state.history is not None:
            self._order, self._sorted = deque(state.history), sorted(state.history)
        self._recent.extend(state.recent)


@dataclass(frozen=True)
class Blend:
    """How what a network and a plain detector say of a step becomes one score.

    Attributes:
        share: Of the network, from 0 to 1.
        window: Steps that a z-score is over: that of the values, which is the plain detector, and that of the errors.
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

        A network's is the mean of two: how far the mean error of the last steps stands out from those of normal data,
        which lasts as long as what is wrong, and how far this one error does from the last ones, which wears off. Of
        the network and the plain detector, the one that is more alarmed counts, each less as its share is less than
        the other's.

        Args:
            lasting: Score of the mean error, of `Scorer`.
            sudden: z of this error, NaN if there is none.
            plain: z of the values, NaN if there are none.

        Source: the minimum of tail probabilities, Tippett (1931), "The Methods of Statistics"; on the scale of the
        normal distribution the maximum of z.
        """
        sudden = 0.0 if math.isnan(sudden) else max(sudden, 0.0)
        plain = 0.0 if math.isnan(plain) else plain
        network = (sudden / ONE + min(max(lasting, 0.0), LASTING / ONE)) / 2
        share, rest = self.share, 1 - self.share
        return max(share * network, rest * (plain / ONE)) / max(share, rest)

    def errors_z(self) -> RollingZ:
        """Of errors (n, 1), as they arrive."""
        return RollingZ(self.window, np.array([self.mean]), np.array([self.spread]))


@dataclass(frozen=True)
class BlendState:
    """What the scores of a series' next steps depend on; the z-score's part is None in models of before."""

    lasting: ScorerState
    sudden: RollingState | None


class BlendedScorer:
    """Scores one series step by step, from a network's errors and z-scores of the values.

    Args:
        scorer: Of mean errors.
        blend: How both become one score; None in models of before, where the scores are those of mean errors.
    """

    def __init__(self, scorer: Scorer, blend: Blend | None):
        self._scorer, self._blend = scorer, blend
        self._errors = None if blend is None else blend.errors_z()
        self._sudden = None if self._errors is None else self._errors.start()

    def push(self, error: float, plain: float) -> float:
        """The score of the next step; NaN where nothing was observed."""
        lasting = self._scorer.push(error)
        if self._blend is None or self._errors is None or self._sudden is None:
            return lasting
        z, self._sudden = self._errors.read(np.array([[error]]), self._sudden)
        return self._blend.score(lasting, float(z[0, 0]), plain)

    @property
    def state(self) -> BlendState:
        """As a value, as of `Scorer`."""
        return BlendState(self._scorer.state, self._sudden)

    @state.setter
    def state(self, state: BlendState) -> None:
        self._scorer.state, self._sudden = state.lasting, state.sudden


@dataclass(frozen=True, kw_only=True)
class Scoring:
    """How errors and z-scores become scores, alarms and events.

    Attributes:
        reference: (n,) mean errors of normal data, in their order, at least 1.
        threshold: A step is an alarm if its score is this or more.
        blend: None in models of before, whose errors alone are scored.
        smoothing, history, gap, min_length: Options of `Detector`.
    """

    reference: np.ndarray
    threshold: float
    blend: Blend | None
    smoothing: int
    history: int | None
    gap: int
    min_length: int

    @classmethod
    def of(cls, options: DetectOptions, reference: np.ndarray, threshold: float, blend: Blend | None) -> Scoring:
        return cls(
            reference=reference,
            threshold=threshold,
            blend=blend,
            smoothing=int(options.smoothing),
            history=options.history,
            gap=int(options.gap),
            min_length=int(options.min_length),
        )

    def scorer(self) -> BlendedScorer:
        """For a series, from its beginning."""
        return BlendedScorer(Scorer(self.reference, self.smoothing, self.history), self.blend)

    def scores(self, errors: np.ndarray, plain: np.ndarray) -> np.ndarray:
        """(n,) scores of a whole series, to the last bit those of pushing its steps one by one.

        Args:
            errors: (n,) of the network, NaN where there is none.
            plain: (n,) z-scores of the values, the same.
        """
        lasting = score_series(errors, self.reference, self.smoothing, self.history)
        if self.blend is None:
            return lasting
        rolling = self.blend.errors_z()
        sudden = rolling.read(errors[:, None], rolling.start())[0][:, 0]
        score = self.blend.score
        steps = zip(lasting.tolist(), sudden.tolist(), plain.tolist(), strict=True)
        return np.array([score(*step) for step in steps])

    def events(self, scores: np.ndarray, sequence: int = 0, threshold: float | None = None) -> list[Event]:
        """Events of one series.

        Args:
            sequence: Its number.
            threshold: Another one than the detector's.
        """
        least = self.threshold if threshold is None else threshold
        return find_events(scores, least, self.gap, self.min_length, sequence)


def score_series(errors: np.ndarray, reference: np.ndarray, smoothing: int, history: int | None) -> np.ndarray:
    """(n,) scores of a whole series from its errors (n,), to the last bit those of pushing them one by one."""
    scorer = Scorer(reference, smoothing, history)
    return np.array([scorer.push(error) for error in errors.tolist()])


def reference_of(options: DetectOptions, errors: Sequence[np.ndarray], normal: Sequence[np.ndarray]) -> np.ndarray:
    """Mean errors of normal data, in their order; 0 alone, where there are none.

    Args:
        errors: Per series, (n,).
        normal: Per series, (n,) whether a step counts.
    """
    means = [smoothed(e[mask], int(options.smoothing)) for e, mask in zip(errors, normal, strict=True)]
    reference = np.concatenate(means)[-max(MOST_REFERENCE, options.history or 0) :]
    return reference if len(reference) else np.zeros(1)


def blend_of(share: float, window: int, errors: Sequence[np.ndarray], normal: Sequence[np.ndarray]) -> Blend:
    """A blend, whose mean and spread are those of normal steps."""
    known = np.concatenate([e[mask] for e, mask in zip(errors, normal, strict=True)])
    known = known[~np.isnan(known)]
    mean, spread = (float(known.mean()), float(known.std())) if len(known) else (0.0, 1.0)
    return Blend(share, window, mean, max(spread, _LEAST_SPREAD))


def calibrate(
    options: DetectOptions,
    reference: np.ndarray,
    blend: Blend,
    signals: Sequence[tuple[np.ndarray, np.ndarray]],
    normal: Sequence[np.ndarray],
) -> Scoring:
    """The scoring, with its threshold.

    Without a rate, an alarm is what stands out by `ALARM` standard deviations, or by more, if more than `MOST_ALARMS`
    of normal steps did. That one threshold serves series of many kinds: a quantile of what a network has learned from
    is none of what comes after, and far out in the tail of a few hundred steps it is hardly known.

    Args:
        reference: See `reference_of`.
        signals: Per series, errors and z-scores of the values, (n,) each.
        normal: Per series, (n,) whether a step counts.
    """
    scoring = Scoring.of(options, reference, math.inf, blend)
    scores = [scoring.scores(errors, plain) for errors, plain in signals]
    rate = options.false_alarm_rate
    threshold = threshold_of(scores, normal, MOST_ALARMS if rate is None else float(rate))
    if rate is None:
        threshold = max(threshold, ALARM / ONE)
    if np.quantile(reference, HIGH) - np.median(reference) < _LEAST_SPREAD:
        threshold = max(threshold, 1.0)  # normal steps are all alike, and none of them is an alarm
    return Scoring.of(options, reference, threshold, blend)


def threshold_of(scores: Sequence[np.ndarray], normal: Sequence[np.ndarray], rate: float) -> float:
    """The threshold that a share `rate` of normal steps exceeds. Of steps that are alike, all reach it or none.

    Args:
        scores, normal: (n,) per series: its scores, and which of its steps count.
    """
    known = np.concatenate([s[mask] for s, mask in zip(scores, normal, strict=True)])
    found = tail_threshold(known, rate)
    alike = (known == found).sum() > 1 and (known >= found).mean() > rate
    return float(np.nextafter(found, np.inf)) if alike else found


def smoothed(errors: np.ndarray, smoothing: int) -> np.ndarray:
    """Moving average of a series' errors, less the steps where nothing was observed: what a reference is made of."""
    recent: deque[float] = deque(maxlen=smoothing)
    means = []
    for error in errors[~np.isnan(errors)].tolist():
        recent.append(error)
        means.append(sum(recent) / len(recent))
    return np.array(means)


def tail_threshold(scores: np.ndarray, rate: float) -> float:
    """The value that a share `rate` of the scores of normal data exceeds.

    If ten scores or more are expected above it, it is a quantile of the scores. Further out, it is extrapolated with a
    generalised Pareto distribution, fitted to the scores above the 90 % quantile (or to the highest 50); with fewer
    than 50 of them, with an exponential one.

    Args:
        scores: (n,) of normal data, n at least 2.
        rate: Above 0, below 1.

    Source: Pickands (1975), Annals of Statistics 3(1); fitted by probability-weighted moments, Hosking & Wallis (1987),
    Technometrics 29(3).
    """
    ordered = np.sort(np.asarray(scores, np.float64))
    n = len(ordered)
    if rate * n >= _COUNTED or rate >= _TAIL_SHARE:
        return float(np.quantile(ordered, 1 - rate))
    beyond = min(max(int(_TAIL_SHARE * n), min(_LEAST_TAIL, n // 2), 1), n - 1)
    start = ordered[n - beyond - 1]
    excess = ordered[n - beyond :] - start
    mean = float(excess.mean())
    if mean <= 0:
        return float(ordered[-1])
    # E[excess * P(larger)], by which and the mean the two parameters follow.
    larger = 1 - (np.arange(1, beyond + 1) - 0.35) / beyond
    weighted = float((excess * larger).mean())
    shape = 2 - mean / (mean - 2 * weighted) if beyond >= _LEAST_TAIL and mean > 2 * weighted else 0.0
    shape = min(max(shape, -0.5), 0.5)  # beyond, the fit means nothing
    left = rate * n / beyond  # of the tail
    further = -math.log(left) if abs(shape) < 1e-6 else (left**-shape - 1) / shape
    return float(start + mean * (1 - shape) * further)


@dataclass(frozen=True)
class Event:
    """Alarms merged into one event.

    Attributes:
        sequence: Which series they are in.
        start: Step of the first alarm.
        end: Step of the last alarm, included.
        peak: Step of the highest score.
        score: The highest score.
    """

    sequence: int
    start: int
    end: int
    peak: int
    score: float


def find_events(scores: np.ndarray, threshold: float, gap: int, min_length: int, sequence: int = 0) -> list[Event]:
    """Events of one series: runs of steps that score `threshold` or more, merged over up to `gap` other steps; those
    that last fewer than `min_length` steps are dropped."""
    alarms = np.flatnonzero(scores >= threshold)
    if not len(alarms):
        return []
    breaks = np.flatnonzero(np.diff(alarms) > gap + 1)
    starts = alarms[np.concatenate([[0], breaks + 1])]
    ends = alarms[np.concatenate([breaks, [len(alarms) - 1]])]
    events = []
    for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
        if end - start + 1 >= min_length:
            peak = start + int(np.argmax(scores[start : end + 1]))
            events.append(Event(sequence, start, end, peak, float(scores[peak])))
    return events
