"""What happens between a user's series and a detector's answers. Importing it costs no torch.

A series read whole and one that arrives step by step go through the same code; errors of prediction are even the same
bits.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ...data.tables.schema import Schema
from ...errors import DataError, OptionError
from ..sharding import names_of, predicted
from .architecture import FREEDOM, LEAST_SCALE, predict_steps, reconstruct_newest
from .options import DetectOptions
from .rolling import beside
from .scoring import Event, find_events, sentence, step_name, with_wake
from .series import Scale, Series, filled_forward, read_series
from .stretches import Steps
from .surprise import CAUSES, Errors, Scorer, Surprises

CHUNK = 1024  # steps read at a time
_ROWS = 4096  # of a chunk of predictions


@dataclass
class ReadState:
    """What the errors of a series' next steps depend on. D channels, windows of L steps. Reading changes it.

    Attributes:
        hidden: State of the step predictor's layers; None before the first step, and where streams keep it.
        last: (D,) float32 last observed value of each channel, standardised; 0, the mean, before the first.
        expected: (2, D) float32 location and scale predicted for the next step; NaN before the first.
        recent: (L - 1, D) float32 last steps, standardised; NaN where missing, or before the first.
    """

    hidden: Any
    last: np.ndarray
    expected: np.ndarray
    recent: np.ndarray


@dataclass(frozen=True)
class Given:
    """Steps of B series as the networks read them, (T, B, D) each, standardised.

    Attributes:
        z: Values, NaN where missing.
        filled: Where one is missing, the last observed one.
        observed: 1 or 0.
    """

    z: np.ndarray
    filled: np.ndarray
    observed: np.ndarray

    def at(self, steps: slice) -> Given:
        """Some of them."""
        return Given(self.z[steps], self.filled[steps], self.observed[steps])

    def batch(self) -> dict[str, np.ndarray]:
        """See `architecture.features`."""
        return {"values": self.filled, "observed": self.observed}


class ErrorReader:
    """What a network did not expect in series.

    Args:
        net: The trained network, see `architecture`.
        scale: Of its channels.
        distribution: Of errors, "gaussian" or "student".
        window: Steps of a window of the autoencoder, L.
    """

    def __init__(self, net: Any, scale: Scale, *, distribution: str, window: int):
        self.net, self.scale, self.distribution, self.window = net, scale, distribution, window

    def start(self) -> ReadState:
        """The state at the beginning of a series."""
        D = len(self.scale.location)
        recent = np.full((self.window - 1, D), np.nan, np.float32)
        expected = np.full((2, D), np.nan, np.float32)
        return ReadState(hidden=None, last=np.zeros(D, np.float32), expected=expected, recent=recent)

    def errors(self, values: np.ndarray | Steps) -> Errors:
        """Of a whole series (n, D)."""
        state = self.start()
        found = [self.read(values[first : first + CHUNK], state) for first in range(0, len(values), CHUNK)]
        parts = zip(*((some.nats[:, 0], some.residuals[:, 0]) for some in found), strict=True)
        return Errors(*map(np.concatenate, parts))

    def read(self, values: np.ndarray, state: ReadState) -> Errors:
        """(T, 1, D) errors at the next steps (T, D) of one series, at least one; the state is then after them."""
        given, y = self.given(values[:, None], [state]), np.empty((len(values), 1, 0))
        if self.net.predictor is not None:
            y, state.hidden = predict_steps(self.net, {**given.batch(), "state": state.hidden})
        return self.found(given, y, [state])

    def given(self, values: np.ndarray, states: Sequence[ReadState]) -> Given:
        """Steps (T, B, D) that come after these states."""
        z = self.scale.apply(values)
        return Given(z, *filled_forward(z, beside(state.last for state in states)))

    def found(self, given: Given, y: np.ndarray, states: Sequence[ReadState]) -> Errors:
        """Errors at the next steps; the states are then after them.

        Args:
            y: (T, B, H) of the step predictor's layers; without one, of no meaning.
        """
        found = []
        if self.net.predictor is not None:
            found.append(self._prediction_errors(given, y, states))
        if self.net.autoencoder is not None:
            found.append(self._reconstruction_errors(given.z, states))
        if len(found) == 1:
            return found[0]
        one, other = found  # the first step of a series is not predicted
        each = (one.nats, other.nats), (one.residuals, other.residuals)
        return Errors(*(np.where(np.isnan(a), b, (a + b) / 2) for a, b in each))

    @np.errstate(all="ignore")  # damaged weights show in what comes out
    def _prediction_errors(self, given: Given, y: np.ndarray, states: Sequence[ReadState]) -> Errors:
        change, scale = _read_out(self.net.predictor.head, y)
        coming = np.stack([given.filled + change, scale], axis=2)  # (T, B, 2, D)
        expected = np.concatenate([beside(state.expected for state in states)[None], coming])
        for row, state in enumerate(states):
            state.last[:], state.expected[:] = given.filled[-1, row], expected[-1, row]
        return self._errors(given.z, expected[:-1, :, 0], expected[:-1, :, 1])

    @np.errstate(all="ignore")  # damaged weights show in what comes out
    def _reconstruction_errors(self, z: np.ndarray, states: Sequence[ReadState]) -> Errors:
        """How well the newest step of each window is reconstructed."""
        T, B, D = z.shape
        rows = np.concatenate([beside(state.recent for state in states).transpose(1, 0, 2), z])
        windows = np.lib.stride_tricks.sliding_window_view(rows, self.window, axis=0)  # (T, B, D, L)
        filled, observed = filled_forward(windows.reshape(T * B, D, -1).transpose(2, 0, 1))
        y = reconstruct_newest(self.net, {"values": filled, "observed": observed})
        for row, state in enumerate(states):
            state.recent[:] = rows[T:, row]
        return self._errors(z, *_read_out(self.net.autoencoder.head, y.reshape(T, B, -1)))

    def _errors(self, z: np.ndarray, location: np.ndarray, scale: np.ndarray) -> Errors:
        # Of what never changed there is nothing to predict: how sure a network is of it means nothing.
        constant = self.scale.constant & np.isfinite(location)
        off = z.astype(np.float64) - np.where(constant, 0.0, location)
        spread = np.where(constant, 1.0, scale.astype(np.float64))
        lost = energy(off / spread, self.distribution)
        return Errors(lost + np.log(spread), np.sign(off) * np.sqrt(2 * lost))


def error_reader(net: Any, options: DetectOptions, scale: Scale) -> ErrorReader:
    """Of a detector with these options."""
    return ErrorReader(net, scale, distribution=options.distribution, window=int(options.window))


def _read_out(head: Any, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What an output layer makes of y (T, B, H): location and scale, (T, B, D) each.

    It is summed row by row, for the bits of a matrix product would depend on how many there are.
    """
    both = np.stack([(y * w).sum(axis=-1) for w in head.weight], axis=-1) + head.bias
    location, scale = np.split(both, 2, axis=-1)
    return location, np.logaddexp(scale, np.float32(0)) + np.float32(LEAST_SCALE)


def energy(z: np.ndarray, distribution: str) -> np.ndarray:
    """Nats by which a value that is z scales off is less likely than the likeliest one: 0 or more."""
    if distribution == "student":
        return (FREEDOM + 1) / 2 * np.log1p(z * z / FREEDOM)
    return 0.5 * z * z


@dataclass
class SeriesState:
    """What the scores of a series' next steps depend on. Reading changes it.

    Attributes:
        errors: Of the errors; None without a network.
        scoring: Of the scorer.
        wake: What is left of the highest scores.
    """

    errors: ReadState | None
    scoring: Any
    wake: float = 0.0


class Predictor:
    """A trained detector without its training: from anything that a reader takes to scores, alarms and events.

    Args:
        net: The trained network, see `architecture`; None in a model that has plain methods alone.
        options: Of the detector.
        channels: Names of the values of a step.
        scale: Of the channels.
        scorer: How errors and values become scores.
        threshold: A step is an alarm if its score is this or more.
        wake: Whether a score fades, instead of ending with its step; it never is an alarm by that.
        schema: How the table was read that it learned from; None if it was none.
    """

    def __init__(
        self,
        *,
        net: Any | None,
        options: DetectOptions,
        channels: tuple[str, ...],
        scale: Scale,
        scorer: Scorer,
        threshold: float,
        wake: bool,
        schema: Schema | None,
    ):
        self.errors = None if net is None else error_reader(net, options, scale)
        self.options, self.channels, self.schema = options, channels, schema
        self.scorer, self.threshold, self._wake = scorer, threshold, wake

    def series(self, data: Any, y: Any = None, *, query: str | None = None, encoding: str = "utf-8") -> Series:
        """Series as the network knows them. DataError if they have other channels."""
        return read_series(
            data, y, self.options, channels=self.channels, query=query, encoding=encoding, schema=self.schema
        )

    def start(self) -> SeriesState:
        """The state at the beginning of a series."""
        return SeriesState(None if self.errors is None else self.errors.start(), self.scorer.start())

    def read(self, values: np.ndarray, state: SeriesState) -> tuple[Surprises, np.ndarray]:
        """Surprises at the next steps (T, D) of one series, at least one, and their mean errors (T,), NaN where there
        is none; the state is then after them."""
        errors, mean = None, np.full(len(values), np.nan)
        if self.errors is not None and state.errors is not None:
            errors = self.errors.read(values, state.errors)
            mean = errors.mean()[:, 0]
        return self.scored(errors, values[:, None], [state]).at((slice(None), 0)), mean

    def scored(self, errors: Errors | None, values: np.ndarray, states: Sequence[SeriesState]) -> Surprises:
        """Surprises at the next steps (T, B, D) of B series from the network's errors there; all of the states is then
        after them, but for that of the errors."""
        found = self.scorer.read(errors, values, [state.scoring for state in states])
        if not self._wake:
            return found
        scores, left = with_wake(found.scores, [state.wake for state in states], self.threshold)
        for state, wake in zip(states, left, strict=True):
            state.wake = wake
        return replace(found, scores=np.where(np.isfinite(values).any(axis=-1), scores, 0.0))

    def surprises(self, values: np.ndarray | Steps) -> Surprises:
        """Of one series (n, D)."""
        return self.surprises_and_errors(values)[0]

    def surprises_and_errors(self, values: np.ndarray | Steps) -> tuple[Surprises, np.ndarray]:
        """The same, and the mean error (n,) of each step, NaN where there is none."""
        state, found, errors = self.start(), [], []
        for start in range(0, len(values), CHUNK):
            some, mean = self.read(values[start : start + CHUNK], state)
            found.append(some.in_half_the_memory())
            errors.append(mean)
        return _joined(found), np.concatenate(errors)

    def events_of(self, found: Surprises, number: int = 0, threshold: float | None = None) -> list[Event]:
        """Events of one series.

        Args:
            number: Of the series.
            threshold: Another one than the detector's.
        """
        least = self.threshold if threshold is None else threshold
        gap, min_length = int(self.options.gap), int(self.options.min_length)
        return find_events(found, least, gap, min_length, self.channels, number)

    def scores(self, data: Any, *, query: str | None = None, encoding: str = "utf-8") -> list[np.ndarray]:
        """Scores (n,) of each series."""
        return [self.surprises(values).scores for values in self.series(data, query=query, encoding=encoding).values]

    def predict(self, data: Any, *, query: str | None = None, encoding: str = "utf-8") -> np.ndarray:
        """(steps,) -1 where there is an alarm, else 1, series after series."""
        scores = self.scores(data, query=query, encoding=encoding)
        return np.where(np.concatenate(scores) >= self.threshold, -1, 1)

    def events(self, data: Any, *, query: str | None = None, encoding: str = "utf-8") -> list[Event]:
        """Events, series after series."""
        series = self.series(data, query=query, encoding=encoding)
        return [
            event
            for number, values in enumerate(series.values)
            for event in self.events_of(self.surprises(values), number)
        ]

    def predictions(
        self,
        data: Any,
        *,
        query: str | None = None,
        encoding: str = "utf-8",
        events: bool = False,
        shard: str | None = None,
    ) -> Iterator[dict[str, np.ndarray]]:
        """Chunks of named columns; see `Detector.predictions`."""
        series = self.series(data, query=query, encoding=encoding)
        found = names_of(self.options, self.schema, series.source)
        yield from predicted(shard, found, lambda chosen: self._tables(series, chosen, events))

    def _tables(self, series: Series, chosen: np.ndarray, events: bool) -> Iterator[dict[str, np.ndarray]]:
        for number in chosen.tolist():
            values = series.values[number]
            found = self.surprises(values)
            happened = self.events_of(found)
            if events:
                yield self._event_rows(series, number, happened)
                continue
            inside = np.zeros(len(values), np.int64)
            for k, event in enumerate(happened, 1):
                inside[event.start : event.end + 1] = k
            for first in range(0, len(values), _ROWS):
                rows = slice(first, min(first + _ROWS, len(values)))
                yield {
                    "series": np.full(rows.stop - first, number),
                    "step": np.arange(first, rows.stop),
                    **series.named(number, rows, self.options.time),
                    "score": found.scores[rows],
                    "alarm": found.scores[rows] >= self.threshold,
                    "event": inside[rows],
                    **self.reasons(found.at(rows)),
                }

    def reasons(self, found: Surprises) -> dict[str, np.ndarray]:
        """The channel that is furthest out at each step, and what of it is."""
        if found.by_channel is None or found.causes is None:
            return {}
        names, causes = np.array(self.channels, object), np.array(CAUSES, object)
        return {"channel": names[found.by_channel.argmax(axis=-1)], "cause": causes[found.causes]}

    def _event_rows(self, series: Series, number: int, events: list[Event]) -> dict[str, np.ndarray]:
        """A row for each event of a series: where it begins, ends and is worst, by step and by time."""
        time = series.time(self.options.time)

        def named(step: int) -> dict[str, np.ndarray]:
            return series.named(number, slice(step, step + 1), time)

        columns: dict[str, np.ndarray] = {}
        none = series.named(number, slice(0, 0), time)  # columns without a row, where nothing happened
        for place in ("start", "end", "peak"):
            steps = [int(getattr(event, place)) for event in events]
            columns[place] = np.array(steps, np.int64)
            each = [none, *map(named, steps)]
            for name in none:
                key = f"{name}_{place}" if name == time else name
                columns[key] = np.concatenate([one[name] for one in each])
        when = step_name if time is None else lambda step: str(named(step)[time][0]).removesuffix(".000000")
        return {
            "series": np.full(len(events), number),
            "event": np.arange(1, len(events) + 1),
            **columns,
            "score": np.array([event.score for event in events], np.float64),
            "channels": np.array([", ".join(part.channel for part in event.channels) for event in events], object),
            "description": np.array([sentence(event, when) for event in events], object),
        }

    def log_likelihood(self, data: Any) -> float:
        """Mean log-likelihood of a step, in nats. DataError if no step has one, OptionError without a network."""
        if self.errors is None:
            raise OptionError(
                'this detector has no network that could tell a likelihood: it was made with only="plain"'
            )
        errors = np.concatenate([self.errors.errors(values).mean() for values in self.series(data).values])
        known = errors[~np.isnan(errors)]
        if not len(known):
            raise DataError("there is no step to score: each has no value, or nothing before it")
        return -float(known.mean())


def _joined(found: Sequence[Surprises]) -> Surprises:
    scores = np.concatenate([some.scores for some in found])
    by_channel = [some.by_channel for some in found if some.by_channel is not None]
    causes = [some.causes for some in found if some.causes is not None]
    if not by_channel:
        return Surprises(scores)
    return Surprises(scores, np.concatenate(by_channel), np.concatenate(causes))
