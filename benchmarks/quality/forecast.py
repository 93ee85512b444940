"""Are forecasts as good as published ones, and better than plain rules? Defaults throughout; one network per data set.

- m4_hourly: 414 series, the competition's own test of 48 hours; validation is the last tenth of each training series.
- etth1: 7 columns, 12/4/4 months (8,640/2,880/2,880 hours), every origin in the last four months; errors are divided by
  each column's standard deviation in the first twelve.
- exchange_rate: 8 daily rates, 60/20/20 by time, 24 days ahead from every origin; its season is one step, so that the
  seasonal naive forecast is the last value, the hardest of them to beat.
- univariate_small: 70/10/20 by time, every origin; where so little is left that fewer than 200 windows remain, the
  validation tenth is trained on.
"""

from __future__ import annotations

import csv
import gzip
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from gatewise.data.sequences import Column, Sequences
from gatewise.tasks import Forecaster

from .row import Row

_THREADS = 2


def _lines(path: Path) -> list[list[str]]:
    with gzip.open(path, "rt") if path.suffix == ".gz" else open(path) as lines:
        return [row for row in csv.reader(lines) if row]


def _sequences(name: str, series: list[np.ndarray], columns: list[str], stamps: np.ndarray | None = None) -> Sequences:
    values = np.concatenate([one.reshape(len(one), -1) for one in series])
    steps = {column: Column(column, "number", values[:, place].copy()) for place, column in enumerate(columns)}
    if stamps is not None:
        steps["date"] = Column("date", "time", stamps)
    return Sequences(np.concatenate([[0], np.cumsum([len(one) for one in series])]).astype(np.int64), steps, {}, name)


def _figures(own: dict[str, Any], baselines: dict[str, Any], measure: str) -> dict[str, Any]:
    return {measure: own[measure], "baselines": {name: figures[measure] for name, figures in baselines.items()}}


def _chosen(forecaster: Forecaster) -> dict[str, Any]:
    """What was chosen from the data; "kept" is the blend weight of the recurrent part, chosen on validation windows: at
    0 the forecasts are those of the solved linear part alone."""
    return {**vars(forecaster.sizing_), "kept": float(forecaster.model_.blend_weight)}


@lru_cache(maxsize=4)  # two rows of one training
def _m4_hourly(folder: Path, seed: int) -> dict[str, Any]:
    past, future = (
        [
            np.array([float(v) for v in row[1:] if v])
            for row in _lines(folder / "m4_hourly" / f"Hourly-{part}.csv.gz")[1:]
        ]
        for part in ("train", "test")
    )
    forecaster = Forecaster(horizon=48, season_length=24, split=(0.9, 0.1, 0), seed=seed, threads=_THREADS)
    forecaster.fit(_sequences("m4_hourly", past, ["value"]))
    whole = [np.concatenate(pair) for pair in zip(past, future, strict=True)]
    return forecaster.backtest(_sequences("m4_hourly", whole, ["value"]), origins=1) | {"chosen": _chosen(forecaster)}


def _m4(measure: str, folder: Path, seed: int) -> dict[str, Any]:
    found = _m4_hourly(Path(folder), seed)
    return {
        **_figures(found["all"], found["baselines"], measure),
        "options": {"horizon": 48, "season_length": 24, "split": (0.9, 0.1, 0)},
        "chosen": found["chosen"],
        "coverage": found["all"]["coverage"],
    }


def _etth1(horizon: int, folder: Path, seed: int) -> dict[str, Any]:
    names, *rows = _lines(Path(folder) / "etth1" / "ETTh1.csv.gz")
    rows = rows[:14_400]
    values = np.array([[float(value) for value in row[1:]] for row in rows])
    stamps = np.array([row[0] for row in rows], "datetime64[us]")
    options = {"horizon": horizon, "time": "date", "split": (0.6, 0.2, 0.2)}
    forecaster = Forecaster(**options, seed=seed, threads=_THREADS).fit(
        _sequences("etth1", [values], names[1:], stamps)
    )
    metrics = forecaster.metrics_
    return {
        **_figures(metrics["test"], metrics["baselines"], "mse_standardised"),
        "options": options,
        "chosen": _chosen(forecaster),
        "mae_standardised": metrics["test"]["mae_standardised"],
        "windows": metrics["test"]["windows"],
    }


def _against_rules(series: Sequences, options: dict[str, Any], seed: int) -> dict[str, Any]:
    """MASE as a share of that of the better one of seasonal naive and drift: below 1 is better than both."""
    forecaster = Forecaster(**options, seed=seed, threads=_THREADS).fit(series)
    own = forecaster.metrics_["test"]["mase"]
    plain = {name: figures["mase"] for name, figures in forecaster.metrics_["baselines"].items()}
    best = min(plain["seasonal naive"], plain["drift"])
    return {
        "mase_share": own / best,
        "baselines": {name: mase / best for name, mase in plain.items()},
        "options": options,
        "chosen": _chosen(forecaster),
        "mase": own,
        "baselines_mase": plain,
        "windows": forecaster.metrics_["test"]["windows"],
    }


def _exchange_rate(folder: Path, seed: int) -> dict[str, Any]:
    rows = _lines(Path(folder) / "exchange_rate" / "exchange_rate.txt.gz")
    values = np.array([[float(value) for value in row] for row in rows])
    series = _sequences("exchange_rate", [values], [f"rate {place}" for place in range(1, 9)])
    return _against_rules(series, {"horizon": 24, "season_length": 1, "split": (0.6, 0.2, 0.2)}, seed)


_SMALL = {  # series -> season, horizon
    "airline-passengers": (12, 12),
    "monthly-sunspots": (12, 12),
    "shampoo": (12, 6),
    "monthly-car-sales": (12, 12),
    "daily-min-temperatures": (7, 14),
}


def _small(name: str, folder: Path, seed: int) -> dict[str, Any]:
    values = np.array([float(row[1]) for row in _lines(Path(folder) / "univariate_small" / f"{name}.csv")[1:]])
    season, horizon = _SMALL[name]
    options = {"horizon": horizon, "season_length": season, "split": (0.7, 0.1, 0.2)}
    return _against_rules(_sequences(name, [values], ["value"]), options, seed)


_THREE = (0, 1, 2)
_M4 = "Makridakis et al. (2020), 'The M4 Competition': seasonal naive {}, winner ES-RNN {}"
_ETT = "Nie et al. (2023), PatchTST: DLinear and PatchTST {}; Zhou et al. (2021), Informer: LSTMa 1.2-1.4 at 168-336"

ROWS = (
    Row(
        name="m4_hourly_smape",
        task="forecast",
        data="m4_hourly, its own test of 48 hours",
        measure="smape",
        goal=11.0,
        better="less",
        run=partial(_m4, "smape"),
        yardstick=_M4.format("13.912", "9.328"),
    ),
    Row(
        name="m4_hourly_mase",
        task="forecast",
        data="m4_hourly, its own test of 48 hours",
        measure="mase",
        goal=1.0,
        better="less",
        run=partial(_m4, "mase"),
        yardstick=_M4.format("1.193", "0.893"),
    ),
    *(
        Row(
            name=f"etth1_{horizon}",
            task="forecast",
            data="etth1, 12/4/4 months, every origin",
            measure="mse_standardised",
            goal=goal,
            better="less",
            run=partial(_etth1, horizon),
            seeds=_THREE,
            yardstick=_ETT.format(published),
        )
        for horizon, goal, published in ((96, 0.40, "0.370-0.375"), (336, 0.48, "0.422-0.439"))
    ),
    Row(
        name="exchange_rate",
        task="forecast",
        data="exchange_rate, 60/20/20 by time, 24 steps from every origin",
        measure="mase_share",
        goal=1.0,
        better="less",
        run=_exchange_rate,
        seeds=_THREE,
        yardstick="the better one of the last value and drift is 1; Meese & Rogoff (1983): none beats the last value",
    ),
    *(
        Row(
            name=name.replace("-", "_"),
            task="forecast",
            data=f"univariate_small, {name}, 70/10/20 by time, {horizon} steps from every origin",
            measure="mase_share",
            goal=1.0,
            better="less",
            run=partial(_small, name),
            seeds=_THREE,
            yardstick="the better one of seasonal naive and drift is 1",
        )
        for name, (_, horizon) in _SMALL.items()
    ),
)
