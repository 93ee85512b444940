"""Why a step surprises the network: how unlikely it is, given the steps before it.

An anomaly score also knows rules that are no network, such as how far a value lies from the last ones. What is
attributed is what the network finds unlikely, in nats; how the score itself is put together is the composition.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...tasks.detect.architecture import FREEDOM, LEAST_SCALE, features, reconstruct_newest
from ...tasks.detect.predictor import CHUNK
from ...tasks.detect.series import filled_forward
from ..composition import Composition
from ..packed import Packed
from ..question import LONGEST, Ask, Part, Question, Reading, chosen_name, chosen_row, chosen_step, must_have_network
from ..report import Answer, Input, Target
from ..units import NamedUnit
from .detect_pieces import Scored
from .naming import MOST_STEPS, of_detector
from .shown import number_text, time_labels


def question(model: Any, data: Any, row: int, ask: Ask, **reading: Any) -> tuple[Question, str]:
    """See `questions.question`. A row is a series; its most surprising step is explained, if none is asked for."""
    ask.only("target", "step", task="detect")
    predictor = model._predictor()
    must_have_network(model._net)
    found = predictor.series(data, **reading)
    chosen_row(row, len(found.values), found.source.name)
    return _Step(model, predictor, found, row, ask).question(ask), found.source.name


class _Step:
    """A step of a series, and the steps before it that the network knows it by."""

    def __init__(self, model: Any, predictor: Any, series: Any, row: int, ask: Ask):
        self.model, self.predictor, self.net, self.channels = model, predictor, model._net, series.channels
        self.row = values = series.values[row]
        self.found = predictor.surprises(values)
        self.step = chosen_step(ask.step, len(values), int(np.argmax(self.found.scores)))
        first = max(0, self.step + 1 - LONGEST)
        self.values = np.asarray(values[first : self.step + 1], np.float64)
        reader = predictor.errors
        before = reader.start()
        for start in range(0, first, CHUNK):
            reader.read(values[start : min(start + CHUNK, first)], before)
        self.z = reader.scale.apply(self.values)
        self.filled, self.observed = filled_forward(self.z, before.last)
        self.window, self.distribution = reader.window, reader.distribution
        self.constant = reader.scale.constant
        time = series.time(model.time)
        named = {} if time is None else series.named(row, slice(first, self.step + 1), time)
        times = None if time is None else np.asarray(series.named(row, slice(0, MOST_STEPS), time)[time])
        self.times = None if times is None or times.dtype.kind != "M" else times
        labels = None if time is None else time_labels(named[time])
        self.reading = Reading()
        shown = Input(
            name="series",
            kind="numbers",
            labels=labels or [""] * len(self.values),
            channels=list(self.channels),
            values=Packed.of(self.values),
        )
        self.reading.add(shown, [Part(None, self.filled, np.zeros_like(self.filled), np.arange(len(self.channels)))])
        if self.net.predictor is not None:
            state = before.hidden
            if state is None:
                rows = self.net.predictor.layers.start(1)
            else:
                rows = state if isinstance(state, tuple) else (state,)
            self.reading.parts += [Part(None, one[:, 0], np.zeros_like(one[:, 0])) for one in rows]

    def question(self, ask: Ask) -> Question:
        whole = ask.target is None
        own = list(range(len(self.channels))) if whole else [chosen_name("channel", ask.target, self.channels, 0)]
        own = [channel for channel in own if self.observed[-1, channel]] or own
        score, threshold = float(self.found.scores[self.step]), self.predictor.threshold
        said = "an anomaly" if score >= threshold else "normal"
        name = "the values" if whole else self.channels[own[0]]
        return Question(
            answer=Answer(
                text=f"{said}: score {number_text(score)}, alarms from {number_text(threshold)} on",
            ),
            target=Target(
                kind="anomaly",
                text=f"how unlikely the network finds {name} at step {self.step}",
                unit="nats",
                name="" if whole else self.channels[own[0]],
                step=self.step,
            ),
            inputs=self.reading.inputs,
            parts=self.reading.parts,
            usual="the mean of the training data; before the first step shown, a state of zeros",
            outputs=lambda net, arrays: self._nats(net, arrays, own),
            network=self.net,
            trainable=lambda: self.model.model_,
            composition=lambda: self._composition(None if whole else own[0], name),
            units=None if self.net.predictor is None else self._units,
        )

    def _composition(self, channel: int | None, name: str) -> Composition:
        series = self.row[: self.step + 1]
        scored = Scored(self.predictor, series, len(series) - len(self.values), channel)
        what = "the anomaly score" if channel is None else f"the anomaly score of {name} by itself"
        return scored.composition(f"{what} at step {self.step}", "series")

    def _units(self, seed: int) -> list[NamedUnit]:
        """Units of the step predictor, by what they follow in the first steps of the series."""
        z = self.predictor.errors.scale.apply(np.asarray(self.row[:MOST_STEPS], np.float64))[:, None]
        filled, observed = filled_forward(z)

        def nats(net: Any) -> np.ndarray:
            y, _ = net.predictor.layers(features(net, {"values": filled, "observed": observed}), None)
            change, scale = _read_out(net, net.predictor.head, y[:-1])
            lost = self._energy(net, filled[1:], filled[:-1] + change, scale)[:, 0]
            seen = observed[1:, 0]
            return np.append((lost * seen).sum(-1) / np.maximum(seen.sum(-1), 1), 0.0)  # behind the last one is none

        return of_detector(self.net, filled[:, 0].astype(np.float64), self.channels, self.times, nats, seed)

    def _nats(self, net: Any, arrays: Sequence[Any], own: Sequence[int]) -> Any:
        """(N,) mean negative log-likelihood of the values of some channels at the last step."""
        found = []
        if net.predictor is not None and len(arrays[0]) > 1:
            found.append(self._predicted(net, arrays))
        if net.autoencoder is not None:
            found.append(self._reconstructed(net, arrays[0]))
        if not found:  # a first step, of which nothing is predicted
            return arrays[0][-1].sum(-1) * 0
        return (sum(found) / len(found))[:, list(own)].mean(-1)

    def _predicted(self, net: Any, arrays: Sequence[Any]) -> Any:
        values, *state = arrays
        read = {"values": values[:-1], "observed": self._marks(net, values, slice(None, -1))}
        y, _ = net.predictor.layers(features(net, read), tuple(state) if len(state) > 1 else state[0])
        change, scale = _read_out(net, net.predictor.head, y[-1])
        return self._energy(net, values[-1], values[-2] + change, scale)

    def _reconstructed(self, net: Any, values: Any) -> Any:
        ops, missing = net.ops, self.window - len(values)
        observed = self._marks(net, values, slice(None))
        if missing > 0:  # before the first step nothing was observed
            nothing = ops.zeros((missing, *values.shape[1:]), values)
            values, observed = ops.concatenate([nothing, values], 0), ops.concatenate([nothing, observed], 0)
        y = reconstruct_newest(net, {"values": values[-self.window :], "observed": observed[-self.window :]})
        return self._energy(net, values[-1], *_read_out(net, net.autoencoder.head, y))

    def _marks(self, net: Any, values: Any, steps: slice) -> Any:
        """(T, N, D) which values were observed, in each variant the same."""
        own = np.repeat(self.observed[steps][:, None], values.shape[1], 1)
        return net.ops.constant(own, values)

    def _energy(self, net: Any, value: Any, location: Any, scale: Any) -> Any:
        """(N, D) nats."""
        ops = net.ops
        constant = ops.constant(self.constant.astype(np.float32), value)
        off, spread = value - location * (1 - constant), scale * (1 - constant) + constant
        z = off / spread
        student = self.distribution == "student"
        return ((FREEDOM + 1) / 2 * ops.log(1 + z * z / FREEDOM) if student else 0.5 * z * z) + ops.log(spread)


def _read_out(net: Any, head: Any, y: Any) -> tuple[Any, Any]:
    """Location and scale, (N, D) each."""
    both = head(y)
    half = both.shape[-1] // 2
    return both[..., :half], net.ops.softplus(both[..., half:]) + LEAST_SCALE
