"""A picture of one series: history, forecast with its intervals, and actual values where they are known."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

import numpy as np

from ...data.tables.regular import name_of
from ...data.tables.timezones import to_local
from ...errors import DataError, OptionError
from ...metrics.forecasting import Forecast
from ...plots.figure import figure
from ..options import names
from .predictor import Predictor
from .table import Table

_SHOWN = 3  # horizons of history
_PLAIN = "plain methods alone"


def draw_series(predictor: Predictor, table: Table, picture: str | os.PathLike[str], *, series: int, back: int) -> None:
    """Draw one series and its forecast; see `Forecaster.plot`."""
    if not 0 <= series < len(table.data):
        raise OptionError(f"there is no series {series}: {table.data.name} has {len(table.data)}, counted from 0")
    one = replace(table, data=table.data.take([series]))
    options, length = predictor.options, int(one.series(False).lengths[0])
    if not length:
        raise DataError(f"{table.data.name}: {name_of(table.data, series)} has no value to draw. Choose another series")
    if not 0 <= back < length:
        raise OptionError(f"back must be from 0 to {length - 1}, the steps of this series, not {back!r}")
    known = () if back else names(options.future_covariates)
    cut, forecast = predictor.continuation(one, np.array([length - back]), length, known)
    keys = ", ".join(
        f"{name} {column.strings()[0]}"
        for name, column in one.data.static.items()
        if name in names(options.key) or column.kind == "category"
    )
    steps = f"{predictor.horizon:,} steps" if one.frequency is None else one.frequency.counted(predictor.horizon)
    what = f"Forecast of {', '.join(cut.targets)}"
    title = f"{what} for the next {steps}" if back == 0 else f"{what}, {steps} from {back:,} steps before the end"
    levels, context = np.array(options.quantiles), predictor.window.context_length
    title = f"{title}: {keys}" if keys else title
    draw(picture, one, cut, forecast, levels, context, title, plain=predictor.plain_points(cut))


def draw(
    picture: str | os.PathLike[str],
    whole: Table,
    cut: Table,
    forecast: Forecast,
    levels: np.ndarray,
    context: int,
    title: str,
    plain: np.ndarray | None = None,
) -> None:
    """Draw each target of one series in a panel of its own.

    Args:
        picture: A .png or .svg file to write, whole or not at all.
        whole: The series as far as it is known.
        cut: The same up to where the forecast begins, and the horizon without targets.
        forecast: Of the end of `cut`.
        levels: Of its quantiles.
        context: Steps that it was made from.
        plain: (1, C, H) what plain methods forecast alone.

    Raises:
        MissingExtra: matplotlib is not installed.
        OptionError: The picture is to be neither PNG nor SVG.
    """
    with figure(picture) as drawn:
        from matplotlib.dates import ConciseDateFormatter

        horizon, origin = forecast.point.shape[-1], int(cut.data.offsets[-1]) - forecast.point.shape[-1]
        shown = slice(
            max(0, origin - max(context, _SHOWN * horizon)), min(origin + horizon, int(whole.data.offsets[-1]))
        )
        x = np.arange(origin + horizon)
        if cut.time is not None:
            column = cut.data.steps[cut.time]
            x = to_local(column.values, column.zone)

        drawn.set_size_inches(9, 1.4 + 2.6 * len(cut.targets))
        panels = drawn.subplots(len(cut.targets), sharex=True, squeeze=False)[:, 0]
        for place, (axes, name) in enumerate(zip(panels, cut.targets, strict=True)):
            values = np.asarray(whole.data.steps[name].values[shown], np.float64)
            axes.plot(x[shown], values, color="#333333", linewidth=1.2, label="known values", zorder=3)
            ahead, fan = x[origin:], forecast.quantiles
            if fan is not None:
                _fan(axes, ahead, fan[0, place], levels)
            dot = "o" if len(ahead) == 1 else None  # a line of one step would not be seen
            axes.plot(ahead, forecast.point[0, place], marker=dot, color="#c0392b", linewidth=1.8, label="forecast")
            if plain is not None:
                axes.plot(
                    ahead, plain[0, place], marker=dot, color="#34609a", linewidth=1.2, linestyle="--", label=_PLAIN
                )
            axes.axvline(ahead[0], color="#999999", linewidth=0.8, linestyle=":")
            axes.set_ylabel(name)
            axes.grid(alpha=0.25)
            axes.spines[["top", "right"]].set_visible(False)
        drawn.suptitle(title, fontsize="medium", wrap=True)
        panels[0].legend(frameon=False, loc="lower left", bbox_to_anchor=(0, 1), ncols=4, fontsize="small")
        panels[-1].set_xlabel("step" if cut.time is None else cut.time)
        if cut.time is not None:
            panels[-1].xaxis.set_major_formatter(ConciseDateFormatter(panels[-1].xaxis.get_major_locator()))


def _fan(axes: Any, ahead: np.ndarray, quantiles: np.ndarray, levels: np.ndarray) -> None:
    """The intervals between opposite levels, one within another; the widest is named."""
    pairs = [(low, len(levels) - 1 - low) for low in range(len(levels) // 2)]
    for low, high in pairs:
        label = f"{levels[high] - levels[low]:.0%} of values should lie here" if low == 0 else None
        axes.fill_between(
            ahead, quantiles[:, low], quantiles[:, high], color="#c0392b", alpha=0.13, linewidth=0, label=label
        )
