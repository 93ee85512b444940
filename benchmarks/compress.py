"""What does a smaller model file cost, in each task's own figure?

    python -m benchmarks.compress [TASK ...]

A small model of each task is fitted briefly, to real or drawn data, then `gatewise compress` measures it on other data,
before and after. The figures are no measure of the tasks (`benchmarks.quality` is). Where a model could blend its
network with plain methods, the network's share is 1 here.
"""

from __future__ import annotations

import io
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from sklearn.datasets import load_digits

import gatewise
from gatewise.compression import KINDS
from gatewise.data.datasets import scenes
from gatewise.data.datasets.builtin import written_dates
from gatewise.data.readers.ts import read_ts
from gatewise.data.split import split_at_random
from gatewise.tasks import Captioner, Classifier, Detector, Forecaster, Generator, Tagger, Transcriber, Translator
from gatewise.tasks.verdict import MEASURES

from .archives import mgab
from .quality.tag import drive
from .quality.transcribe import line_sequences
from .record import ROOT, measured_anew, write_table

QUESTION = __doc__.partition("\n")[0]
DATA = ROOT.parent / "shared" / "data"
PAGE = "docs/compress.md"
Fitted = tuple[Any, Any, str]  # the model, data to measure it on, and what they are


def generate() -> Fitted:
    written = (DATA / "alice/wonderland.txt").read_text("utf-8")
    model = Generator(hidden_size=128, epochs=8).fit(io.StringIO(written[:60_000]))
    test = Path(tempfile.mkdtemp()) / "alice.txt"
    test.write_text(written[60_000:75_000], "utf-8")
    return model, test, "alice, 60,000 characters; the next 15,000"


def classify() -> Fitted:
    train, test = (read_ts(DATA / f"ucr_uea/JapaneseVowels/JapaneseVowels_{part}.ts.gz") for part in ("TRAIN", "TEST"))
    return Classifier(epochs=20, hidden_size=64, share=1).fit(train), test, "JapaneseVowels, its own test"


def tag() -> Fitted:
    data = drive(DATA / "wall_following/sensor_readings_24.data.gz")
    options = {"bidirectional": False, "split": (0.6, 0.15, 0.25), "share": 1.0, "epochs": 20}
    return Tagger(**options).fit(data), data, "wall_following, its last quarter"


def forecast() -> Fitted:
    with open(DATA / "univariate_small/monthly-sunspots.csv", encoding="utf-8") as file:
        values = np.array([float(line.rpartition(",")[2]) for line in file.readlines()[1:]])
    return Forecaster(horizon=12, share=1.0, epochs=20).fit([values]), [values], "monthly sunspots, their last fifth"


def detect() -> Fitted:
    [series] = mgab(DATA)
    detector = Detector(epochs=1, share=1.0, split=(1.0, 0.0, 0.0)).fit(series.values[: series.known])
    some = slice(series.known, series.known + 10_000)
    return detector, (series.values[some], series.truth()[some]), "mgab 1, 5,000 steps; the next 10,000"


def translate() -> Fitted:
    train, test = split_at_random(written_dates(3000, 0), (0.9, 0.1, 0.0), 0, "pairs").values()
    return Translator(epochs=6).fit(train), test, "written dates, 2,700; 300 others"


def transcribe() -> Fitted:
    images, digits = load_digits(return_X_y=True)
    parts = ((slice(0, 1200), 800), (slice(1200, None), 150))
    train, test = (
        line_sequences(images[part].reshape(-1, 8, 8) / 16, digits[part], count, number)
        for number, (part, count) in enumerate(parts)
    )
    return Transcriber(epochs=15).fit(train), test, "lines of digits, 800; 150 of other digits"


def caption() -> Fitted:
    train, test = (scenes.scenes(count, part) for part, count in (("train", 300), ("test", 100)))
    return Captioner(epochs=3).fit(train), test, "drawn scenes, 300; 100 others"


TASKS: dict[str, Callable[[], Fitted]] = {
    function.__name__: function
    for function in (generate, classify, tag, forecast, detect, translate, transcribe, caption)
}


def measured(task: str) -> dict[str, Any]:
    model, data, what = TASKS[task]()
    more = {"unknown": "skip"} if task == "generate" else {}
    if task == "detect":
        data, more["y"] = data
    found: dict[str, Any] = {"data": what, "weights": sum(array.size for array in model._weights().values())}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.gatewise"
        model.save(path)
        for kind in KINDS:
            done = gatewise.compress(path, Path(folder) / kind, kind, data, tolerance=1e9, **more)
            assert done.cost is not None
            found |= {"measure": done.cost.measure, "float32": done.cost.before, "bytes": done.bytes_before}
            found[kind] = {"figure": done.cost.after, "bytes": done.bytes_after}
    print(f"{task}: {found}", flush=True)
    return found


def main(names: list[str]) -> None:
    rows = measured_anew("compress", QUESTION, TASKS, names, measured)
    lines = [
        "| task | data | figure | float32 | float16 | int8 | kB | float16 | int8 |",
        "| --- | --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for task, row in rows.items():
        figures = [row["float32"], *(row[kind]["figure"] for kind in KINDS)]
        sizes = [row["bytes"], *(row[kind]["bytes"] for kind in KINDS)]
        cells = [task, row["data"], MEASURES[row["measure"]][0], *(f"{x:.5g}" for x in figures)]
        lines.append(f"| {' | '.join([*cells, *(f'{size / 1000:,.0f}' for size in sizes)])} |")
    print("\n".join(lines))
    write_table(PAGE, "compress", "\n".join(lines))


if __name__ == "__main__":
    main(sys.argv[1:])
