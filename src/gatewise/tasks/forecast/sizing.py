"""How long a past, how large a network and how long a training some series deserve."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from ...document import Count
from ...errors import DataError
from ..options import PRESETS, given_or
from .baselines.covariates import solve_effects
from .baselines.plain import RIDGE, RIDGE_OF_LOGS, Plain, spread, weigh
from .inputs import Inputs
from .linear import Fold, Linear, residuals, scales, solve
from .options import ForecastOptions
from .split import Part, Split, holds_targets, last_part, spaced, training_part
from .windows import Series, Window

_LONGEST = 1024  # steps of past that are tried
# Lengths of past that are tried, in seasons, or in horizons where there is no season.
_SEASONS = (1, 2, 3, 4, 7, 14, 21, 28)
_PATCHES = 24  # steps of the recurrent layers, about
# How many times as large a rate is where covariates are known ahead: what they do is nothing that the linear part could
# know, and so the network has much to learn. Validation losses with 1, 3 and 10: .228, .184, .186 and .273, .160, .151
# of sales with holidays, .500, .473, .459 of air pollution with its weather. With 1 and 5, of what is known of the past
# alone: .407, .483 and .514, .527.
_KNOWN_AHEAD = 5.0
_FEW = 200  # windows, counting each column, from which how uncertain forecasts are cannot be learned
_FEW_BLOCKS = 5  # horizons of held-out time, of all series together, below which earlier origins are tried too
_ORIGINS = (0.5, 0.65, 0.8)  # where those lie in the training part, as shares of it
_BETTER = 0.005  # by how much logarithms have to be better
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
        plain: The plain methods, with their shares.
        linear: The linear part of the network.
        residuals: (N, H) of the linear part on held-out windows, in units of each window.
        sizing: Of the network and its training.
        inputs: What is read beside the targets.
    """

    split: Split
    training: Part
    validation_series: Series
    validation: Part
    held_out: bool
    plain: Plain
    linear: Linear
    residuals: np.ndarray
    sizing: Sizing
    inputs: Inputs


def training_setup(
    options: ForecastOptions,
    series: Series,
    apart: Series | None,
    season: int,
    describe: Callable[[Part, int], Inputs],
) -> TrainingSetup:
    """Choose what the user left open, on validation windows.

    Args:
        apart: Series to validate on, if the user gave them.
        season: Steps of a season.
        describe: Gives what is read beside the targets, as training windows with so many steps of past show it.

    Raises:
        DataError: No series is long enough.
    """
    columns = len(series.targets)
    positive = min(series.least(), (apart or series).least()) > 0
    split = _split(options, series, apart is not None)
    contexts = _contexts(options, season, _typical_length(split))
    held_out = (
        split.validation if apart is None else training_part(apart, apart.known_ends, split.horizon, max(contexts))
    )
    validated = holds_targets(apart or series, held_out, split.horizon, min(contexts))
    if apart is None and not validated:
        split = Split.of(series, split.horizon, options.split, validated=False)
    folds = _folds(split, max(contexts), Fold(split.training(max(contexts)), apart or series, held_out), validated)
    inputs = describe(split.training(max(contexts)), max(contexts))
    plain, linear, scaling = _plain(options, split, folds, season, contexts, positive, inputs)
    training = split.training(linear.context_length)
    window = _window(linear.context_length, len(linear.weights), scaling)
    return TrainingSetup(
        split=split,
        training=training,
        validation_series=apart if apart is not None and validated else series,
        validation=spaced(held_out if validated else training, _MOST_VALIDATED // columns + 1),
        held_out=validated,
        plain=plain,
        linear=linear,
        residuals=residuals(linear, folds, (series, training), window),
        sizing=_sizing(
            options, linear.context_length, scaling, season, training, columns, validated=validated and apart is None
        ),
        inputs=inputs,
    )


def resized(setup: TrainingSetup, options: ForecastOptions) -> TrainingSetup:
    """The same with the sizes of the preset that counts now."""
    known, columns = setup.sizing, len(setup.split.series.targets)
    found = _sizing(
        options, known.context_length, known.scaling, known.season, setup.training, columns, validated=known.validated
    )
    return replace(setup, sizing=found)


def _plain(
    options: ForecastOptions,
    split: Split,
    folds: list[Fold],
    season: int,
    contexts: list[int],
    positive: bool,
    inputs: Inputs,
) -> tuple[Plain, Linear, str]:
    """The plain methods, the linear part of the network, and how its windows are scaled."""
    series, horizon = split.series, split.horizon
    whole = Split.of(series, horizon, options.split, validated=False)
    given = options.scaling
    found, units = {}, scales(series, whole.ends, season)
    for name, logarithms in ((RIDGE, False), (RIDGE_OF_LOGS, True)):
        if logarithms and not positive:
            continue
        found[name] = solve(
            series,
            folds,
            whole.training(max(contexts)),
            horizon=horizon,
            season=season,
            contexts=contexts,
            scale=scales(series, whole.ends, season, True) if logarithms else units,
            seed=int(options.seed),
            logarithms=logarithms,
        )
    context = max(min(contexts), *(own.least_context for own in found.values()))
    if options.context_length is not None:
        context = int(options.context_length)
    found = {name: own.trimmed(context) for name, own in found.items()}
    effects = {}
    for name, base in found.items() if any(inputs.covariate_widths) else ():
        if (solved := solve_effects(series, folds, whole.training(context), base, inputs, season)) is not None:
            effects[name] = solved
    plain, losses = weigh(Plain(horizon, season, series.mostly_zero(), found, effects), folds, units, inputs)
    scaling = given or ("mean" if options.head == "negative-binomial" else "standard")
    if not given and scaling == "standard" and losses.get(RIDGE_OF_LOGS, np.inf) < (1 - _BETTER) * losses[RIDGE]:
        scaling = "log"
    own = RIDGE_OF_LOGS if scaling == "log" else RIDGE
    linear = found[own]
    everything = series, whole.training(context)
    plain = spread(plain.kept(RIDGE, own), folds, everything, _window(context, horizon, scaling), inputs)
    if options.mode == "autoregressive":
        linear = solve(
            series,
            folds,
            whole.training(context),
            horizon=1,
            season=season,
            contexts=sorted({*(length for length in contexts if length < context), context}),
            scale=scales(series, whole.ends, season, linear.logarithms),
            seed=int(options.seed),
            logarithms=linear.logarithms,
        )
    return plain, linear, scaling


def _window(context: int, horizon: int, scaling: str) -> Window:
    """How windows are cut to look at targets alone."""
    return Window(context_length=context, horizon=horizon, scaling=scaling, inputs=Inputs({}, {}, (), {}))


def _folds(split: Split, context: int, last: Fold, validated: bool) -> list[Fold]:
    """What the plain methods are chosen by, in the order of time: the validation part or, where there is little or
    none of it, ends of beginnings of the training part too."""
    horizon = split.horizon
    blocks = int((-(-last.held_out.counts // horizon)).sum())
    if validated and blocks >= _FEW_BLOCKS:
        return [last]
    starts, found = split.series.starts, []
    cuts = [starts + np.round(share * (split.ends - starts)).astype(np.int64) for share in _ORIGINS]
    for cut, end in zip(cuts, [*cuts[1:], split.ends], strict=True):
        training = training_part(split.series, cut, horizon, context)
        held_out = last_part(split.series, cut, np.minimum(end + horizon - 1, split.ends), horizon)
        if len(training) and holds_targets(split.series, held_out, horizon, context):
            found.append(Fold(training, split.series, held_out))
    return [*found, last] if validated else found


def _split(options: ForecastOptions, series: Series, apart: bool) -> Split:
    """The parts of the series. Their validation part is trained on if there is validation data apart, or if nothing
    would be left to train on."""
    horizon = int(options.horizon)
    split = Split.of(series, horizon, options.split, validated=not apart)
    if not apart and not holds_targets(series, split.training(1), horizon, _LONGEST):
        split = Split.of(series, horizon, options.split, validated=False)
    if not len(split.training(1)):
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


def _sizing(
    options: ForecastOptions, context: int, scaling: str, season: int, training: Part, columns: int, validated: bool
) -> Sizing:
    wider, longer = PRESETS[options.sized_as]
    row = next(row for row in ROWS if len(training) * columns <= row.windows)
    faster = _KNOWN_AHEAD if options.future_covariates else 1.0
    batch = int(given_or(options.batch_size, max(1, row.batch_size // columns)))
    if options.epochs is not None:
        steps = max(1, round(float(options.epochs) * len(training) / batch))
    else:
        steps = max(1, round(row.steps * longer))
    return Sizing(
        context_length=context,
        scaling=scaling,
        season=season,
        patch=_patch(context, season) if options.mode == "direct" else 1,
        hidden_size=int(given_or(options.hidden_size, row.hidden_size * wider)),
        num_layers=int(options.num_layers),
        dropout=float(given_or(options.dropout, row.dropout)),
        learning_rate=options.rate_or(row.learning_rate * faster),
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
