"""Is an average of a search's trials better than its best setting, on data that neither search has seen?

    python -m benchmarks.ensemble [NAME ...]
    python -m benchmarks.ensemble table

On small data sets, a search of 12 trials with `average=True`, seed 0, one thread: the single setting that it takes, the
ensemble of its trials, and the strongest plain method, on the test part. That part is read once, when all is chosen.
Where the search keeps no ensemble, its model is the single setting.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import torch

import gatewise
from gatewise.data.readers.ts import read_ts
from gatewise.tasks import find

from .record import RESULTS, ROOT, measured_anew, write_table

DATA = ROOT.parent / "shared" / "data"
QUESTION = "Is an average of a search's trials better than its best setting?"
TRIALS = 12
SMALL = {"hidden_size": 16, "num_layers": 1}  # for time's sake, where they are not searched
HELD_OUT = {"split": (0.8, 0.2, 0.0)}  # to validate on; the test files are apart


def series(name: str) -> tuple[Callable[[], Any], Callable[[], Any]]:
    """What is learned from and validated on, and what is tested on."""
    path = DATA / "ucr_uea" / name
    return (lambda: read_ts(path / f"{name}_TRAIN.ts.gz")), (lambda: read_ts(path / f"{name}_TEST.ts.gz"))


def table_of(name: str) -> tuple[Callable[[], Any], None]:
    """The end of the series is tested on."""
    return (lambda: str(DATA / "univariate_small" / f"{name}.csv")), None


PROBLEMS: dict[str, tuple[str, tuple[Callable[[], Any], Callable[[], Any] | None], dict[str, Any]]] = {
    "JapaneseVowels": ("classify", series("JapaneseVowels"), {"epochs": 8, **SMALL, **HELD_OUT}),
    "ItalyPowerDemand": ("classify", series("ItalyPowerDemand"), {"epochs": 20, **HELD_OUT}),
    "monthly-sunspots": ("forecast", table_of("monthly-sunspots"), {"horizon": 12}),
    "daily-min-temperatures": ("forecast", table_of("daily-min-temperatures"), {"horizon": 7, "epochs": 4, **SMALL}),
}


def tested(estimator: Any, test: Callable[[], Any] | None) -> dict[str, float]:
    """Accuracy and log loss of a classifier, MASE and CRPS of a forecaster, each beside the strongest plain method."""
    metrics = estimator.metrics_ if test is None else estimator.evaluate(test())
    own = metrics["test" if test is None else "all"]
    names = ("mase", "crps") if test is None else ("accuracy", "log_loss")
    return {**{name: own[name] for name in names}, "plain": metrics["strongest_plain"]["figure"]}


def measure(name: str) -> dict[str, Any]:
    task, (data, test), options = PROBLEMS[name]
    options = {**options, "threads": 1}
    learned = data()
    found = gatewise.tune(task, learned, trials=TRIALS, average=True, verbose=1, **options)
    single = find(task)(**{**options, **found.best_}).fit(learned) if found.ensemble.is_kept else found.estimator_
    return {
        "trials": len(found.records),
        "default_kept": found.selection.keeps_default,
        "ensemble": found.ensemble.document(),
        "single": tested(single, test),
        "averaged": tested(found.estimator_, test),
    }


def row(name: str, found: dict[str, Any]) -> str:
    ensemble = found["ensemble"]
    losses = "-"
    if ensemble["loss"] is not None:
        losses = f"{ensemble['single']:.4g}, {ensemble['loss']:.4g} ± {ensemble['error']:.2g}"
    first, second = [key for key in found["single"] if key != "plain"]
    each = [
        f"{found['single'][key]:.4g}, {found['averaged'][key]:.4g}"
        if ensemble["kept"]
        else f"{found['single'][key]:.4g}"
        for key in (first, second)
    ]
    members = f"{len(ensemble['shares'])} of {ensemble['tried']}" if ensemble["kept"] else "none kept"
    labels = first.upper() if first == "mase" else first, second.upper() if second == "crps" else "log loss"
    return (
        f"| {name} | {members} | {losses} | {labels[0]} {each[0]} | {labels[1]} {each[1]} "
        f"| {found['single']['plain']:.4g} |"
    )


def table(found: dict[str, Any]) -> str:
    lines = [
        "| data | members | validation, the other half: single, average | test: single, average | likewise | plain |",
        "| --- | --- | --- | --- | --- | --- |",
        *(row(name, own) for name, own in found.items()),
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", choices=[*PROBLEMS, "table", []])
    names = parser.parse_args().names
    torch.set_num_threads(1)
    if names == ["table"]:
        import json

        found = json.loads((RESULTS / "ensemble.json").read_text())["answer"]
    else:
        found = measured_anew("ensemble", QUESTION, PROBLEMS, names, measure)
    write_table("docs/tune.md", "ensemble", table(found))


if __name__ == "__main__":
    main()
