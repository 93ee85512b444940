"""Are forecasts of many series better than plain methods, and than the networks of NeuralForecast in the same time?

    python -m benchmarks.forecasting [SET ...]

One network for all series of a set, with default options, on the test that its competition has. The peers (LSTM, NHITS
and DLinear of NeuralForecast, if it is installed) have their defaults, with windows of two horizons where they ask for
one, no limit of steps, and the seconds that Gatewise took with all its plain methods. One thread each; what is measured
is the mean over all series. The standard error is over series, of the difference in MASE to Gatewise.

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

from .quality.forecast import COMPETITIONS, as_sequences, competition
from .record import ROOT, measured_anew, write_table

DATA = ROOT.parent / "shared" / "data"
OURS = "Gatewise"
PEERS = ("LSTM", "NHITS", "DLinear")


def peer_version() -> str | None:
    try:
        return version("neuralforecast")
    except PackageNotFoundError:
        return None


def peer(kind: str, past: Sequence[np.ndarray], horizon: int, seconds: float) -> np.ndarray:
    """(N, H) forecasts of a network of NeuralForecast."""
    import pandas
    from neuralforecast import NeuralForecast, models

    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    frames = []
    for number, values in enumerate(past):
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
        forecaster.fit(pandas.concat(frames))
        return forecaster.predict()[kind].to_numpy().reshape(len(past), horizon)


def figures(truth: Sequence[np.ndarray], points: np.ndarray, scales: np.ndarray) -> tuple[dict[str, float], np.ndarray]:
    """sMAPE and MASE over all values, and each series' own MASE (N,)."""
    actual = np.stack(truth)
    scaled = np.nanmean(np.abs(actual - points), axis=1) / np.where(scales > 0, scales, np.nan)
    return {"smape": float(np.nanmean(smape(actual, points))), "mase": float(np.nanmean(scaled))}, scaled


def measured(name: str) -> dict[str, Any]:
    past, whole, season, horizon = competition(name, DATA)
    truth = [series[-horizon:] for series in whole]
    scales = np.array([seasonal_error(series, season) for series in past])
    started = time.monotonic()
    options = {"horizon": horizon, "season_length": season, "split": (0.9, 0.1, 0), "key": "series"}
    forecaster = Forecaster(**options, seed=0, threads=1).fit(as_sequences(name, past, ["value"]))
    seconds = time.monotonic() - started
    backtest = forecaster.backtest(as_sequences(name, whole, ["value"]), origins=1)
    own, each = figures(truth, forecaster.predict(as_sequences(name, past, ["value"])), scales)
    methods = {OURS: {**own, "seconds": seconds, "share": forecaster.share_, "coverage": backtest["all"]["coverage"]}}
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


def table(known: dict[str, Any]) -> str:
    """sMAPE and MASE of Gatewise, the plain method that was chosen, the best one by the test, and the peers."""
    lines = [
        "| set | series | Gatewise: sMAPE, MASE | share | plain, chosen | plain, best by the test | "
        + " | ".join(f"NeuralForecast {kind}" for kind in PEERS)
        + " | seconds |",
        "| --- |" + " --- |" * (6 + len(PEERS)),
    ]
    for name, found in known.items():
        methods = found["methods"]
        plain = [m for m in methods if m != OURS and not m.startswith("NeuralForecast")]
        best = min(plain, key=lambda m: methods[m]["mase"])
        chosen = found["strongest_plain"]["name"]
        shown = [OURS, chosen, best, *(f"NeuralForecast {kind}" for kind in PEERS)]
        least = min(methods[m]["mase"] for m in shown if m in methods)

        def said(method: str, methods: dict[str, Any] = methods, least: float = least) -> str:
            if method not in methods:
                return "-"
            text = f"{methods[method]['smape']:.2f}, {methods[method]['mase']:.3f}"
            return f"**{text}**" if methods[method]["mase"] == least else text

        own = methods[OURS]
        cells = [name, f"{found['series']:,}", said(OURS), f"{own['share']:.2f}", f"{said(chosen)} ({chosen})"]
        cells += [f"{said(best)} ({best})", *map(said, shown[3:]), f"{own['seconds']:.0f}"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main(names: Sequence[str]) -> None:
    if not DATA.is_dir() or not set(names) <= COMPETITIONS.keys():
        sys.exit(f"sets are {', '.join(COMPETITIONS)}, in {DATA}")
    known = measured_anew("forecasting", (__doc__ or "").partition("\n")[0], COMPETITIONS, names, measured)
    write_table("docs/forecasting.md", "sets", table(known))


if __name__ == "__main__":
    main(sys.argv[1:])
