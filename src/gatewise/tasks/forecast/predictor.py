"""A trained forecaster at work: windows to forecasts, forecasts to columns and figures. Importing it costs no torch."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ...data.sequences import Sequences
from ...errors import DataError, OptionError
from ...metrics.forecasting import Forecast
from ..options import names
from .evaluation import affordable, measure
from .table import Table, ends, extended, output, stamps
from .windows import Part, Series, in_units, parts, training_ends, training_part

if TYPE_CHECKING:
    from .estimator import Forecaster

_ROWS = 512  # windows that are forecast at once
_PATHS = 16  # times fewer where each is many drawn paths
_TRAIN = 2_000  # training windows that are measured


def rows(model: Forecaster) -> int:
    """Windows that are forecast at once."""
    return max(1, _ROWS // len(model.targets_) // (1 if model.mode == "direct" else _PATHS))


def forecasts(model: Forecaster, series: Series, part: Part) -> Iterator[tuple[np.ndarray, Forecast]]:
    """Numbers of the windows, and what is said of them, in the units of the data."""
    import torch

    from .network import Windows, tensors

    sizing = model.sizing_
    windows = Windows(series, part, rows(model), model.model_.shape, sizing.scaling, model.inputs_, None)
    for which in windows:
        batch = windows.batch(which)
        # Seeded by the window, so that a forecast does not depend on what was asked before.
        noise = torch.Generator().manual_seed(int(model.seed) + int(which[0]))
        point, quantiles, samples = model.model_.forecast(tensors(batch), int(model.samples), noise)
        loc, scale = batch.loc[..., None], batch.scale[..., None]
        if samples is not None:
            paths = in_units(samples.double().numpy(), loc, scale, sizing.scaling)
            fan = np.moveaxis(np.quantile(paths, model.quantiles, axis=0), 0, -1)
        else:
            paths, fan = None, in_units(quantiles.double().numpy(), loc[..., None], scale[..., None], sizing.scaling)
        yield which, Forecast(in_units(point.double().numpy(), loc, scale, sizing.scaling), fan, paths)


def ahead(model: Forecaster, table: Table) -> Iterator[tuple[np.ndarray, Table, Forecast]]:
    """Series in pieces: their numbers, their last steps with those to come, and the forecast.

    Raises:
        DataError: A series has no value, or what must be known ahead is not.
    """
    horizon, context = int(model.horizon), model.sizing_.context_length
    for start in range(0, len(table.data), rows(model)):
        which = np.arange(start, min(len(table.data), start + rows(model)))
        part = replace(table, data=_tails(table.data, which, context, bool(names(model.future_covariates))))
        plain = part.series(False)
        empty = np.flatnonzero(plain.last_known() <= plain.starts)
        if len(empty):
            raise DataError(f"{part.data.name}: series {start + int(empty[0]) + 1} has no value to forecast from")
        cut = extended(part, ends(plain, model), context, horizon, names(model.future_covariates))
        last = Part(cut.data.offsets[1:] - horizon, np.ones(len(which), np.int64))
        [(_, forecast)] = forecasts(model, cut.series(model.calendar), last)
        yield which, cut, forecast


def _tails(data: Sequences, which: np.ndarray, steps: int, whole: bool) -> Sequences:
    """These series: their last steps or, where columns are known ahead and nobody knows how far, all of them."""
    lengths = data.lengths[which]
    kept = lengths if whole else np.minimum(lengths, steps)
    offsets = np.concatenate([[0], np.cumsum(kept)]).astype(np.int64)
    rows = np.arange(offsets[-1]) + np.repeat(data.offsets[1:][which] - offsets[1:], kept)
    steps_of = {name: column[rows] for name, column in data.steps.items()}
    return Sequences(offsets, steps_of, {name: column[which] for name, column in data.static.items()}, data.name)


def columns(model: Forecaster, which: np.ndarray, table: Table, forecast: Forecast) -> dict[str, np.ndarray]:
    """Forecasts as columns: what tells the series apart, or their numbers from 0, the stamp or step, points and
    quantiles."""
    horizon, static = int(model.horizon), table.data.static
    keys = [name for name in names(model.key) if name in static] or list(static)
    found = {name: np.repeat(output(static[name]), horizon) for name in keys} or {"series": np.repeat(which, horizon)}
    found[table.time or "step"] = stamps(table, horizon).ravel()
    for place, name in enumerate(table.targets):
        found[name] = forecast.point[:, place].ravel()
        if forecast.quantiles is not None:
            for level, values in zip(model.quantiles, np.moveaxis(forecast.quantiles[:, place], -1, 0), strict=True):
                found[f"{name}_{level:g}"] = values.ravel()
    return found


def measured(model: Forecaster, series: Series, with_baselines: bool) -> dict[str, Any]:
    """Figures of the parts that training cut the series into; the baselines' are those of the last one."""
    horizon = int(model.horizon)
    learned = training_ends(series, horizon, model.split, validated=model.sizing_.validated)
    train = training_part(series, learned, horizon, model.sizing_.context_length)
    found = {"train": affordable(series, train, _TRAIN), **parts(series, horizon, model.split)}
    learned_too = () if model.sizing_.validated else ("validation",)
    found = {name: part for name, part in found.items() if len(part) and name not in learned_too}
    last = list(found)[-1]
    metrics: dict[str, Any] = {}
    for name, part in found.items():
        metrics |= held_against(model, series, part, learned, name, with_baselines and name == last)
    return metrics


def held_against(
    model: Forecaster, series: Series, part: Part, learned: np.ndarray, name: str, with_baselines: bool = True
) -> dict[str, Any]:
    """Figures of one part under its name, and of the baselines.

    Args:
        learned: (N,) absolute step at which what was trained on ends.

    Raises:
        DataError: There is no window to measure.
    """
    if not len(part):
        raise DataError(
            f"{series.data.name}: the longest series has {int(max(series.lengths))} steps, too few to hold a "
            f"forecast of {model.horizon} against what came"
        )
    own, plain = measure(
        series,
        affordable(series, part),
        lambda few: forecasts(model, series, few),
        int(model.horizon),
        model.sizing_.season,
        np.array(model.quantiles),
        learned,
        with_baselines,
    )
    return {name: own, **({"baselines": plain} if with_baselines else {})}


def picture_of(model: Forecaster, table: Table, picture: str | os.PathLike[str], series: int, back: int | None) -> None:
    """Draw one series and its forecast; see `Forecaster.plot`."""
    from .plot import draw

    if not 0 <= series < len(table.data):
        raise OptionError(f"there is no series {series}: {table.data.name} has {len(table.data)}, counted from 0")
    one = replace(table, data=table.data.take([series]))
    length, horizon = int(one.data.offsets[-1]), int(model.horizon)
    steps = horizon if back is None else back
    if not 0 <= steps < length:
        raise OptionError(f"back must be from 0 to {length - 1}, the steps of this series, not {back!r}")
    origin = ends(one.series(False), model) if steps == 0 else np.array([length - steps])
    cut = extended(one, origin, length, horizon, names(model.future_covariates) if steps == 0 else ())
    last = Part(cut.data.offsets[1:] - horizon, np.ones(1, np.int64))
    [(_, forecast)] = forecasts(model, cut.series(model.calendar), last)
    draw(picture, one, cut, forecast, np.array(model.quantiles), model.sizing_.context_length)
