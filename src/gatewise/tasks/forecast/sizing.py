"""How long a past, how large a network and how long a training some series deserve."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ...errors import DataError
from ..options import PRESETS, given_or
from .linear import Linear, solve
from .windows import Part, Series, parts, spaced, training_ends, training_part

if TYPE_CHECKING:
    from .options import ForecastOptions

_LONGEST = 1024  # steps of past that are tried
# Lengths of past that are tried, in seasons, or in horizons where there is no season.
_SEASONS = (1, 2, 3, 4, 7, 14, 21, 28)
_PATCHES = 24  # steps of the recurrent layers, about
_FEW = 200  # windows below which holding some out chooses nothing
_MOST_CHECKED = 4_000  # windows to validate on


@dataclass(frozen=True)
class Row:
    """What suits up to `windows` windows to train on, counting each column."""

    windows: float
    hidden_size: int
    dropout: float
    learning_rate: float
    steps: int
    batch_size: int


# Found by trials on validation windows.
ROWS = (
    Row(200, 16, 0.2, 1e-3, 60, 32),
    Row(2_000, 32, 0.2, 1e-3, 200, 64),
    Row(100_000, 64, 0.2, 1e-3, 600, 128),
    Row(float("inf"), 128, 0.1, 2e-3, 2000, 256),
)


@dataclass(frozen=True)
class Sizing:
    """Every size and rate of one training, chosen or given; as in `Forecaster`.

    Attributes:
        patch: Steps of past that make one step of the recurrent layers.
        steps: Of the optimiser.
        validated: Whether a part of each series was held out to validate on.
        spread: Whether the network learns how uncertain its forecasts are, for which it needs windows enough.
    """

    context_length: int
    scaling: str
    season: int
    patch: int
    hidden_size: int
    num_layers: int
    dropout: float
    learning_rate: float
    steps: int
    batch_size: int
    validated: bool
    spread: bool


@dataclass(frozen=True)
class Course:
    """What one training has: windows to learn from and to validate on, and its linear part.

    Attributes:
        checked: The series that `validation` is a part of.
        held_out: Whether it is apart from the training windows.
    """

    training: Part
    checked: Series
    validation: Part
    held_out: bool
    linear: Linear
    sizing: Sizing


def course(options: ForecastOptions, series: Series, apart: Series | None, season: int) -> Course:
    """Choose what the user left open, by validation windows.

    Args:
        apart: Series to validate on, if the user gave them.

    Raises:
        DataError: No series is long enough.
    """
    horizon, columns = int(options.horizon), len(series.targets)
    ends = training_ends(series, horizon, options.split, validated=apart is None)
    few = len(training_part(series, ends, horizon, 1)) * columns < _FEW
    if few and apart is None:  # too few to choose by: all of them are learned from
        ends = training_ends(series, horizon, options.split, validated=False)
    everything = training_part(series, ends, horizon, 1)
    if not len(everything):
        raise DataError(
            f"{series.data.name}: the longest series has {int(max(series.lengths, default=0))} steps, of which "
            f"{horizon} are forecast at a time, and some are held out. Give longer series, or lower horizon"
        )
    # What three quarters of the series that can be learned from have.
    usual = int(np.quantile(everything.counts[everything.counts > 0], 0.25)) + horizon
    contexts = _contexts(options, horizon, season, usual)
    checked, check = apart or series, None
    if apart is not None:
        check = training_part(apart, apart.ends, horizon, max(contexts))
    elif not few:
        check = parts(series, horizon, options.split)["validation"]
    if check is not None and not len(check):
        check = None
    linear = solve(
        series,
        training_part(series, ends, horizon, max(contexts)),
        checked,
        check,
        horizon if options.mode == "direct" else 1,
        season,
        contexts,
        _scalings(options, min(series.least(), checked.least()) > 0),
        int(options.seed),
    )
    training = training_part(series, ends, horizon, linear.context_length)
    validation = spaced(check or training, _MOST_CHECKED // columns + 1)
    chosen = _sizing(options, linear, season, training, columns, validated=check is not None and apart is None)
    return Course(training, checked if check else series, validation, check is not None, linear, chosen)


def _contexts(options: ForecastOptions, horizon: int, season: int, usual: int) -> list[int]:
    """Lengths of past to try: seasons, as far as a training part of `usual` steps has windows for them."""
    if options.context_length is not None:
        return [int(options.context_length)]
    most = max(2, min(_LONGEST, (usual - horizon) * 2 // 3))
    unit = season if season > 1 else max(4, min(horizon, 64))
    found = sorted({unit * times for times in _SEASONS if unit * times <= most})
    # Less than a horizon says little of it; a season at least, or the rule of the season could not be had.
    return [context for context in found if context >= min(horizon // 2, found[-1])] or [most]


def _scalings(options: ForecastOptions, positive: bool) -> tuple[str, ...]:
    if options.scaling is not None:
        return (options.scaling,)
    if options.head == "negative-binomial":
        return ("mean",)
    return ("standard", "last", "log") if positive else ("standard", "last")


def _sizing(
    options: ForecastOptions, linear: Linear, season: int, training: Part, columns: int, validated: bool
) -> Sizing:
    wider, longer = PRESETS[options.preset or "medium"]
    row = next(row for row in ROWS if len(training) * columns <= row.windows)
    batch = int(given_or(options.batch_size, max(1, row.batch_size // columns)))
    if options.epochs is not None:
        steps = max(1, round(float(options.epochs) * len(training) / batch))
    else:
        steps = max(1, round(row.steps * longer))
    return Sizing(
        context_length=linear.context_length,
        scaling=linear.scaling,
        season=season,
        patch=_patch(linear.context_length, season) if options.mode == "direct" else 1,
        hidden_size=int(given_or(options.hidden_size, row.hidden_size * wider)),
        num_layers=int(options.num_layers),
        dropout=float(given_or(options.dropout, row.dropout)),
        learning_rate=float(given_or(options.learning_rate, row.learning_rate)),
        steps=steps,
        batch_size=batch,
        validated=validated,
        spread=len(training) * columns >= _FEW,
    )


def _patch(context: int, season: int) -> int:
    """Steps of past that become one: a season, or such a part of it that there are some two dozen patches."""
    wanted = max(1, context // _PATCHES)
    whole = [size for size in range(1, season + 1) if season % size == 0] if season > 1 else []
    return min(whole, key=lambda size: abs(np.log(size / wanted))) if whole else wanted
