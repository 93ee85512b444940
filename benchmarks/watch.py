"""What share of a training's time does watching it take?

    python -m benchmarks.watch [NAME ...]

Each training is made watched and alone, in turn and in one process, after a pair that is not counted; their weights are
compared first. Times are processor time, for the machine may be shared: "looking" inside looks, with their pages,
and of the whole training.
"""

from __future__ import annotations

import io
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

from gatewise.data.readers.ts import read_ts
from gatewise.tasks import Classifier, Forecaster, Generator, fitting
from gatewise.training.watching import Watching

from .record import ROOT, measured_anew, write_table

QUESTION = __doc__.partition("\n")[0]
DATA = ROOT.parent / "shared" / "data"
PAGE = "docs/watch.md"
ROUNDS = 3


def text(**run: Any) -> Any:
    written = (DATA / "tinyshakespeare" / "input.txt").read_text()
    return Generator(epochs=4, threads=1).fit(io.StringIO(written[:60_000]), **run)


def vowels(**run: Any) -> Any:
    train = read_ts(DATA / "ucr_uea" / "JapaneseVowels" / "JapaneseVowels_TRAIN.ts.gz")
    return Classifier(epochs=12, ensemble=1, threads=1).fit(train, **run)


def waves(**run: Any) -> Any:
    steps = np.arange(4000)
    noise = np.random.default_rng(0).normal(0, 0.1, (4, len(steps)))
    return Forecaster(horizon=24, epochs=4, threads=1).fit([*np.sin(steps / 7) + np.sin(steps / 31) + noise], **run)


RUNS: dict[str, tuple[Callable[..., Any], str]] = {
    "text": (text, "tinyshakespeare, 60,000 characters, 4 epochs"),
    "vowels": (vowels, "JapaneseVowels, 12 epochs"),
    "waves": (waves, "four made series of 4,000 steps, 4 epochs"),
}


class Clock:
    """Processor seconds inside a function of a class or module, while it is entered."""

    def __init__(self, owner: Any, name: str):
        self.owner, self.name, self.function = owner, name, getattr(owner, name)
        self.seconds: list[float] = []

    def __enter__(self) -> Clock:
        def timed(*given: Any, **more: Any) -> Any:
            started = time.process_time()
            try:
                return self.function(*given, **more)
            finally:
                self.seconds.append(time.process_time() - started)

        setattr(self.owner, self.name, timed)
        return self

    def __exit__(self, *_: object) -> None:
        setattr(self.owner, self.name, self.function)


def once(run: Callable[..., Any], watch: Path | None) -> tuple[Any, dict[str, float]]:
    with Clock(fitting, "train") as training, Clock(Watching, "look") as looks, Clock(Watching, "show") as pages:
        model = run(watch=watch)
    times = {"training": sum(training.seconds), "looking": sum(looks.seconds + pages.seconds)}
    return model, {**times, "looks": len(looks.seconds)}


def measured(name: str) -> dict[str, Any]:
    run, data = RUNS[name]
    rounds = []
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder, "run.html")
        for number in range(ROUNDS + 1):
            order = (page, None) if number % 2 else (None, page)
            found = {watch is not None: once(run, watch) for watch in order}
            (watched, times), (alone, others) = found[True], found[False]
            pairs = zip(watched.model_.state_dict().items(), alone.model_.state_dict().values(), strict=True)
            for (key, weight), other in pairs:
                assert weight.equal(other), key
            if number:
                rounds.append({**times, "alone": others["training"]})
    shares = [own["looking"] / own["training"] for own in rounds]
    ratios = [own["training"] / own["alone"] for own in rounds]
    return {
        "data": data,
        "share": {"median": statistics.median(shares), "least": min(shares), "most": max(shares)},
        "ratio": {"median": statistics.median(ratios), "least": min(ratios), "most": max(ratios)},
        "rounds": rounds,
    }


def table(answer: dict[str, Any]) -> str:
    lines = [
        "| training | processor seconds alone | looks | share of its time | watched / alone (spread) |",
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
