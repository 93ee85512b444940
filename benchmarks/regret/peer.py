"""`gatewise tune` beside the search of NeuralForecast, on one set of forecasts and in the same CPU seconds."""

from __future__ import annotations

import logging
import tempfile
import time
import warnings
from collections.abc import Sequence
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np

from gatewise.metrics.forecasting import seasonal_error
from gatewise.tasks import Forecaster
from gatewise.tuning import tuned
from gatewise.tuning.search import Limits, Search, Told
from gatewise.tuning.storage import opened

from ..forecasting import figures
from ..quality.forecast import as_sequences, competition
from .problems import DATA

SET, SERIES = "tourism_monthly", 60  # the first so many of its series
TIMES = 8  # the default's CPU seconds, for each search
AUTO = ("AutoNHITS",)


def measured(seed: int) -> dict[str, Any]:
    """MASE on the competition's own test, and CPU seconds."""
    past, whole, season, horizon = competition(SET, DATA)
    past, whole = past[:SERIES], whole[:SERIES]
    truth = [series[-horizon:] for series in whole]
    scales = np.array([seasonal_error(series, season) for series in past])
    data = as_sequences(SET, past, ["value"])
    options = {"horizon": horizon, "season_length": season, "split": (0.9, 0.1, 0), "key": "series"}

    def judged(points: np.ndarray, began: float, **more: Any) -> dict[str, Any]:
        scores, _ = figures(truth, points, scales)
        return {"mase": scores["mase"], "cpu": round(time.process_time() - began, 1), **more}

    began = time.process_time()
    forecaster = Forecaster(**options, seed=seed, threads=1).fit(data)
    found = {"gatewise fit": judged(forecaster.predict(data), began)}
    print(found, flush=True)
    seconds = TIMES * found["gatewise fit"]["cpu"]
    began = time.process_time()
    with (
        tempfile.TemporaryDirectory() as folder,
        patch.object(tuned, "Search", partial(Search, clock=time.process_time)),
    ):
        limits = Limits(seconds, None)
        asked = {**options, "seed": seed, "threads": 1}
        tuning = tuned.Tuning.of("forecast", data, limits=limits, options=asked, reading={}, ranges={})
        result = tuning.run(opened(Path(folder, "study"), tuning.document), None, Told(), began=began)
    more = {"trials": len(result.records), "options": result.best_}
    found["gatewise tune"] = judged(result.estimator_.predict(data), began, **more)
    print(found, flush=True)
    for kind in AUTO:
        began = time.process_time()
        points, trials = peer(kind, past, horizon, began + seconds, seed)
        found[f"NeuralForecast {kind}"] = judged(points, began, trials=trials)
        print(found, flush=True)
    return {"set": SET, "series": SERIES, "neuralforecast": version("neuralforecast"), "methods": found}


def peer(kind: str, series: Sequence[np.ndarray], horizon: int, end: float, seed: int) -> tuple[np.ndarray, int]:
    """(N, H) forecasts after the search of a network of NeuralForecast, by its own space with Optuna, and its trials.

    Args:
        end: In CPU seconds of this process. The search stops where another trial and the last fit, which each take as
            long as the longest so far, would not fit in.
    """
    import optuna
    import pandas
    from neuralforecast import NeuralForecast, auto

    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    frames = [
        pandas.DataFrame({"unique_id": number, "ds": np.arange(len(values)), "y": values})
        for number, values in enumerate(series)
    ]
    known, usual = getattr(auto, kind).get_default_config(h=horizon, backend="optuna"), time.process_time()
    longest, begun, trials = 0.0, usual, 0

    def config(trial: Any) -> dict[str, Any]:
        quiet = {"enable_progress_bar": False, "logger": False, "enable_checkpointing": False, "accelerator": "cpu"}
        return {**known(trial), **quiet, "start_padding_enabled": True}

    def ended(study: Any, trial: Any) -> None:
        nonlocal longest, begun, trials
        now = time.process_time()
        longest, begun, trials = max(longest, now - begun), now, trials + 1
        if now + 2 * longest > end:
            study.stop()

    search = getattr(auto, kind)(
        h=horizon,
        config=config,
        search_alg=optuna.samplers.TPESampler(seed=seed),
        num_samples=1_000,
        backend="optuna",
        callbacks=[ended],
    )
    forecaster = NeuralForecast(models=[search], freq=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        forecaster.fit(pandas.concat(frames), val_size=horizon)
        return forecaster.predict()[kind].to_numpy().reshape(len(series), horizon), trials
