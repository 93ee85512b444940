"""How long a past, how large a network and how long a training some series deserve."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...document import Count
from ...errors import DataError
from ..options import PRESETS, given_or
from .linear import Linear, solve
from .options import ForecastOptions
from .split import Part, Split, holds_targets, spaced, training_part
from .windows import Series

_LONGEST = 1024  # steps of past that are tried
# Lengths of past that are tried, in seasons, or in horizons where there is no season.
_SEASONS = (1, 2, 3, 4, 7, 14, 21, 28)
_PATCHES = 24  # steps of the recurrent layers, about
_FEW = 200  # windows, counting each column, below which holding some out tells nothing
_MOST_VALIDATED = 4_000  # windows to validate on, counting each column


@dataclass(frozen=True)
class Row:
    """Sizes and rates for up to so many windows to train on, counting each column."""

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
        season: Steps of a season.
        patch: Steps of past that make one step of the recurrent layers.
        steps: Of the optimiser.
        validated: Whether a part of each series was held out to validate on.
        learn_variance: Whether the network learns how uncertain its forecasts are, which needs enough windows.
    """

    context_length: int
    scaling: str
    season: Count
    patch: Count
    hidden_size: int
    num_layers: int
    dropout: float
    learning_rate: float
    steps: int
    batch_size: int
    validated: bool
    learn_variance: bool


@dataclass(frozen=True)
class TrainingSetup:
    """What a training starts from.

    Attributes:
        split: Of the series.
        training: Windows to train on.
        validation_series: The series that validation windows are cut from.
        validation: Windows to validate on; if none are held out, those that are trained on. Evenly spaced, if many.
        held_out: Whether validation windows are held out.
        linear: The linear part of the network.
        sizing: Of the network and its training.
    """

    split: Split
    training: Part
    validation_series: Series
    validation: Part
    held_out: bool
    linear: Linear
    sizing: Sizing


def training_setup(options: ForecastOptions, series: Series, apart: Series | None, season: int) -> TrainingSetup:
    """Choose what the user left open, on validation windows.

    Args:
        apart: Series to validate on, if the user gave them.
        season: Steps of a season.

    Raises:
        DataError: No series is long enough.
    """
    columns = len(series.targets)
    least = min(series.least(), (apart or series).least())
    split = _split(options, series, apart is not None)
    contexts = _contexts(options, season, _typical_length(split))
    held_out = (
        split.validation if apart is None else training_part(apart, apart.known_ends, split.horizon, max(contexts))
    )
    validated = holds_targets(apart or series, held_out, split.horizon, min(contexts))
    if apart is None and not validated:
        split = Split.of(series, split.horizon, options.split, validated=False)
    linear = solve(
        series,
        split.training(max(contexts)),
        apart or series,
        held_out if validated else None,
        horizon=split.horizon if options.mode == "direct" else 1,
        season=season,
        contexts=contexts,
        scalings=_scalings(options, least > 0),
        seed=int(options.seed),
    )
    training = split.training(linear.context_length)
    return TrainingSetup(
        split=split,
        training=training,
        validation_series=apart if apart is not None and validated else series,
        validation=spaced(held_out if validated else training, _MOST_VALIDATED // columns + 1),
        held_out=validated,
        linear=linear,
        sizing=_sizing(options, linear, season, training, columns, validated=validated and apart is None),
    )


def _split(options: ForecastOptions, series: Series, apart: bool) -> Split:
    """The parts of the series. Their validation part is trained on if there is validation data apart, or so little data
    that held-out windows would tell nothing."""
    horizon = int(options.horizon)
    split = Split.of(series, horizon, options.split, validated=not apart)
    windows = len(split.training(1))
    if not apart and windows * len(series.targets) < _FEW:
        split = Split.of(series, horizon, options.split, validated=False)
        windows = len(split.training(1))
    if not windows:
        raise DataError(
            f"{series.data.name}: the longest series has {int(max(series.lengths, default=0))} steps, of which "
            f"{horizon} are forecast at a time, and some are held out. Give longer series, or lower horizon"
        )
    if not holds_targets(series, split.training(1), horizon, _LONGEST):
        raise DataError(
            f"{series.data.name}: no value of {', '.join(series.targets)} lies in the part to train on, which is the "
            "beginning of each series. Give longer series, or leave out their empty beginnings"
        )
    return split


def _typical_length(split: Split) -> int:
    """Steps to train on that three quarters of the series have, of those that are long enough at all."""
    counts = split.training(1).counts
    return int(np.quantile(counts[counts > 0], 0.25)) + split.horizon


def _contexts(options: ForecastOptions, season: int, length: int) -> list[int]:
    """Context lengths to try: seasons, as far as a training part of this length has windows for them."""
    if options.context_length is not None:
        return [int(options.context_length)]
    horizon = int(options.horizon)
    most = max(2, min(_LONGEST, (length - horizon) * 2 // 3))
    unit = season if season > 1 else max(4, min(horizon, 64))
    found = sorted({unit * times for times in _SEASONS if unit * times <= most})
    # Less than a horizon says little of it; but one season at least, or the seasonal rule would be impossible.
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
        learning_rate=float(given_or(options.given_rate, row.learning_rate)),
        steps=steps,
        batch_size=batch,
        validated=validated,
        learn_variance=len(training) * columns >= _FEW,
    )


def _patch(context: int, season: int) -> int:
    """Steps of past that become one step: a fraction of a season, such that there are about two dozen of them."""
    wanted = max(1, context // _PATCHES)
    whole = [size for size in range(1, season + 1) if season % size == 0] if season > 1 else []
    return min(whole, key=lambda size: abs(np.log(size / wanted))) if whole else wanted
