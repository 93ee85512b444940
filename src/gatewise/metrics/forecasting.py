"""Metrics of point, quantile and sample forecasts: MAE, RMSE, sMAPE, MASE, CRPS, coverage.

N forecasts of H steps of C columns; missing values (NaN) are not counted.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

INTERVAL_LEVELS = (0.025, 0.1, 0.9, 0.975)  # the bounds of the intervals of 95 and 80 %


@dataclass(frozen=True)
class Forecast:
    """A model's or baseline's forecast of N windows.

    Attributes:
        point: (N, C, H), in the units of the data.
        quantiles: (N, C, H, Q), ascending along Q; None if the method has none.
        samples: (S, N, C, H) sample paths; None if the head predicts quantiles directly.
        intervals: (N, C, H, 4) quantiles at `INTERVAL_LEVELS`; None if they cannot be told.
    """

    point: np.ndarray
    quantiles: np.ndarray | None = None
    samples: np.ndarray | None = None
    intervals: np.ndarray | None = None

    def of_column(self, column: int) -> Forecast:
        """The forecast of one column alone."""
        one = slice(column, column + 1)
        return Forecast(
            self.point[:, one],
            None if self.quantiles is None else self.quantiles[:, one],
            None if self.samples is None else self.samples[:, :, one],
            None if self.intervals is None else self.intervals[:, one],
        )


def seasonal_error(history: np.ndarray, season: int) -> float:
    """MASE's scale: mean |y_t - y_(t-season)| over a series' history (n,), in its units; NaN if 0 or undefined.

    Source: Hyndman & Koehler (2006), "Another look at measures of forecast accuracy".
    """
    steps = np.abs(history[season:] - history[:-season]) if len(history) > season else np.zeros(0)
    steps = steps[np.isfinite(steps)]
    return float(steps.mean()) if len(steps) and steps.mean() > 0 else float("nan")


def smape(truth: np.ndarray, point: np.ndarray) -> np.ndarray:
    """sMAPE of each value in percent, 200 |y - f| / (|y| + |f|) as in M4: from 0 to 200, and 0 where both are 0.

    Source: Makridakis, Spiliotis & Assimakopoulos (2020), "The M4 Competition", Int. J. of Forecasting 36.
    """
    below = np.abs(truth) + np.abs(point)
    with np.errstate(invalid="ignore"):
        return np.where(below == 0, 0.0, 200 * np.abs(truth - point) / np.where(below == 0, 1.0, below))


def pinball_loss(truth: np.ndarray, quantiles: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """Pinball loss of each value and level, (..., Q), in the units of the data; the true quantile minimises its mean.

    Source: Koenker & Bassett (1978), "Regression quantiles", Econometrica 46.
    """
    above = truth[..., None] - quantiles
    return np.maximum(levels * above, (levels - 1) * above)


def crps_of_quantiles(truth: np.ndarray, quantiles: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """CRPS of each value, approximated as twice its mean pinball loss over these levels; in the units of the data.

    Source: Gneiting & Ranjan (2011), "Comparing density forecasts", Journal of Business & Economic Statistics 29.
    """
    return 2 * pinball_loss(truth, quantiles, levels).mean(-1)


def crps_of_samples(truth: np.ndarray, samples: np.ndarray) -> np.ndarray:
    """CRPS of each value, E|X - y| - E|X - X'| / 2 over samples (S, ...), without pairs of a sample with itself; in the
    units of the data.

    Source: Gneiting & Raftery (2007), "Strictly proper scoring rules", JASA 102, equation 21.
    """
    count = len(samples)
    distance = np.abs(samples - truth).mean(0)
    if count < 2:
        return distance
    # Sorted, the sum over pairs |x_i - x_j| is a weighted sum: no S x S table.
    weights = 2 * np.arange(1, count + 1) - count - 1
    spread = np.tensordot(weights, np.sort(samples, axis=0), 1) / (count * (count - 1))
    return distance - spread


@dataclass
class ForecastScores:
    """Metrics of forecasts that arrive in batches.

    Attributes:
        horizon: Steps, H.
        levels: Of the quantiles, ascending.
    """

    horizon: int
    levels: np.ndarray = field(default_factory=lambda: np.zeros(0))

    def __post_init__(self) -> None:
        self._sums: dict[str, float] = {}
        self._counts: dict[str, int] = {}
        self._by_step = np.zeros((2, self.horizon))  # sum and count of MASE's terms, for each step ahead
        self.windows = 0

    def add(self, truth: np.ndarray, forecast: Forecast, scale: np.ndarray, std: np.ndarray) -> None:
        """Add some windows.

        Args:
            truth: (N, C, H), NaN where unknown.
            scale: (N, C) `seasonal_error` of each window's series.
            std: (N, C) standard deviation that each series is divided by in the standardised metrics.
        """
        error = np.abs(truth - forecast.point)
        scaled = error / scale[..., None]
        self._sum("mae", error)
        self._sum("mse", error**2)
        self._sum("mse_standardised", (error / std[..., None]) ** 2)
        self._sum("mae_standardised", error / std[..., None])
        self._sum("smape", smape(truth, forecast.point))
        self._sum("mase", scaled)
        self._by_step += np.stack([np.nansum(scaled, axis=(0, 1)), np.isfinite(scaled).sum(axis=(0, 1))])
        if forecast.samples is not None:
            self._sum("crps", crps_of_samples(truth, forecast.samples))
        elif forecast.quantiles is not None:
            self._sum("crps", crps_of_quantiles(truth, forecast.quantiles, self.levels))
        if forecast.quantiles is not None and len(self.levels) > 1:
            self._covered("coverage", truth, forecast.quantiles[..., 0], forecast.quantiles[..., -1])
        if forecast.intervals is not None:
            self._covered("coverage_95", truth, forecast.intervals[..., 0], forecast.intervals[..., 3])
            self._covered("coverage_80", truth, forecast.intervals[..., 1], forecast.intervals[..., 2])
        self.windows += len(truth)

    def figures(self) -> dict[str, float | int | list[float] | None]:
        """Means over all values; None where undefined, such as MASE of a constant series."""
        found: dict[str, float | int | list[float] | None] = {
            name: self._sums[name] / self._counts[name] if self._counts[name] else None for name in self._sums
        }
        mse = found.pop("mse", None)
        found["rmse"] = float(np.sqrt(mse)) if isinstance(mse, float) else None
        if "coverage" in found:
            found["coverage_meant"] = round(float(self.levels[-1] - self.levels[0]), 10)
        if found.get("mase") is not None:
            found["mase_by_step"] = [float(v) for v in self._by_step[0] / np.maximum(1, self._by_step[1])]
        return {**found, "windows": self.windows, "values": self._counts.get("mae", 0)}

    def _covered(self, name: str, truth: np.ndarray, low: np.ndarray, high: np.ndarray) -> None:
        inside = ((truth >= low) & (truth <= high)).astype(float)
        self._sum(name, np.where(np.isfinite(truth), inside, np.nan))

    def _sum(self, name: str, values: np.ndarray) -> None:
        known = np.isfinite(values)
        self._sums[name] = self._sums.get(name, 0.0) + float(values[known].sum())
        self._counts[name] = self._counts.get(name, 0) + int(known.sum())
