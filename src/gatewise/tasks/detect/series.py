"""Series for `detect`: channels, labels, which steps train and validate, and one scale for all."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from ...data.groups import groups_of, refuse_shared
from ...data.readers.table_files import is_several
from ...data.sequences import Column, Sequences
from ...data.sources import Roles, read
from ...data.split import named_split, shuffled_split
from ...data.tables.schema import Schema
from ...data.tables.timezones import as_written
from ...errors import DataError
from ..options import names
from .options import DetectOptions
from .stretches import IN_MEMORY, MOST_MEASURED, PIECE, Mask, Steps, Stretch, drawn, pieces_of

_LIMIT = 1e30  # of values: beyond, a scale in float64 could overflow
_FURTHEST = 1e9  # standard deviations: further out, a value could become infinite in float32, and so count as missing
# Normal held-out steps from which weights and threshold are chosen on them; with fewer, on all there are.
_ENOUGH = 500
_MOST_HELD = 0.5  # of all steps, the largest validation part that is advised


@dataclass(frozen=True)
class Series:
    """What a detector reads.

    Attributes:
        values: Per series, (n, D) float64, NaN where missing; `[:]` gives all of it.
        labels: Per series, (n,) whether each step is an anomaly; None without labels.
        channels: Names of the D values.
        source: What they were made of, for its names, keys and times.
    """

    values: Sequence[np.ndarray | Steps]
    labels: list[np.ndarray] | None
    channels: tuple[str, ...]
    source: Sequences

    def time(self, named: str | None) -> str | None:
        """The column of the timestamps: the one that the user named, else the only one that holds times."""
        found = [name for name, column in self.source.steps.items() if column.kind == "time"]
        return named if named in found else found[0] if len(found) == 1 else None

    def take(self, which: np.ndarray) -> Series:
        """These series."""
        if len(which) == len(self.values):
            return self
        labels = None if self.labels is None else [self.labels[number] for number in which]
        return Series([self.values[number] for number in which], labels, self.channels, self.source.take(which))

    def named(self, number: int, rows: slice, time: str | None) -> dict[str, np.ndarray]:
        """Keys and times of some steps of one series, by name, as far as the source has them."""
        found: dict[str, np.ndarray] = {}
        for name, column in self.source.static.items():
            one = column[slice(number, number + 1)]
            if column.kind in ("category", "text"):
                found[name] = np.full(rows.stop - rows.start, one.strings()[0], object)
            else:
                value = as_written(one) if column.kind == "time" else one.values
                found[name] = np.repeat(value, rows.stop - rows.start, axis=0)
        if (when := self.time(time)) is not None:
            start = int(self.source.offsets[number])
            found[when] = as_written(self.source.steps[when][start + rows.start : start + rows.stop])
        return found


def read_series(
    data: Any,
    y: Any,
    options: DetectOptions,
    *,
    channels: tuple[str, ...] | None = None,
    query: str | None = None,
    encoding: str = "utf-8",
    schema: Schema | None = None,
) -> Series:
    """Series from whatever holds them.

    Args:
        data: An array (n,) or (n, D) is one series of n steps; a list of arrays, or an array (N, n, D), is many; all
            else, a list of dicts too, goes to the readers.
        y: Labels of an array, in its shape without the channels: 1 or true where a step is an anomaly.
        options: They say what the columns of a table are for; the target holds the labels.
        channels: Those that a fitted detector needs; None: all that are there.
        query: SQL whose result is the table.
        encoding: Encoding of text files.
        schema: How the table was read that a detector learned from.

    Raises:
        DataError: There is nothing to read, or something is not what it should be; the message names the place.
    """
    roles = _roles(options, recognise=channels is None or schema is not None)
    rows = isinstance(data, list | tuple) and len(data) > 0 and isinstance(data[0], Mapping)
    if isinstance(data, np.ndarray | list | tuple) and not rows and not is_several(data):
        found = _of_arrays(data, y)
    else:
        found = _of_sequences(read(data, y, roles, query=query, encoding=encoding, schema=schema), roles, channels)
    if channels is not None and found.channels != channels:
        wanted, has = ", ".join(channels[:5]), ", ".join(found.channels[:5])
        raise DataError(
            f"{found.source.name} has {len(found.channels)} channels ({has}), but the detector learned {len(channels)} "
            f"({wanted}). Give it the same"
        )
    _check(found)
    return found


def _roles(options: DetectOptions, recognise: bool) -> Roles:
    return Roles(
        target=names(options.target),
        key=names(options.key),
        time=options.time,
        columns=None if options.columns is None else names(options.columns),
        group=names(options.group),
        per_step=True,
        zone=options.zone,
        duplicates=options.duplicates,
        recognise=recognise,
        csv=options.csv_format(),
    )


def _of_arrays(data: Any, y: Any) -> Series:
    many = isinstance(data, np.ndarray) and data.ndim == 3
    many = many or (not isinstance(data, np.ndarray) and len(data) > 0 and np.ndim(data[0]) > 0 and _ragged(data))
    pieces = [_piece(piece, k if many else None) for k, piece in enumerate(data if many else [data])]
    widths = {piece.shape[1] for piece in pieces}
    if len(widths) > 1:
        raise DataError(f"all series must have the same channels, but there are some with {sorted(widths)}")
    labels = None
    if y is not None:
        given = list(y) if many else [y]
        if len(given) != len(pieces):
            raise DataError(f"{len(pieces)} series need as many rows of labels, not {len(given)}")
        labels = [
            _flags(np.asarray(flags), len(p), f"y of series {k}")
            for k, (flags, p) in enumerate(zip(given, pieces, strict=True))
        ]
    offsets = np.concatenate([[0], np.cumsum([len(piece) for piece in pieces])]).astype(np.int64)
    width = pieces[0].shape[1] if pieces else 0
    steps = {"channels": Column("channels", "number", np.concatenate(pieces))} if pieces else {}
    return Series(pieces, labels, tuple(f"x{d}" for d in range(width)), Sequences(offsets, steps, name="arrays"))


def _ragged(data: Sequence[Any]) -> bool:
    """Whether a list holds whole series rather than the rows of one."""
    return np.ndim(data[0]) == 2 or isinstance(data[0], np.ndarray)


def _piece(piece: Any, number: int | None) -> np.ndarray:
    where = "the series" if number is None else f"series {number}"
    try:
        array = np.asarray(piece)
        if array.dtype.kind not in "biufO":
            raise TypeError(f"{'Complex data' if array.dtype.kind == 'c' else array.dtype} not supported")
        array = array.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"{where} is no array of numbers: {' '.join(str(error).split())}") from None
    if array.ndim not in (1, 2) or not array.size:
        raise DataError(f"{where} has the shape {array.shape}, but a series has one or more steps: (n,) or (n, D)")
    return array.reshape(len(array), -1)


def _of_sequences(source: Sequences, roles: Roles, known: tuple[str, ...] | None) -> Series:
    target = roles.target[0] if roles.target else None
    labels = None
    if target is not None and (known is None or target in source.steps):
        column = source.column(target)
        if target not in source.steps:
            raise DataError(f"{source.name}: '{target}' is one value per series, but labels are one per step")
        truths = _truths(column, source)
        labels = [truths[start:stop] for start, stop in pairwise(source.offsets.tolist())]
    columns = []
    for name in source.steps if roles.columns is None else roles.columns:
        column = source.column(name)
        if name == target or (roles.columns is None and column.kind != "number"):
            continue
        if column.kind != "number" or name not in source.steps:
            what = f"holds {column.kind}" if name in source.steps else "has one value per series"
            raise DataError(f"{source.name}: column '{name}' {what}. A detector reads numbers per step")
        columns.append(column)
    if not columns:
        raise DataError(f"{source.name} has no column of numbers to learn from. It has: {', '.join(source.steps)}")
    channels: list[str] = []
    for column in columns:
        width = column.values.shape[1] if column.values.ndim == 2 else 1
        channels += [column.name] if column.values.ndim == 1 else [f"{column.name}{d}" for d in range(width)]
    places = list(pairwise(source.offsets.tolist()))
    table = [column.values for column in columns]
    return Series([Steps(table, start, stop) for start, stop in places], labels, tuple(channels), source)


def _truths(column: Column, source: Sequences) -> np.ndarray:
    values = column.values
    if column.kind == "category":
        levels = [level.lower() for level in column.levels]
        unknown = [level for level in levels if level not in _WORDS]
        if unknown:
            raise DataError(f"{source.name}: '{column.name}' is '{unknown[0]}'. Labels are 0 or 1, or true or false")
        values = np.array([_WORDS[level] for level in levels] + [np.nan])[values]
    elif column.kind != "number":
        raise DataError(f"{source.name}: '{column.name}' holds {column.kind}. Labels are 0 or 1")
    return _flags(values, len(values), f"{source.name}, '{column.name}'", source.lines)


_WORDS = {"0": 0.0, "false": 0.0, "no": 0.0, "normal": 0.0, "1": 1.0, "true": 1.0, "yes": 1.0, "anomaly": 1.0}


def _flags(values: np.ndarray, count: int, where: str, lines: np.ndarray | None = None) -> np.ndarray:
    if values.shape != (count,) or values.dtype.kind not in "biuf":
        raise DataError(f"{where}: {count} labels are needed, 0 or 1, not {values.dtype} of shape {values.shape}")
    wrong = np.flatnonzero((values != 0) & (values != 1))
    if len(wrong):
        place = f"step {wrong[0]}" if lines is None else f"line {lines[wrong[0]]}"
        raise DataError(f"{where}, {place}: {values[wrong[0]]} is no label. Give 1 for an anomaly, 0 for none")
    return values.astype(bool)


def _check(found: Series) -> None:
    before = 0  # steps of the series before
    for number, values in enumerate(found.values):
        for start in range(0, len(values), PIECE):
            with np.errstate(invalid="ignore"):
                wrong = np.argwhere(np.abs(values[start : start + PIECE]) > _LIMIT)
            if len(wrong):
                step, channel = start + int(wrong[0][0]), int(wrong[0][1])
                lines, value = found.source.lines, values[step : step + 1][0, channel]
                place = f"series {number}, step {step}" if lines is None else f"line {lines[before + step]}"
                raise DataError(
                    f"{found.source.name}, {place}: '{found.channels[channel]}' is {value}. "
                    "Leave it out (NaN), if it is not a measurement"
                )
        before += len(values)


@dataclass(frozen=True)
class TrainingData:
    """Which steps train, and which choose the weights and set the threshold.

    Attributes:
        parts: Per series, where training, validation and test lie, by name.
        training: Stretches of normal data (n, D) to learn from; read when they are asked for, if they are large.
        validation: The same, to choose the weights by.
        calibration: The series whose normal steps set the threshold: where there are more than 250,000 steps, about so
            many, in series that are drawn.
        normal: Per series of `calibration`, (n,) which steps those are.
        judged: The same, with the steps that are labelled as anomalies.
        held_out: Whether what chooses the weights is not learned from.
        too_few: If it is learned from although the user gave no data of their own to validate on: why, and what to do.
    """

    parts: list[dict[str, slice]]
    training: Sequence[np.ndarray | Stretch]
    validation: Sequence[np.ndarray | Stretch]
    calibration: Series
    normal: list[np.ndarray]
    judged: list[np.ndarray]
    held_out: bool
    too_few: str


def training_data(
    series: Series, validation: Series | None, shares: Sequence[float], seed: int, group: Sequence[str] = ()
) -> TrainingData:
    """Choose the steps that train and validate.

    Args:
        validation: Series of their own to validate on, if the user gave them.
        shares, seed, group: See `parts_of`.

    Raises:
        DataError: No two normal steps follow each other.
    """
    parts = parts_of(series, shares, seed, group)
    learned: tuple[str, ...] = ("train",)
    held: tuple[str, ...] = ("train",)
    too_few = ""
    calibration, places = series, parts
    if validation is not None:
        refuse_shared(series.source, validation.source, group)
        calibration, places = validation, parts_of(validation, shares, seed)
    else:
        held = ("validation",)
        count = _count(normal_steps(series, parts, held))
        if count < _ENOUGH:
            too_few = _too_few(count, _count(normal_steps(series, parts, tuple(parts[0]))))
            learned = held = ("train", "validation")  # so few held-out steps are too few to choose by
    calibration, places = measured(calibration, places, seed, held)
    normal = normal_steps(calibration, places, held)
    training = stretches(series, normal_steps(series, parts, learned))
    validated = stretches(calibration, normal)
    if not training or not validated:
        raise DataError(
            f"{series.source.name} has no two steps in a row to learn from, one to read and one to predict. Give "
            "longer series"
        )
    judged = [mask[:] for mask in steps_of(calibration, places, held)]
    held_out = validation is not None or held != learned
    return TrainingData(
        parts, training, validated, calibration, [mask[:] for mask in normal], judged, held_out, too_few
    )


def _too_few(count: int, total: int) -> str:
    """What to say of a validation part with `count` of all `total` normal steps."""
    share = math.ceil(20 * _ENOUGH / max(total, 1)) / 20
    more = f"Hold out more of them (--split {1 - share:g},{share:g},0), or give" if share <= _MOST_HELD else "Give"
    return (
        f"of {total:,} normal steps {count:,} would be held out, and {_ENOUGH} are the fewest to choose by. {more} "
        "normal series of their own to validate on (--validation FILE)"
    )


def parts_of(series: Series, shares: Sequence[float], seed: int, group: Sequence[str] = ()) -> list[dict[str, slice]]:
    """Where training, validation and test lie in each series: in this order in time.

    Args:
        shares: Of the three parts.
        seed: Of the draw of groups.
        group: Columns whose values no two parts share: then a series lies in one part as a whole.

    Raises:
        OptionError: There are too few groups.
    """
    groups = groups_of(series.source, group, shares)
    if groups is not None:
        places = shuffled_split(len(groups), shares, [seed, 2], groups=groups)
        lengths = [len(values) for values in series.values]
        return [
            {name: slice(0, length if number in some else 0) for name, some in places.items()}
            for number, length in enumerate(lengths)
        ]
    return [named_split(len(values), shares) for values in series.values]


def measured(
    series: Series, parts: list[dict[str, slice]], seed: int, which: Sequence[str] | None = None
) -> tuple[Series, list[dict[str, slice]]]:
    """The series that these parts, or all, are measured on, and their parts: those that are drawn by the seed where the
    series of a part have more than 250,000 steps, for scoring takes time and memory."""
    some = _drawn(series, parts, seed, which)
    return series.take(some), [parts[number] for number in some]


def told_of_measured(series: Series, parts: list[dict[str, slice]], seed: int) -> str | None:
    """What parts are measured on, if that is not all series."""
    some = _drawn(series, parts, seed, None)
    if len(some) == len(series.values):
        return None
    steps = sum(len(series.values[number]) for number in some)
    told = f"{len(some):,} of {len(series.values):,} series, which the seed draws, {steps:,} steps together"
    if series.labels is None:
        return told
    labelled = [int(own.sum()) for own in series.labels]
    return f"{told}, {sum(labelled[number] for number in some):,} of {sum(labelled):,} anomalous steps among them"


def _drawn(series: Series, parts: list[dict[str, slice]], seed: int, which: Sequence[str] | None) -> np.ndarray:
    lengths = np.array([len(values) for values in series.values])
    chosen: set[int] = set()
    for name in which or parts[0]:
        own = np.flatnonzero([places[name].stop > places[name].start for places in parts])
        chosen |= set(own[drawn(lengths[own].tolist(), MOST_MEASURED, seed)].tolist())
    return np.array(sorted(chosen), np.int64) if chosen else np.arange(len(lengths))


def steps_of(series: Series, parts: Sequence[Mapping[str, slice]], which: Sequence[str]) -> list[Mask]:
    """Per series, (n,) whether a step lies in one of these parts, and has a value."""
    return [
        Mask(values, [places[name] for name in which], None)
        for values, places in zip(series.values, parts, strict=True)
    ]


def normal_steps(series: Series, parts: Sequence[Mapping[str, slice]], which: Sequence[str]) -> list[Mask]:
    """The same of those that are not labelled as anomalies."""
    masks = steps_of(series, parts, which)
    if series.labels is None:
        return masks
    return [Mask(mask.values, mask.places, labels) for mask, labels in zip(masks, series.labels, strict=True)]


def _count(masks: Sequence[Mask]) -> int:
    """Steps that are chosen."""
    return sum(int(mask[:].sum()) for mask in masks)


def stretches(series: Series, normal: Sequence[Mask]) -> Sequence[np.ndarray | Stretch]:
    """Each series from its first normal step to its last, other steps missing; those of two steps or more."""
    found = []
    for values, mask in zip(series.values, normal, strict=True):
        inside = np.flatnonzero(mask[:])
        if len(inside) > 1:
            found.append(Stretch(values, mask, int(inside[0]), int(inside[-1]) + 1))
    size = sum(map(len, found)) * len(series.channels) * np.dtype(np.float64).itemsize
    return found if size > IN_MEMORY else [stretch[:] for stretch in found]


@dataclass(frozen=True)
class Scale:
    """Of each of D channels in normal data.

    Attributes:
        location: (D,) float64 mean.
        scale: (D,) float64 standard deviation; of a channel that does not change, a hundredth of its value.
        constant: (D,) which channels do not change.
    """

    location: np.ndarray
    scale: np.ndarray
    constant: np.ndarray

    @classmethod
    def of(cls, stretches: Sequence[np.ndarray | Stretch], channels: tuple[str, ...]) -> Scale:
        """DataError if a channel has no value at all."""
        count: np.ndarray = sum(np.isfinite(piece).sum(axis=0) for piece in pieces_of(stretches))
        if not count.all():
            name = channels[int(np.argmin(count))]
            raise DataError(f"'{name}' has no value in the data to learn from. Leave the column out, or give more data")
        location = sum(np.nansum(piece, axis=0) for piece in pieces_of(stretches)) / count
        scale = np.sqrt(sum(np.nansum((piece - location) ** 2, axis=0) for piece in pieces_of(stretches)) / count)
        size = np.abs(location)
        constant = scale <= 1e-12 * np.maximum(size, 1e-12)
        return cls(location, np.where(constant, np.where(size > 0, size / 100, 1.0), scale), constant)

    def of_stretches(self, stretches: Sequence[np.ndarray | Stretch]) -> list[np.ndarray | Stretch]:
        """Stretches (n, D), standardised: those that are read when asked for, then."""
        return [
            self.apply(one)
            if isinstance(one, np.ndarray)
            else Stretch(one.values, one.mask, one.start, one.stop, self.apply)
            for one in stretches
        ]

    def apply(self, values: np.ndarray) -> np.ndarray:
        """(..., D) float32, standardised."""
        scaled = np.clip((values - self.location) / self.scale, -_FURTHEST, _FURTHEST)
        return scaled.astype(np.float32)


def filled_forward(values: np.ndarray, last: np.ndarray | float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Values (T, ...) as the networks read them, and which of them are observed: float32 both.

    A missing value (NaN) becomes the last observed one before it, however long ago.

    Args:
        last: What was observed before the first step; 0, the mean, if nothing was.
    """
    observed = np.isfinite(values)
    before = np.broadcast_to(np.asarray(last, np.float32), (1, *values.shape[1:]))
    rows = np.concatenate([before, np.where(observed, values, 0).astype(np.float32)])
    steps = np.arange(1, len(values) + 1).reshape(-1, *[1] * (values.ndim - 1))
    newest = np.maximum.accumulate(np.where(observed, steps, 0), axis=0)
    return np.take_along_axis(rows, newest, axis=0), observed.astype(np.float32)
