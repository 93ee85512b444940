"""Are forecasts of many series better than plain methods, and than the networks of NeuralForecast in the same time?

    python -m benchmarks.forecasting [SET ...]

One network for all series of a set, with default options, on the test that its competition has; or for all columns of
a table, on evenly spaced origins in its last part, with errors in standard deviations of what was before. The peers
(LSTM, NHITS and DLinear of NeuralForecast, if it is installed) have their defaults, with windows of two horizons where
they ask for one, no limit of steps, and the seconds that Gatewise took with all its plain methods. One thread each;
what is measured is the mean over all series. The standard error is over series, of the difference in MASE to Gatewise.

Sets that are named are measured anew; the table in docs/forecasting.md is written from all of them.
"""

from __future__ import annotations

import logging
import sys
import time
import warnings
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np

from gatewise.metrics.forecasting import seasonal_error, smape
from gatewise.tasks import Forecaster

from .quality.forecast import COMPETITIONS, as_sequences, competition, read_table
from .record import ROOT, measured_anew, write_table

DATA = ROOT.parent / "shared" / "data"
OURS = "Gatewise"
PEERS = ("LSTM", "NHITS", "DLinear")
COVERAGES = ("coverage_80", "coverage_95")
# A table's file, rows, horizon, shares of its parts and, where they differ from what its stamps say, the start of its
# hours and its season.
TABLES = {
    "national_illness": ("national_illness/national_illness.csv.gz", None, 24, (0.7, 0.1, 0.2), None, 52),
    "etth1": ("etth1/ETTh1.csv.gz", 14_400, 96, (0.6, 0.2, 0.2), None, None),
    "ettm1": ("ettm1/ETTm1.csv.gz", 57_600, 96, (0.6, 0.2, 0.2), None, None),
    "gefcom2012_load": ("gefcom2012_load/load_zones_1_to_5.csv.gz", None, 96, (0.7, 0.1, 0.2), "2004-01-01", None),
}
ORIGINS = 500  # about, of a table's test
OF_SETS, OF_TABLES = ("mase", "smape"), ("mse_standardised", "mae_standardised")  # the first one tells the best
SAID = {"smape": "sMAPE", "mase": "MASE", "mse_standardised": "MSE", "mae_standardised": "MAE"}


def peer_version() -> str | None:
    try:
        return version("neuralforecast")
    except PackageNotFoundError:
        return None


def peer(
    kind: str, series: Sequence[np.ndarray], horizon: int, seconds: float, tested: int = 0, stride: int = 1
) -> np.ndarray:
    """(N, H) forecasts of a network of NeuralForecast after the end of series; or (N, origins, H) from every so many
    steps in their last `tested` ones, of which it does not learn."""
    import pandas
    from neuralforecast import NeuralForecast, models

    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    frames = []
    for number, values in enumerate(series):
        known = pandas.Series(values).interpolate(limit_direction="both")
        frames.append(pandas.DataFrame({"unique_id": number, "ds": np.arange(len(values)), "y": known}))
    more = {} if kind == "LSTM" else {"input_size": 2 * horizon}
    model = getattr(models, kind)(
        h=horizon,
        max_steps=1_000_000,
        start_padding_enabled=True,
        max_time={"seconds": seconds},
        enable_progress_bar=False,
        logger=False,
        enable_checkpointing=False,
        accelerator="cpu",
        **more,
    )
    forecaster = NeuralForecast(models=[model], freq=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if tested:
            found = forecaster.cross_validation(
                pandas.concat(frames), n_windows=None, val_size=0, test_size=tested, step_size=stride
            )
            found = found.sort_values(["unique_id", "cutoff", "ds"])
            return found[kind].to_numpy().reshape(len(series), -1, horizon)
        forecaster.fit(pandas.concat(frames))
        return forecaster.predict()[kind].to_numpy().reshape(len(series), horizon)


def figures(truth: Sequence[np.ndarray], points: np.ndarray, scales: np.ndarray) -> tuple[dict[str, float], np.ndarray]:
    """sMAPE and MASE over all values, and each series' own MASE (N,)."""
    actual = np.stack(truth)
    scaled = np.nanmean(np.abs(actual - points), axis=1) / np.where(scales > 0, scales, np.nan)
    return {"smape": float(np.nanmean(smape(actual, points))), "mase": float(np.nanmean(scaled))}, scaled


def measured(name: str) -> dict[str, Any]:
    return _of_table(name) if name in TABLES else _of_competition(name)


def _of_competition(name: str) -> dict[str, Any]:
    past, whole, season, horizon = competition(name, DATA)
    truth = [series[-horizon:] for series in whole]
    scales = np.array([seasonal_error(series, season) for series in past])
    started = time.monotonic()
    options = {"horizon": horizon, "season_length": season, "split": (0.9, 0.1, 0), "key": "series"}
    forecaster = Forecaster(**options, seed=0, threads=1).fit(as_sequences(name, past, ["value"]))
    seconds = time.monotonic() - started
    backtest = forecaster.backtest(as_sequences(name, whole, ["value"]), origins=1)
    own, each = figures(truth, forecaster.predict(as_sequences(name, past, ["value"])), scales)
    methods = {OURS: {**own, "seconds": seconds, "share": forecaster.share_}}
    methods[OURS] |= {name: backtest["all"][name] for name in COVERAGES}
    print(name, OURS, methods[OURS], flush=True)
    for plain, scores in backtest["baselines"].items():
        methods[plain] = {"smape": scores["smape"], "mase": scores["mase"]}
    for kind in PEERS if peer_version() else ():
        begun = time.monotonic()
        scores, theirs = figures(truth, peer(kind, past, horizon, seconds), scales)
        gains = (theirs - each)[np.isfinite(theirs - each)]
        error = float(gains.std() / np.sqrt(len(gains)))
        methods[f"NeuralForecast {kind}"] = {**scores, "seconds": time.monotonic() - begun, "standard_error": error}
        print(name, kind, scores, flush=True)
    strongest = backtest["strongest_plain"]
    return {
        "series": len(past),
        "horizon": horizon,
        "neuralforecast": peer_version(),
        "methods": methods,
        "strongest_plain": strongest,
        "earned": backtest["earned"],
    }


class _Unmeasured(Forecaster):
    """Fitted without being measured, for its seconds."""

    def _evaluate(self, *_: Any) -> dict[str, Any]:
        return {}


def _of_table(name: str) -> dict[str, Any]:
    path, rows, horizon, split, start, season = TABLES[name]
    values, columns, stamps = read_table(DATA / path, rows, start)
    cut = len(values) - round(split[2] * len(values))
    stride = max(1, (len(values) - cut - horizon) // ORIGINS)
    origins = (len(values) - cut - horizon) // stride + 1
    validated = split[1] / (split[0] + split[1])
    options: dict[str, Any] = {"horizon": horizon, "time": "date", "season_length": season}
    started = time.monotonic()
    forecaster = _Unmeasured(**options, split=(1 - validated, validated, 0), seed=0, threads=1)
    forecaster.fit(as_sequences(name, [values[:cut]], columns, stamps[:cut]))
    seconds = time.monotonic() - started
    backtest = forecaster.backtest(as_sequences(name, [values], columns, stamps), origins=origins, stride=stride)
    own = backtest["all"]
    methods = {OURS: {measure: own[measure] for measure in (*OF_TABLES, *COVERAGES)}}
    methods[OURS] |= {"seconds": seconds, "share": forecaster.share_}
    print(name, OURS, methods[OURS], flush=True)
    for plain, scores in backtest["baselines"].items():
        methods[plain] = {measure: scores[measure] for measure in OF_TABLES}
    tested = horizon + stride * (origins - 1)
    at = len(values) - tested + stride * np.arange(origins)[:, None] + np.arange(horizon)
    truth = values.T[:, at]  # (columns, origins, horizon)
    std = np.nanstd(values[: len(values) - tested], axis=0)[:, None, None]
    for kind in PEERS if peer_version() else ():
        begun = time.monotonic()
        errors = (peer(kind, [*values.T], horizon, seconds, tested, stride) - truth) / std
        scores = {"mse_standardised": float(np.nanmean(errors**2)), "mae_standardised": float(np.nanmean(abs(errors)))}
        methods[f"NeuralForecast {kind}"] = {**scores, "seconds": time.monotonic() - begun}
        print(name, kind, scores, flush=True)
    return {
        "series": len(columns),
        "horizon": horizon,
        "origins": origins,
        "neuralforecast": peer_version(),
        "methods": methods,
        "strongest_plain": backtest["strongest_plain"],
        "earned": backtest["earned"],
    }


def table(known: dict[str, Any]) -> str:
    """Two measures of Gatewise, the plain method that was chosen, the best one by the test, and the peers."""
    lines = [
        "| set | series | measures | Gatewise | share | covers | plain, chosen | plain, best by the test | "
        + " | ".join(f"NeuralForecast {kind}" for kind in PEERS)
        + " | seconds |",
        "| --- |" + " --- |" * (8 + len(PEERS)),
    ]
    for name, found in known.items():
        methods = found["methods"]
        own = methods[OURS]
        measures = OF_SETS if OF_SETS[0] in own else OF_TABLES
        plain = [m for m in methods if m != OURS and not m.startswith("NeuralForecast")]
        best = min(plain, key=lambda m: methods[m][measures[0]])
        chosen = found["strongest_plain"]["name"]
        shown = [OURS, chosen, best, *(f"NeuralForecast {kind}" for kind in PEERS)]
        least = min(methods[m][measures[0]] for m in shown if m in methods)

        def said(
            method: str, methods: dict[str, Any] = methods, measures: Sequence[str] = measures, least: float = least
        ) -> str:
            if method not in methods:
                return "-"
            text = ", ".join(f"{methods[method][m]:{'.2f' if m == 'smape' else '.3f'}}" for m in measures)
            return f"**{text}**" if methods[method][measures[0]] == least else text

        cells = [name, f"{found['series']:,}", ", ".join(SAID[measure] for measure in measures), said(OURS)]
        cells += [f"{own['share']:.2f}", ", ".join(f"{own[name]:.0%}" for name in COVERAGES if name in own) or "-"]
        cells += [f"{said(chosen)} ({chosen})", f"{said(best)} ({best})", *map(said, shown[3:])]
        lines.append(f"| {' | '.join(cells)} | {own['seconds']:.0f} |")
    return "\n".join(lines)


def main(names: Sequence[str]) -> None:
    every = [*COMPETITIONS, *TABLES]
    if not DATA.is_dir() or not set(names) <= set(every):
        sys.exit(f"sets are {', '.join(every)}, in {DATA}")
    known = measured_anew("forecasting", (__doc__ or "").partition("\n")[0], every, names, measured)
    write_table("docs/forecasting.md", "sets", table(known))


if __name__ == "__main__":
    main(sys.argv[1:])
