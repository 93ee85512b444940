"""Are forecasts as good as published ones, and better than plain rules? Defaults throughout; one network per data set.

- m4_hourly: 414 series, the competition's own test of 48 hours; validation is the last tenth of each training series.
- etth1: 7 columns, 12/4/4 months (8,640/2,880/2,880 hours), every origin in the last four months; errors are divided by
  each column's standard deviation in the first twelve.
- exchange_rate: 8 daily rates, 60/20/20 by time, 24 days ahead from every origin; its season is one step, so that the
  seasonal naive forecast is the last value, the hardest of them to beat.
- ettm1: as etth1, of quarters of an hour. national_illness and exchange_rate_96: 70/10/20 by time, as published.
- gefcom2012_load: 5 zones, 70/10/20 by time; 8 weeks of it are missing.
- m4_weekly, m3_quarterly (300 of 756 series), tourism_monthly: the competitions' own tests. nn5: the last 56 days are
  the test. carparts: those 2,509 series that are complete; their last 12 months.
- univariate_small: 70/10/20 by time, every origin.
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

from .row import Row, judgement

_THREADS = 2


def _lines(path: Path) -> list[list[str]]:
    with gzip.open(path, "rt") if path.suffix == ".gz" else open(path) as lines:
        return [row for row in csv.reader(lines) if row]


def as_sequences(
    name: str, series: list[np.ndarray], columns: list[str], stamps: np.ndarray | None = None
) -> Sequences:
    """Series as a reader gives them, told apart by the column "series"."""
    values = np.concatenate([one.reshape(len(one), -1) for one in series])
    steps = {column: Column(column, "number", values[:, place].copy()) for place, column in enumerate(columns)}
    if stamps is not None:
        steps["date"] = Column("date", "time", stamps)
    keys = Column("series", "category", np.arange(len(series)), tuple(f"{number}" for number in range(len(series))))
    offsets = np.concatenate([[0], np.cumsum([len(one) for one in series])]).astype(np.int64)
    return Sequences(offsets, steps, {"series": keys}, name)


def _figures(own: dict[str, Any], baselines: dict[str, Any], measure: str) -> dict[str, Any]:
    return {measure: own[measure], "baselines": {name: figures[measure] for name, figures in baselines.items()}}


def _chosen(forecaster: Forecaster) -> dict[str, Any]:
    """What was chosen from the data; "plain" are the shares of the plain methods among themselves."""
    assert forecaster.plain_ is not None
    shares = map(float, forecaster.plain_.shares.mean(0))
    return {**vars(forecaster.sizing_), "plain": dict(zip(forecaster.plain_.methods, shares, strict=True))}


# Of a competition: file of the past and of the test, columns before their values, lines before the first series; season
# and horizon. One file is both where the test is the end of each series.
COMPETITIONS = {
    "m4_hourly": (("Hourly-train.csv.gz", 1, 1), ("Hourly-test.csv.gz", 1, 1), 24, 48),
    "m4_weekly": (("Weekly-train.csv.gz", 1, 1), ("Weekly-test.csv.gz", 1, 1), 1, 13),
    "m3_quarterly": (("train.csv.gz", 3, 0), ("test.csv.gz", 1, 0), 4, 8),
    "tourism_monthly": (("train.csv.gz", 2, 0), ("test.csv.gz", 1, 0), 12, 24),
    "nn5": (("nn5.csv.gz", 1, 0), None, 7, 56),
    "carparts": (("carparts.csv.gz", 1, 0), None, 12, 12),
}


def _read(path: Path, before: int, head: int) -> list[np.ndarray]:
    """A series per line, up to its last value."""
    rows = (np.array([float(value or "nan") for value in row[before:]]) for row in _lines(path)[head:])
    return [row[: np.flatnonzero(np.isfinite(row))[-1] + 1] for row in rows]


def competition(name: str, folder: Path) -> tuple[list[np.ndarray], list[np.ndarray], int, int]:
    """Series as far as they are known, the same with their test, season and horizon."""
    own, test, season, horizon = COMPETITIONS[name]
    past = _read(folder / name / own[0], *own[1:])
    if name == "carparts":
        past = [series for series in past if np.isfinite(series).all() and len(series) == 51]
    if test is None:
        return [series[:-horizon] for series in past], past, season, horizon
    future = _read(folder / name / test[0], *test[1:])
    return past, [np.concatenate(pair) for pair in zip(past, future, strict=True)], season, horizon


@lru_cache(maxsize=4)  # two rows of one training
def _competition_of(name: str, folder: Path, seed: int) -> dict[str, Any]:
    past, whole, season, horizon = competition(name, folder)
    options = {"horizon": horizon, "season_length": season, "split": (0.9, 0.1, 0), "key": "series"}
    forecaster = Forecaster(**options, seed=seed, threads=_THREADS).fit(as_sequences(name, past, ["value"]))
    found = forecaster.backtest(as_sequences(name, whole, ["value"]), origins=1)
    return found | {"chosen": _chosen(forecaster), "options": options}


def _competition(name: str, measure: str, folder: Path, seed: int) -> dict[str, Any]:
    found = _competition_of(name, Path(folder), seed)
    return {
        **_figures(found["all"], found["baselines"], measure),
        **judgement(found),
        "options": found["options"],
        "chosen": found["chosen"],
        "coverage": found["all"]["coverage"],
    }


def read_table(path: Path, rows: int | None, start: str | None) -> tuple[np.ndarray, list[str], np.ndarray]:
    """Values (T, C) of a table's columns, their names, and its stamps; rows and start as for `_table`."""
    names, *lines = _lines(path)
    lines = lines[:rows]
    values = np.array([[float(value or "nan") for value in row[1:]] for row in lines])
    if start is None:
        stamps = np.array([row[0] for row in lines], "datetime64[us]")
    else:
        stamps = np.datetime64(start, "us") + np.array([int(row[0]) for row in lines]) * np.timedelta64(3600, "s")
    return values, names[1:], stamps


def _table(
    path: str, rows: int | None, options: dict[str, Any], folder: Path, seed: int, start: str | None = None
) -> dict[str, Any]:
    """Of all columns of one table, the first of which is the time, in units of each one's standard deviation.

    Args:
        rows: To read; all of them, if None.
        start: Of the time, where it is counted in hours.
    """
    values, columns, stamps = read_table(Path(folder) / path, rows, start)
    data = as_sequences(path.partition("/")[0], [values], columns, stamps)
    return _standardised(data, {"time": "date", **options}, seed)


def _standardised(data: Sequences, options: dict[str, Any], seed: int) -> dict[str, Any]:
    forecaster = Forecaster(**options, seed=seed, threads=_THREADS).fit(data)
    metrics = forecaster.metrics_
    return {
        **_figures(metrics["test"], metrics["baselines"], "mse_standardised"),
        **judgement(metrics),
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
        **judgement(forecaster.metrics_),
        "baselines": {name: mase / best for name, mase in plain.items()},
        "options": options,
        "chosen": _chosen(forecaster),
        "mase": own,
        "baselines_mase": plain,
        "windows": forecaster.metrics_["test"]["windows"],
    }


def _exchange_rates(folder: Path) -> Sequences:
    rows = _lines(Path(folder) / "exchange_rate" / "exchange_rate.txt.gz")
    values = np.array([[float(value) for value in row] for row in rows])
    return as_sequences("exchange_rate", [values], [f"rate {place}" for place in range(1, 9)])


def _exchange_rate(folder: Path, seed: int) -> dict[str, Any]:
    options = {"horizon": 24, "season_length": 1, "split": (0.6, 0.2, 0.2)}
    return _against_rules(_exchange_rates(folder), options, seed)


def _exchange_rate_96(folder: Path, seed: int) -> dict[str, Any]:
    options = {"horizon": 96, "season_length": 1, "split": (0.7, 0.1, 0.2)}
    return _standardised(_exchange_rates(folder), options, seed)


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
    return _against_rules(as_sequences(name, [values], ["value"]), options, seed)


_THREE = (0, 1, 2)
_M4 = "Makridakis et al. (2020), 'The M4 Competition': seasonal naive {}, winner ES-RNN {}"
_ETT = "Nie et al. (2023), PatchTST: DLinear and PatchTST {}; Zhou et al. (2021), Informer: LSTMa 1.2-1.4 at 168-336"

ROWS = (
    Row(
        name="m4_hourly_smape",
        task="forecast",
        data="m4_hourly, its own test of 48 hours",
        measure="smape",
        better="less",
        run=partial(_competition, "m4_hourly", "smape"),
        yardstick=_M4.format("13.912", "9.328"),
    ),
    Row(
        name="m4_hourly_mase",
        task="forecast",
        data="m4_hourly, its own test of 48 hours",
        measure="mase",
        better="less",
        run=partial(_competition, "m4_hourly", "mase"),
        yardstick=_M4.format("1.193", "0.893"),
    ),
    *(
        Row(
            name=f"etth1_{horizon}",
            task="forecast",
            data="etth1, 12/4/4 months, every origin",
            measure="mse_standardised",
            better="less",
            run=partial(_table, "etth1/ETTh1.csv.gz", 14_400, {"horizon": horizon, "split": (0.6, 0.2, 0.2)}),
            seeds=_THREE,
            yardstick=_ETT.format(published),
        )
        for horizon, published in ((96, "0.370-0.375"), (336, "0.422-0.439"))
    ),
    Row(
        name="ettm1_96",
        task="forecast",
        data="ettm1, 12/4/4 months, every origin or evenly spaced ones",
        measure="mse_standardised",
        better="less",
        run=partial(_table, "ettm1/ETTm1.csv.gz", 57_600, {"horizon": 96, "split": (0.6, 0.2, 0.2)}),
        yardstick="from memory: Zeng et al. (2023), DLinear 0.299; Nie et al. (2023), PatchTST 0.290",
    ),
    Row(
        name="national_illness_24",
        task="forecast",
        data="national_illness, 70/10/20 by time, every origin",
        measure="mse_standardised",
        better="less",
        run=partial(
            _table,
            "national_illness/national_illness.csv.gz",
            None,
            {"horizon": 24, "season_length": 52, "split": (0.7, 0.1, 0.2)},
        ),
        yardstick="from memory: Zeng et al. (2023), DLinear 2.215; Nie et al. (2023), PatchTST 1.319",
    ),
    *(
        Row(
            name=f"gefcom2012_load_{horizon}",
            task="forecast",
            data="gefcom2012_load, 5 zones, 70/10/20 by time, every origin",
            measure="mse_standardised",
            better="less",
            run=partial(
                _table,
                "gefcom2012_load/load_zones_1_to_5.csv.gz",
                None,
                {"horizon": horizon, "split": (0.7, 0.1, 0.2)},
                start="2004-01-01",
            ),
        )
        for horizon in (96, 336)
    ),
    Row(
        name="exchange_rate_96",
        task="forecast",
        data="exchange_rate, 70/10/20 by time, 96 steps from every origin",
        measure="mse_standardised",
        better="less",
        run=_exchange_rate_96,
        yardstick="from memory: Zeng et al. (2023), repeating the last value 0.081, DLinear 0.081",
    ),
    *(
        Row(
            name=name,
            task="forecast",
            data=f"{name}, {test}",
            measure=measure,
            better="less",
            run=partial(_competition, name, measure),
            yardstick=yardstick,
        )
        for name, test, measure, yardstick in (
            ("m4_weekly", "its own test of 13 weeks", "smape", "from memory: the last value 9.161"),
            ("m3_quarterly", "300 of 756 series, their own test of 8 quarters", "smape", ""),
            ("tourism_monthly", "its own test of 24 months", "mase", "from memory: seasonal naive 1.631"),
            ("nn5", "the last 56 days", "smape", ""),
            ("carparts", "2,509 complete series, their last 12 months", "mase", ""),
        )
    ),
    Row(
        name="exchange_rate",
        task="forecast",
        data="exchange_rate, 60/20/20 by time, 24 steps from every origin",
        measure="mase_share",
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
            better="less",
            run=partial(_small, name),
            seeds=_THREE,
            yardstick="the better one of seasonal naive and drift is 1",
        )
        for name, (_, horizon) in _SMALL.items()
    ),
)
