"""After which share of its steps does a trial's loss say how it will end? And does the default's own curve tell?

    python -m benchmarks.rungs [--settings 12]
    python -m benchmarks.rungs table

Settings of a search, spread evenly as its first ten are, are each trained to the end on small data, with their
validation losses kept. At a share of the steps, the rank correlation of the losses there with those at the end says
what pausing there is worth. The rule of `tuning/rungs.py` has one number, `LEARNED`; what another number gives stands
beside it, also where it is chosen on the other data sets. Settings that would take longer than 1.2 times the default
are left out, for time's sake. Trials are written as they come, and a second call makes those that are missing.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch

from gatewise.data.readers.labelled_text import read_labelled_text
from gatewise.data.readers.ts import read_ts
from gatewise.tuning import rungs, trials
from gatewise.tuning.points import _spread
from gatewise.tuning.records import DEFAULT, SEARCH, SECOND, Records
from gatewise.tuning.rungs import Curve, losses, places
from gatewise.tuning.space import Setting, Space
from gatewise.tuning.storage import opened
from gatewise.tuning.tuned import Tuning, limits_of

from .record import RESULTS, ROOT, write, write_table

DATA = ROOT.parent / "shared" / "data"
QUESTION = "After which share of its steps does a trial's loss say how it will end?"
SMALL = {"hidden_size": 16, "num_layers": 1}
MOST = 1.2  # times the default's time, roughly
TRAININGS, DRAWS = 3, 1000  # of the searches that are replayed
LEARNED = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)  # values of the rule's number that are compared
BEFORE = rungs.BEFORE[0]


def series(name: str) -> Callable[[Path], Any]:
    return lambda scratch: read_ts(DATA / "ucr_uea" / name / f"{name}_TRAIN.ts.gz")


def questions(scratch: Path) -> Any:
    """The first 400 of trec, and their kinds."""
    path = DATA / "trec" / "TREC.train.all.gz"
    return read_labelled_text(path, encoding="latin-1").take(np.arange(400))


def letters(scratch: Path) -> Any:
    """24,000 characters of Alice."""
    path = scratch / "alice.txt"
    path.write_text((DATA / "alice" / "wonderland.txt").read_text(encoding="utf-8")[:24_000], encoding="utf-8")
    return [str(path)]


def passengers(scratch: Path) -> Any:
    return str(DATA / "univariate_small" / "airline-passengers.csv")


PROBLEMS: dict[str, tuple[str, Callable[[Path], Any], dict[str, Any]]] = {  # name -> task, data, options
    "ItalyPowerDemand, 15 epochs, default sizes": ("classify", series("ItalyPowerDemand"), {"epochs": 15}),
    "ItalyPowerDemand, 15 epochs": ("classify", series("ItalyPowerDemand"), {"epochs": 15, **SMALL}),
    "ItalyPowerDemand, 60 epochs": ("classify", series("ItalyPowerDemand"), {"epochs": 60, **SMALL}),
    "JapaneseVowels, 4 epochs": ("classify", series("JapaneseVowels"), {"epochs": 4, **SMALL}),
    "trec, 400 questions, 4 epochs": ("classify", questions, {"epochs": 4, **SMALL}),
    "alice, 24,000 characters, 2 epochs": ("generate", letters, {"epochs": 2}),
    "airline passengers": ("forecast", passengers, {}),
}


def cost(space: Space, setting: Setting) -> float:
    """Times the default's, roughly."""
    times = 1.0
    for name, power in (("hidden_size", 1.5), ("num_layers", 1.0), ("batch_size", -0.8)):
        times *= (setting[name] / space.default[name]) ** power if name in setting else 1.0
    return times


def asked(tuning: Tuning, count: int) -> list[tuple[str, Setting, int]]:
    """Kind, setting and seed of the trials: the default with two seeds, and settings of the spread."""
    space, seed, found, place = tuning.space, int(tuning.fit.estimator.seed), [], 0
    while len(found) < count:
        place += 1
        setting = {**space.default, **space.at(_spread(len(space.knobs), place, seed))}
        if cost(space, setting) <= MOST and setting not in found:
            found.append(setting)
    return [
        (DEFAULT, space.default, seed),
        (SECOND, space.default, seed + 1),
        *((SEARCH, setting, seed) for setting in found),
    ]


def trained(tuning: Tuning, kind: str, setting: Setting, seed: int) -> list[list[float]]:
    """The curve of a trial that nothing halts."""
    with tempfile.TemporaryDirectory() as folder:
        records = Records(opened(Path(folder, "study"), tuning.document))
        number = records.add(kind, setting, seed)
        assert number is not None
        with records.storage.lease(number):
            trials.run(tuning.fit, tuning.space, records, records.of(number), lambda standing: False)
        return [[round(share, 4), loss] for share, loss in records.of(number).curve]


def rank(values: Sequence[float]) -> np.ndarray:
    return np.argsort(np.argsort(values)).astype(float)


def agreement(curves: Sequence[Curve], share: float) -> float:
    """Rank correlation of the losses at a share with those at the end."""
    there, end = [losses(own, (share,))[0] for own in curves], [own[-1][1] for own in curves]
    return float(np.corrcoef(rank(there), rank(end))[0, 1])


def keeps(curves: Sequence[Curve], share: float) -> bool:
    """Whether what is best at the end is among the better half at a share."""
    there, end = rank([losses(own, (share,))[0] for own in curves]), [own[-1][1] for own in curves]
    return bool(there[int(np.argmin(end))] < len(curves) // 2)


def learned_at(curve: Curve, share: float) -> float:
    start, end = curve[0][1], curve[-1][1]
    return (start - losses(curve, (share,))[0]) / (start - end)


def saved(at: Sequence[float]) -> float:
    """The share of all steps that halving at these rungs leaves out."""
    left, out = 1.0, 0.0
    for rung in at:
        left /= 2
        out += left * (1 - rung)
    return out


def rungs_of(default: Curve, learned: float | None) -> tuple[float, ...]:
    """The rungs that this number gives; those of before, if None."""
    if learned is None:
        return rungs.BEFORE
    with patch.object(rungs, "LEARNED", learned):
        return places(default)


def lost(curves: Sequence[Curve], at: Sequence[float]) -> float:
    """Rank, 0 the best and 1 the worst, of what halving at these rungs finds with the steps of `TRAININGS` trainings:
    the mean over settings that are drawn from the table, as many as there are steps for."""

    def cost(count: int) -> float:
        left, steps, before = count, 0.0, 0.0
        for rung in at:
            steps, before, left = steps + left * (rung - before), rung, max(1, left // 2)
        return steps + left * (1 - before)

    tried = max(count for count in range(1, len(curves) + 1) if count == 1 or cost(count) <= TRAININGS)
    ranks, draw, found = rank([own[-1][1] for own in curves]) / (len(curves) - 1), np.random.default_rng(0), []
    for _ in range(DRAWS):
        left = draw.choice(len(curves), tried, replace=False)
        for rung in at:
            there = [losses(curves[number], (rung,))[0] for number in left]
            left = left[np.argsort(there, kind="stable")[: max(1, len(left) // 2)]]
        found.append(ranks[left].min())
    return float(np.mean(found))


def curves_of(known: Mapping[str, Any]) -> tuple[Curve, list[Curve]]:
    """The default's curve, and those of all settings."""
    return known["default"][0], [known["default"][0], *known["settings"]]


def table(answer: Mapping[str, Any]) -> str:
    lines = [
        "| data | settings | at 1/8: learned | at 1/8: correlation | first rung | learned | correlation |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name, known in answer.items():
        default, every = curves_of(known)
        own = places(default)
        found = _cells(default, every, own[0]) if own else ["none", "", ""]
        lines.append(f"| {name} | {len(every)} | " + " | ".join([*_cells(default, every, BEFORE)[1:], *found]) + " |")
    lines += [
        "",
        "| learned at the first rung | correlation, mean | lowest | best setting kept | steps left out | rank lost |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    both = [curves_of(known) for known in answer.values()]
    ranks = {}
    for number in (None, *LEARNED):
        all_rungs = [rungs_of(default, number) for default, _ in both]
        at = [(every, own[0]) for (_, every), own in zip(both, all_rungs, strict=True) if own]
        found = [agreement(every, share) for every, share in at]
        kept = sum(keeps(every, share) for every, share in at) + len(both) - len(at)
        ranks[number] = [lost(every, own) for (_, every), own in zip(both, all_rungs, strict=True)]
        told = "rungs at 1/8, 1/4, 1/2" if number is None else f"{number:.0%}"
        lines.append(
            f"| {told} | {np.mean(found):.2f} | {min(found):.2f} | {kept} of {len(both)} | "
            f"{np.mean([saved(own) for own in all_rungs]):.0%} | {np.mean(ranks[number]):.3f} |"
        )
    chosen = []
    for left_out in range(len(both)):
        means = {number: np.mean(np.delete(ranks[number], left_out)) for number in LEARNED}
        best = min(means, key=lambda number: means[number])
        chosen.append(f"{best:.0%} ({ranks[best][left_out]:.2f})")
    lines += [
        "",
        f"Chosen by the rank lost on the other data, for each as above, and what is lost there: {', '.join(chosen)}.",
    ]
    return "\n".join(lines)


def _cells(default: Curve, every: Sequence[Curve], share: float) -> list[str]:
    return [f"{share:.0%}", f"{learned_at(default, share):.0%}", f"{agreement(every, share):.2f}"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="?", choices=["table"])
    parser.add_argument("--settings", type=int, default=12)
    given = parser.parse_args()
    torch.set_num_threads(1)
    path = RESULTS / "rungs.json"
    answer = json.loads(path.read_text())["answer"] if path.exists() else {}
    prepared: dict[str, Tuning] = {}
    with tempfile.TemporaryDirectory() as scratch:
        for count in range(2, given.settings + 1, 2) if given.what is None else ():  # in turns: some of all early
            for name, (task, data, options) in PROBLEMS.items():
                known = answer.setdefault(name, {"default": [], "settings": []})
                if len(known["settings"]) >= count:
                    continue
                if name not in prepared:
                    own = {"threads": 1, **options}
                    prepared[name] = Tuning.of(
                        task, data(Path(scratch)), limits=limits_of(None, 1), options=own, reading={}, ranges={}
                    )
                for number, trial in enumerate(asked(prepared[name], count)):
                    if number >= len(known["default"]) + len(known["settings"]):
                        known["default" if number < 2 else "settings"].append(trained(prepared[name], *trial))
                        write("rungs", QUESTION, answer)
                        print(name, trial, known["default" if number < 2 else "settings"][-1][-1], flush=True)
    print(table(answer))
    write_table("docs/tune.md", "rungs", table(answer))


if __name__ == "__main__":
    main()
