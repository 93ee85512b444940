"""Options of `Forecaster`."""

from collections.abc import Sequence

from ...errors import OptionError
from ..fields import DATA, SIZE, SIZES, flag, one_of, option, options, shares, whole
from ..options import BlendOptions, Columns, TimestampOptions, WindowOptions, names

_MOST_STEPS = 10_000  # of a path that is drawn


@options
class ForecastOptions(BlendOptions, WindowOptions, TimestampOptions):
    """Every option of `Forecaster`."""

    horizon: int = option(default=12, help="Steps to forecast.", panel=DATA, check=whole(1, 100_000))
    target: Columns = option(
        default=(), help="Columns to forecast; all numeric columns that have no other use, if omitted.", panel=DATA
    )
    key: Columns = option(default=(), help="Columns that tell one series from another.", panel=DATA)
    time: str | None = option(
        default=None, help="Column of the timestamps; gaps between them become missing steps.", panel=DATA
    )
    past_covariates: Columns = option(default=(), help="Columns to learn from whose future is not known.", panel=DATA)
    future_covariates: Columns = option(
        default=(),
        help="Columns whose future is known: to forecast, give rows without a target for the steps to come.",
        panel=DATA,
    )
    static_covariates: Columns = option(default=(), help="Columns with one value per series.", panel=DATA)
    calendar: bool = option(
        default=True, help="Learn from the timestamps' place in the day, week and year.", panel=DATA, check=flag
    )
    season_length: int | None = option(
        default=None,
        help="Steps of a season; the default for the frequency of the timestamps, if omitted.",
        panel=DATA,
        check=SIZE,
    )
    split: tuple[float, float, float] = option(
        default=(0.8, 0.1, 0.1),
        help="Shares of the training, validation and test parts: the end of each series is its test part.",
        panel=DATA,
        check=shares,
    )
    context_length: int | None = option(
        default=None, help="Steps of the past that a forecast is made from.", panel=SIZES, check=whole(1, 100_000)
    )
    head: str = option(
        default="quantiles",
        help='What is forecast: "quantiles", or a distribution: "gaussian", "student-t" or, for counts, '
        '"negative-binomial".',
        check=one_of("head", ("quantiles", "gaussian", "student-t", "negative-binomial")),
    )
    mode: str = option(
        default="direct",
        help='"direct" forecasts all steps at once; "autoregressive" draws paths, step after step.',
        check=one_of("mode", ("direct", "autoregressive")),
    )
    scaling: str | None = option(
        default=None,
        help='How each window is scaled: "standard" (mean and standard deviation), "last" (last value and standard '
        'deviation), "log" (the same of logarithms), "mean" or "none".',
        check=one_of("scaling", ("standard", "last", "mean", "log", "none")),
    )
    quantiles: Sequence[float] = option(
        default=(0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9), help="Quantiles to forecast; 0.5 must be one of them."
    )
    samples: int = option(
        default=200,
        help="Sample paths from which the quantiles of a distribution are estimated.",
        check=whole(1, 100_000),
    )
    joint: bool = option(
        default=False,
        help="Read all target columns together, instead of each on its own with shared weights.",
        check=flag,
    )

    def check(self) -> None:
        super().check()
        try:
            quantiles = [float(level) for level in self.quantiles]
        except (TypeError, ValueError):
            quantiles = []
        if 0.5 not in quantiles or sorted(set(quantiles)) != quantiles or not all(0 < q < 1 for q in quantiles):
            raise OptionError(f"quantiles must rise from above 0 to below 1 and hold 0.5, not {self.quantiles!r:.60}")
        if self.mode == "autoregressive":
            if self.horizon > _MOST_STEPS:
                raise OptionError(
                    f"horizon is {self.horizon}, but mode 'autoregressive' draws at most {_MOST_STEPS:,} steps, one "
                    "after the other. Lower it, or use mode 'direct'"
                )
            if self.head == "quantiles":
                raise OptionError(
                    "mode 'autoregressive' draws values, but the head 'quantiles' is no distribution. Choose the head "
                    "'gaussian', 'student-t' or 'negative-binomial', or mode 'direct'"
                )
            if names(self.past_covariates):
                raise OptionError(
                    "past covariates are not known ahead, as mode 'autoregressive' needs. Use mode 'direct'"
                )
        if self.head == "negative-binomial" and self.scaling in ("standard", "last", "log"):
            raise OptionError(f"the head 'negative-binomial' is for counts, but scaling '{self.scaling}' moves zero")
