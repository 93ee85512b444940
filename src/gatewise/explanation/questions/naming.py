"""Units that follow something nameable in the rows of the data: what each task lays beside its units, and what it costs
to silence them.

Where the truth is known by the data themselves, as the next value is, the cost is how far the network is from it.
Otherwise it is how unlikely the network's own answers become.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from ...data.sequences import Column, Sequences
from ...runtime import ops
from ...runtime.sequence_model import forward as continued
from ...tasks.classify.architecture import forward as classified
from ...tasks.forecast.windows import Window
from ...tasks.generate.numbers.examples import Steps
from ...tasks.generate.numbers.mixture import binary_loss, log_density
from ...tasks.tag.architecture import forward as tagged
from ...tasks.transcribe.architecture import forward as transcribed
from ..features import number_features, of_rows, tag_features, text_features
from ..units import NamedUnit, name_units
from .shown import channel_names

MOST_STEPS = 8_000  # of all rows, that units are named by
MOST_CHANNELS = 16  # whose features are looked at
MOST_WINDOWS = 128  # of a series that is forecast

Array = np.ndarray


def of_tagger(predictor: Any, data: Sequences, seed: int) -> list[NamedUnit]:
    """By tags, words and numbers of the steps; silencing costs nats of the network's own tags, or squared errors of its
    own numbers, standardised."""
    some = _drawn(data, seed)
    encoded, targets = predictor.features.encode(some), predictor.targets
    batch = encoded.batch(some.offsets[:-1], some.lengths)
    tags = predictor.labels(encoded) if targets.classes else None
    outside = "O" if targets.outside is None else targets.classes[targets.outside]
    rows = []
    for row in range(len(some)):
        own, steps = some.take([row]), slice(some.offsets[row], some.offsets[row + 1])
        found = {} if tags is None else tag_features([str(tag) for tag in tags[steps]], outside, constant=True)
        for words in predictor.features.words:
            pieces = [f" {one or ''}" for one in own.steps[words.column].strings()]
            found |= text_features(pieces, constant=True)
        rows.append(found | _of_numbers([own.steps[name] for name in predictor.features.means], own))
    first = np.asarray(tagged(predictor.net, batch)[0])

    def cost(net: Any) -> Array:
        found = np.asarray(tagged(net, batch)[0])
        return _own_answers(first, found) if targets.classes else np.square(found - first).mean(-1)

    return name_units(predictor.net, cost, of_rows(rows), seed=seed)


def of_classifier(predictor: Any, data: Sequences, seed: int) -> list[NamedUnit]:
    """By words and numbers of the steps; silencing costs nats of the networks' own answer to a row, or squared errors
    of its own number, standardised."""
    some, inputs = _drawn(data, seed), predictor.inputs
    batch, kind = inputs.encode(some), predictor.targets.kind
    rows = []
    for row, count in enumerate(batch["lengths"]):
        own = some.take([row])
        found = {}
        if inputs.text is not None:
            [tokens] = inputs.text.cut(own)
            found = text_features(tokens if inputs.text.tokens == "characters" else [f" {one}" for one in tokens], True)
        columns = [own.steps[column.name] for column in inputs.numbers if column.per_step]
        numbers = _of_numbers(columns, own)
        frames = np.minimum(np.arange(count) * inputs.stride, int(own.lengths[0]) - 1)
        rows.append(found | {name: values[frames] for name, values in numbers.items()})
    first = np.asarray(classified(predictor.net, batch), np.float64)

    def cost(net: Any) -> Array:
        found = np.asarray(classified(net, batch), np.float64)
        if kind == "number":
            return np.square(found - first).mean(-1)
        if kind == "category":
            return -_log(found[np.arange(len(found)), first.argmax(1)])
        return -np.where(first > 0.5, _log(found), _log(1 - found)).mean(1)

    return name_units(predictor.net, cost, of_rows(rows), seed=seed)


def of_detector(
    net: Any,
    values: Array,
    channels: Sequence[str],
    times: Array | None,
    nats: Callable[[Any], Array],
    seed: int,
) -> list[NamedUnit]:
    """By the values of a series; silencing costs nats of the next step.

    Args:
        values: (T, D), a missing one as the last observed one.
        nats: A function of the network to what each next step costs, (T,).
    """
    features = number_features(values[:, :MOST_CHANNELS], channels[:MOST_CHANNELS], times=times)
    beside = {name: one[:, None] for name, one in features.items()}
    return name_units(net, lambda network: nats(network)[:, None], beside, seed=seed)


def of_generator(net: Any, learned: Any, data: Sequences, seed: int) -> list[NamedUnit]:
    """By the numbers of the steps; silencing costs nats of what follows."""
    some = _drawn(data, seed)
    steps, channels = Steps.of(some, learned.channels), learned.channels
    batch = learned.examples(steps).batch(np.arange(len(some)), np.zeros(len(some), np.int64), some.lengths)
    rows = [
        number_features(channels.unscaled(steps.values[start:stop]), channels.names, constant=True)
        for start, stop in pairwise(some.offsets)
    ]

    def cost(network: Any) -> Array:
        output, _ = continued(network, batch.inputs, None, batch.lengths)
        real, binary = np.split(batch.targets, [learned.layout.real], -1)
        nats = binary_loss(ops, output, learned.layout, binary) - log_density(ops, output, learned.layout, real)
        return np.asarray(nats * batch.marks[0])

    return name_units(net, cost, of_rows(rows), seed=seed)


def of_transcriber(predictor: Any, data: Sequences, names: Sequence[str], seed: int) -> list[NamedUnit]:
    """By the symbols that are heard or seen, and the strength of the signal; silencing costs nats of the network's own
    symbols.

    Args:
        names: Of all symbols, the first of which is none.
    """
    some, frames = _drawn(data, seed), predictor.frames
    each = [frames.read(frames.scaled(some.take([row]))) for row in range(len(some))]
    lengths = np.array([len(one) for one in each])
    x = np.zeros((lengths.max(), len(each), each[0].shape[1]), np.float32)
    for row, one in enumerate(each):
        x[: len(one), row] = one
    batch = {"x": x, "lengths": lengths}
    first = np.asarray(transcribed(predictor.net, batch)[0])
    rows = []
    for row, one in enumerate(each):
        symbols = [names[symbol] for symbol in first[: len(one), row].argmax(-1)]
        strength = number_features(one.mean(1, keepdims=True, dtype=np.float64), ["the signal"], constant=True)
        rows.append(tag_features(symbols, names[0], constant=True) | strength)
    return name_units(
        predictor.net,
        lambda net: _own_answers(first, np.asarray(transcribed(net, batch)[0])),
        of_rows(rows),
        seed=seed,
    )


def of_forecaster(predictor: Any, table: Any, row: int, calendar: Any, outputs: Any, seed: int) -> list[NamedUnit]:
    """By the values in windows of a series; silencing costs squared errors of the forecasts of what came then.

    Args:
        outputs: A function of a network and a batch of windows to the heads' locations, (B, C, steps).
    """
    series, window = table.series(calendar), predictor.window
    first, last = int(series.starts[row]) + window.context_length, int(series.known_ends[row]) - window.horizon
    count = last - first + 1
    if count < 2:
        return []
    stride = int(np.clip(count // MOST_WINDOWS, 1, window.context_length))
    origins = np.arange(first, last + 1, stride)[-MOST_WINDOWS:]
    batch = series.batch(np.full(len(origins), row), origins, window).arrays()
    C = len(predictor.targets)
    each = [[place] for place in range(C)] if not predictor.net.shape.joint else [list(range(C))]
    rows = [
        _of_window(batch["past"][at, chosen].T, [predictor.targets[place] for place in chosen], predictor.net, window)
        for at in range(len(origins))
        for chosen in each
    ]

    def cost(net: Any) -> Array:
        found = np.asarray(outputs(net, batch), np.float64)
        target, wanted = (batch[name][..., : found.shape[-1]] for name in ("target", "wanted"))
        errors = (np.square(found - target) * wanted).sum(-1) / np.maximum(wanted.sum(-1), 1)
        return errors.reshape(-1) if len(each) == C else errors.mean(1)

    return name_units(predictor.net, cost, of_rows(rows), seed=seed)


def _of_window(past: Array, names: Sequence[str], net: Any, window: Window) -> dict[str, Array]:
    """Features of a window (T, G), at the steps that the recurrent layers run."""
    features = number_features(past[:, :MOST_CHANNELS], names[:MOST_CHANNELS], constant=True)
    if not net.shape.direct:
        return {name: values[:-1] for name, values in features.items()}
    return {name: values[::-1][:: net.shape.patch][::-1] for name, values in features.items()}


def _drawn(data: Sequences, seed: int) -> Sequences:
    """As many rows as there is time for, at least one, in an order of chance: often they are sorted by their class, and
    halves of them would be halves of the classes."""
    order = np.random.default_rng([seed, 5]).permutation(len(data))
    ends = np.cumsum(np.maximum(data.lengths[order], 1))
    return data.take(order[: max(1, int(np.searchsorted(ends, MOST_STEPS, "right")))])


def _of_numbers(columns: Sequence[Column], own: Sequences) -> dict[str, Array]:
    """Features of columns of numbers of one sequence."""
    if not columns:
        return {}
    names = channel_names(columns)[:MOST_CHANNELS]
    values = np.concatenate([np.asarray(one.values, np.float64).reshape(len(one), -1) for one in columns], 1)
    missing = np.isnan(values[:, :MOST_CHANNELS])
    filled = np.where(missing, 0.0, values[:, :MOST_CHANNELS])
    times = next((one for one in own.steps.values() if one.kind == "time"), None)
    return number_features(
        filled,
        names,
        missing=missing if missing.any() else None,
        times=None if times is None else np.asarray(times.values, "datetime64[s]"),
        constant=True,
    )


def _own_answers(first: Array, found: Array) -> Array:
    """(T, B) nats of the labels that scores (T, B, L) were highest for at first."""
    logs = found - found.max(-1, keepdims=True)
    logs = logs - np.log(np.exp(logs).sum(-1, keepdims=True))
    return -np.asarray(np.take_along_axis(logs, first.argmax(-1)[..., None], -1)[..., 0])


def _log(chances: Array) -> Array:
    return np.asarray(np.log(np.maximum(chances, 1e-12)))
