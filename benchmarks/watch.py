"""What share of a training's time does watching it take?

    python -m benchmarks.watch [NAME ...]

Each training is made watched and alone, in turn, in one process, after one that is not counted; their weights are
compared first. "share" is the time inside looks, pages included, over that of the whole run; "ratio" that of the run
watched to the run alone.
"""

from __future__ import annotations

import io
import os
import statistics
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

from gatewise.data.readers.ts import read_ts
from gatewise.tasks import Classifier, Forecaster, Generator
from gatewise.training.watching import Watching

from .record import ROOT, measured_anew, write_table

QUESTION = __doc__.partition("\n")[0]
DATA = ROOT.parent / "shared" / "data"
PAGE = "docs/watch.md"
ROUNDS = 3


def text(**run: Any) -> Any:
    written = (DATA / "tinyshakespeare" / "input.txt").read_text()
    return Generator(epochs=6, threads=1).fit(io.StringIO(written[:100_000]), **run)


def vowels(**run: Any) -> Any:
    train = read_ts(DATA / "ucr_uea" / "JapaneseVowels" / "JapaneseVowels_TRAIN.ts.gz")
    return Classifier(epochs=20, ensemble=1, threads=1).fit(train, **run)


def waves(**run: Any) -> Any:
    steps = np.arange(4000)
    noise = np.random.default_rng(0).normal(0, 0.1, (4, len(steps)))
    return Forecaster(horizon=24, epochs=20, threads=1).fit([*np.sin(steps / 7) + np.sin(steps / 31) + noise], **run)


RUNS: dict[str, tuple[Callable[..., Any], str]] = {
    "text": (text, "tinyshakespeare, 100,000 characters, 6 epochs"),
    "vowels": (vowels, "JapaneseVowels, 20 epochs"),
    "waves": (waves, "four made series of 4,000 steps, 20 epochs"),
}


def measured(name: str) -> dict[str, Any]:
    run, data = RUNS[name]
    spent: list[float] = []
    took = Watching._took

    def counted(self: Watching, seconds: float, new: bool) -> None:
        took(self, seconds, new)
        spent.append(seconds)

    Watching._took = counted  # type: ignore[method-assign]
    rounds = []
    with tempfile.TemporaryDirectory() as folder:
        for number in range(ROUNDS + 1):
            spent.clear()
            watched, alone = run(watch=Path(folder, "run.html")), run()
            for (key, weight), other in zip(
                watched.model_.state_dict().items(), alone.model_.state_dict().values(), strict=True
            ):
                assert weight.equal(other), key
            seconds = [model.outcome_.seconds for model in (watched, alone)]
            if number:  # the first pays for what a process does once
                rounds.append(
                    {"watched": seconds[0], "alone": seconds[1], "looking": sum(spent), "looks": len(spent) // 2}
                )
    Watching._took = took  # type: ignore[method-assign]
    shares = [own["looking"] / own["watched"] for own in rounds]
    ratios = [own["watched"] / own["alone"] for own in rounds]
    return {
        "data": data,
        "share": {"median": statistics.median(shares), "least": min(shares), "most": max(shares)},
        "ratio": {"median": statistics.median(ratios), "least": min(ratios), "most": max(ratios)},
        "rounds": rounds,
    }


def table(answer: dict[str, Any]) -> str:
    lines = [
        "| training | seconds alone | looks | share of its time | watched / alone (spread) |",
        "| --- | ---: | ---: | ---: | --- |",
    ]
    for own in answer.values():
        alone = statistics.median(one["alone"] for one in own["rounds"])
        looks = statistics.median(one["looks"] for one in own["rounds"])
        share, ratio = own["share"], own["ratio"]
        lines.append(
            f"| {own['data']} | {alone:.1f} | {looks:.0f} | {share['median']:.1%}, at most {share['most']:.1%} "
            f"| {ratio['median']:.2f} ({ratio['least']:.2f} to {ratio['most']:.2f}) |"
        )
    return "\n".join(lines)


def main(names: list[str]) -> None:
    answer = measured_anew("watch", QUESTION, RUNS, names, measured)
    write_table(PAGE, "watching", table(answer))
    print(table(answer))


if __name__ == "__main__":
    main(sys.argv[1:])
