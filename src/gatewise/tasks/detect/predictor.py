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
from .scoring import Event, find_events, sentence, step_name, with_wake
from .series import Scale, Series, Steps, filled_forward, read_series
from .surprise import CAUSES, Errors, Scorer, Surprises

CHUNK = 1024  # steps read at a time
_ROWS = 4096  # of a chunk of predictions


@dataclass(frozen=True)
class ReadState:
    """What the errors of a series' next steps depend on. D channels, windows of L steps.

    Attributes:
        hidden: State of the step predictor's layers; None before the first step, and where streams keep it.
        last: (D,) float32 last observed value of each channel, standardised; 0, the mean, before the first.
        expected: Location and scale, (1, D) float32 each, predicted for the next step; NaN before the first.
        recent: (L - 1, D) float32 last steps, standardised; NaN where missing, or before the first.
    """

    hidden: Any
    last: np.ndarray
    expected: tuple[np.ndarray, np.ndarray]
    recent: np.ndarray


@dataclass(frozen=True)
class Given:
    """Steps as the networks read them, (T, D) each, standardised.

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
        return {"values": self.filled[:, None], "observed": self.observed[:, None]}


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
        nothing = np.full((1, D), np.nan, np.float32)
        return ReadState(hidden=None, last=np.zeros(D, np.float32), expected=(nothing, nothing), recent=recent)

    def errors(self, values: np.ndarray | Steps) -> Errors:
        """Of a whole series (n, D)."""
        return self.read(values, self.start())[0]

    def read(self, values: np.ndarray | Steps, state: ReadState) -> tuple[Errors, ReadState]:
        """Errors at the next steps (T, D), at least one, and the state after them."""
        found = []
        for start in range(0, len(values), CHUNK):
            errors, state = self._chunk(values[start : start + CHUNK], state)
            found.append(errors)
        return Errors(*(np.concatenate(parts) for parts in zip(*map(_parts, found), strict=True))), state

    def given(self, values: np.ndarray, state: ReadState) -> Given:
        """Steps (T, D) that come after this state."""
        z = self.scale.apply(values)
        return Given(z, *filled_forward(z, state.last))

    def found(self, given: Given, y: np.ndarray, state: ReadState) -> tuple[Errors, ReadState]:
        """Errors at the next steps, and the state after them.

        Args:
            y: (T, H) of the step predictor's layers; without one, of no meaning.
        """
        found = []
        if self.net.predictor is not None:
            errors, state = self._prediction_errors(given, y, state)
            found.append(errors)
        if self.net.autoencoder is not None:
            errors, state = self._reconstruction_errors(given.z, state)
            found.append(errors)
        if len(found) == 1:
            return found[0], state
        both = zip(*map(_parts, found), strict=True)  # the first step of a series is not predicted
        return Errors(*(np.where(np.isnan(own), other, (own + other) / 2) for own, other in both)), state

    def _chunk(self, values: np.ndarray, state: ReadState) -> tuple[Errors, ReadState]:
        given, y = self.given(values, state), np.empty((len(values), 1, 0))
        if self.net.predictor is not None:
            y, hidden = predict_steps(self.net, {**given.batch(), "state": state.hidden})
            state = replace(state, hidden=hidden)
        return self.found(given, y[:, 0], state)

    @np.errstate(all="ignore")  # damaged weights show in what comes out
    def _prediction_errors(self, given: Given, y: np.ndarray, state: ReadState) -> tuple[Errors, ReadState]:
        change, scale = _read_out(self.net.predictor.head, y)
        locations = np.concatenate([state.expected[0], given.filled + change])
        scales = np.concatenate([state.expected[1], scale])
        errors = self._errors(given.z, locations[:-1], scales[:-1])
        return errors, replace(state, last=given.filled[-1], expected=(locations[-1:], scales[-1:]))

    @np.errstate(all="ignore")  # damaged weights show in what comes out
    def _reconstruction_errors(self, z: np.ndarray, state: ReadState) -> tuple[Errors, ReadState]:
        """How well the newest step of each window is reconstructed."""
        rows = np.vstack([state.recent, z])
        windows = np.lib.stride_tricks.sliding_window_view(rows, self.window, axis=0)  # (T, D, L)
        filled, observed = filled_forward(windows.transpose(2, 0, 1))
        y = reconstruct_newest(self.net, {"values": filled, "observed": observed})
        return self._errors(z, *_read_out(self.net.autoencoder.head, y)), replace(state, recent=rows[len(z) :])

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
    """What an output layer makes of y (T, H): location and scale, (T, D) each.

    It is summed row by row, for the bits of a matrix product would depend on T.
    """
    both = np.stack([(y * w).sum(axis=1) for w in head.weight], axis=1) + head.bias
    location, scale = np.split(both, 2, axis=1)
    return location, np.logaddexp(scale, np.float32(0)) + np.float32(LEAST_SCALE)


def _parts(errors: Errors) -> tuple[np.ndarray, np.ndarray]:
    return errors.nats, errors.residuals


def energy(z: np.ndarray, distribution: str) -> np.ndarray:
    """Nats by which a value that is z scales off is less likely than the likeliest one: 0 or more."""
    if distribution == "student":
        return (FREEDOM + 1) / 2 * np.log1p(z * z / FREEDOM)
    return 0.5 * z * z


@dataclass(frozen=True)
class SeriesState:
    """What the scores of a series' next steps depend on.

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

    def read(self, values: np.ndarray, state: SeriesState) -> tuple[Surprises, np.ndarray, SeriesState]:
        """Surprises at the next steps (T, D), at least one, their mean errors (T,), NaN where there is none, and the
        state after them."""
        errors, reading = None, state.errors
        if self.errors is not None and reading is not None:
            errors, reading = self.errors.read(values, reading)
        return self.scored(errors, values, replace(state, errors=reading))

    def scored(
        self, errors: Errors | None, values: np.ndarray, state: SeriesState
    ) -> tuple[Surprises, np.ndarray, SeriesState]:
        """The same, from the network's errors at these steps; those of the state are after them."""
        found, scoring = self.scorer.read(errors, values, state.scoring)
        wake = 0.0
        if self._wake:
            scores, wake = with_wake(found.scores, state.wake, self.threshold)
            found = replace(found, scores=np.where(np.isfinite(values).any(axis=1), scores, 0.0))
        mean = np.full(len(values), np.nan) if errors is None else errors.mean()
        return found, mean, SeriesState(state.errors, scoring, wake)

    def surprises(self, values: np.ndarray | Steps) -> Surprises:
        """Of one series (n, D)."""
        return self.surprises_and_errors(values)[0]

    def surprises_and_errors(self, values: np.ndarray | Steps) -> tuple[Surprises, np.ndarray]:
        """The same, and the mean error (n,) of each step, NaN where there is none."""
        state, found, errors = self.start(), [], []
        for start in range(0, len(values), CHUNK):
            some, mean, state = self.read(values[start : start + CHUNK], state)
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
                    **self.reasons(found, rows),
                }

    def reasons(self, found: Surprises, rows: slice) -> dict[str, np.ndarray]:
        """The channel that is furthest out at each step, and what of it is."""
        if found.by_channel is None or found.causes is None:
            return {}
        names, causes = np.array(self.channels, object), np.array(CAUSES, object)
        return {"channel": names[found.by_channel[rows].argmax(axis=1)], "cause": causes[found.causes[rows]]}

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
