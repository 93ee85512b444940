"""From scores to alarms, and from alarms to events; no step depends on later ones."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np

from .options import DetectOptions
from .surprise import CAUSES, Surprises

# Standard deviations from which a step is an alarm, unless a rate is given.
ALARM = 4.5
MOST_ALARMS = 0.02  # of normal steps, unless a rate is given: where tails are heavy, the threshold is higher

_FADING = math.exp(-1 / 64)  # what is left of a score after a step: half of it after 44

_LEAST_TAIL = 50  # scores that a Pareto tail is fitted to, at least; fewer get an exponential one
_TAIL_SHARE = 0.1
_COUNTED = 10  # expected false alarms from which they are counted rather than extrapolated


def alarm_threshold(options: DetectOptions, scores: Sequence[np.ndarray], normal: Sequence[np.ndarray]) -> float:
    """The score from which a step is an alarm.

    Without a rate, an alarm is what stands out by `ALARM` standard deviations, or by more, if more than `MOST_ALARMS`
    of normal steps did. That one threshold serves series of many kinds: a quantile of what a network has learned from
    is none of what comes after, and far out in the tail of a few hundred steps it is hardly known.

    Args:
        scores, normal: (n,) per series: its scores, and which of its steps count.
    """
    rate = options.false_alarm_rate
    threshold = threshold_of(scores, normal, MOST_ALARMS if rate is None else float(rate))
    return max(threshold, ALARM) if rate is None else threshold


def threshold_of(scores: Sequence[np.ndarray], normal: Sequence[np.ndarray], rate: float) -> float:
    """The threshold that a share `rate` of normal steps exceeds. Of steps that are alike, all reach it or none.

    Args:
        scores, normal: (n,) per series: its scores, and which of its steps count.
    """
    known = np.concatenate([s[mask] for s, mask in zip(scores, normal, strict=True)])
    found = tail_threshold(known, rate)
    alike = (known == found).sum() > 1 and (known >= found).mean() > rate
    return float(np.nextafter(found, np.inf)) if alike else found


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


def with_wake(scores: np.ndarray, left: Sequence[float], threshold: float) -> tuple[np.ndarray, Sequence[float]]:
    """Scores that fade instead of ending with their step, for what is wrong once is seldom over at once; but no step is
    an alarm for what was before it.

    Args:
        scores: (T, B) of the next steps of B series, 0 or more.
        left: What is left of the scores before them, for each series.
        threshold: A step is an alarm if its score is this or more.

    Returns:
        (T, B) scores, and what is left after them.
    """
    fading = np.array(
        [list(accumulate(own, _faded, initial=old)) for own, old in zip(scores.T.tolist(), left, strict=True)]
    )
    found = np.maximum(scores, np.minimum(fading[:, 1:].T, np.nextafter(threshold, -np.inf)))
    return found, fading[:, -1].tolist()


def _faded(high: float, own: float) -> float:
    return max(own, high * _FADING)


@dataclass(frozen=True)
class ChannelEvent:
    """What an event is in one channel.

    Attributes:
        channel: Its name.
        start: Step at which it was first an alarm.
        score: Its highest score.
    """

    channel: str
    start: int
    score: float


@dataclass(frozen=True)
class Event:
    """Alarms merged into one event.

    Attributes:
        sequence: Which series they are in.
        start: Step of the first alarm.
        end: Step of the last alarm, included.
        peak: Step of the highest score.
        score: The highest score.
        cause: What was surprising at the peak, one of `CAUSES`; None in models of before.
        channels: Those that were alarms, the first one first; empty in models of before.
    """

    sequence: int
    start: int
    end: int
    peak: int
    score: float
    cause: str | None = None
    channels: tuple[ChannelEvent, ...] = ()


def find_events(
    found: Surprises, threshold: float, gap: int, min_length: int, channels: Sequence[str] = (), sequence: int = 0
) -> list[Event]:
    """Events of one series: runs of steps that score `threshold` or more, merged over up to `gap` other steps; those
    that last fewer than `min_length` steps are dropped.

    Args:
        channels: Names of the D channels.
        sequence: Number of the series.
    """
    scores = found.scores
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
            cause = None if found.causes is None else CAUSES[found.causes[peak]]
            parts = _by_channel(found, threshold, start, end, channels)
            events.append(Event(sequence, start, end, peak, float(scores[peak]), cause, parts))
    return events


def _by_channel(
    found: Surprises, threshold: float, start: int, end: int, channels: Sequence[str]
) -> tuple[ChannelEvent, ...]:
    if found.by_channel is None:
        return ()
    scores = found.by_channel[start : end + 1]
    threshold = scores.dtype.type(threshold)  # rounded as they are
    parts = [
        ChannelEvent(channels[d], start + int(np.argmax(scores[:, d] >= threshold)), float(scores[:, d].max()))
        for d in np.flatnonzero((scores >= threshold).any(axis=0)).tolist()
    ]
    return tuple(sorted(parts, key=lambda part: (part.start, -part.score)))


_SAID = {
    "value": "is far from its last values",
    "change": "jumps",
    "error": "is not what the network expects",
    "recent errors": "has not been what the network expects for some steps",
    "shape": "has a shape that normal data do not have",
}


def step_name(step: int) -> str:
    """What a step is called that has no time."""
    return f"step {step}"


def sentence(event: Event, when: Callable[[int], str] = step_name) -> str:
    """What happened, in words.

    Args:
        when: What a step is called, such as its time.
    """
    score = f"{event.score:.3g} standard deviations"
    span = f"{when(event.start)} to {when(event.end)}" if event.end > event.start else when(event.start)
    if not event.channels:
        return f"{span}: {score} at {when(event.peak)}"
    strongest = max(event.channels, key=lambda part: part.score)
    others = [part for part in event.channels if part is not strongest]
    told = f"{span}: '{strongest.channel}' {_SAID[event.cause or 'value']} ({score}"
    told += f" at {when(event.peak)})" if event.end > event.start else ")"
    if others:
        several = f"'{others[0].channel}'" if len(others) == 1 else f"{len(others)} more channels"
        first = min(part.start for part in others)
        told += f", and {several} from {when(first)} on"
    return told
