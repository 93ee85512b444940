"""What does a smaller model file cost, in each task's own figure?

    python -m benchmarks.compress [TASK ...]

A model of each task is trained with default options, or those of its row of `benchmarks.quality`, then `gatewise
compress` measures it on other data, before and after. Where a model could blend its network with plain methods, the
network's share is 1 here.
"""

from __future__ import annotations

import gzip
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
from gatewise.tasks import Captioner, Classifier, Detector, Forecaster, Generator, Tagger, Transcriber, Translator
from gatewise.tasks.verdict import MEASURES

from .archives import mgab
from .quality.tag import drive
from .quality.transcribe import LINES, line_sequences
from .record import ROOT, measured_anew, write_table

QUESTION = __doc__.partition("\n")[0]
DATA = ROOT.parent / "shared" / "data"
PAGE = "docs/compress.md"
Fitted = tuple[Any, Any, str]  # the model, data to measure it on, and what they are


def generate() -> Fitted:
    text = Path(tempfile.mkdtemp()) / "sonnets.txt"
    text.write_bytes(gzip.decompress((DATA / "sonnets/sonnets.txt.gz").read_bytes()))
    return Generator().fit(text), text, "sonnets, its last tenth"


def classify() -> Fitted:
    train, test = (read_ts(DATA / f"ucr_uea/JapaneseVowels/JapaneseVowels_{part}.ts.gz") for part in ("TRAIN", "TEST"))
    return Classifier(share=1, split=(1, 0, 0)).fit(train), test, "JapaneseVowels, its own test"


def tag() -> Fitted:
    data = drive(DATA / "wall_following/sensor_readings_24.data.gz")
    options = {"bidirectional": False, "split": (0.6, 0.15, 0.25), "share": 1.0}
    return Tagger(**options).fit(data), data, "wall_following, its last quarter"


def forecast() -> Fitted:
    with open(DATA / "univariate_small/monthly-sunspots.csv", encoding="utf-8") as file:
        values = np.array([float(line.rpartition(",")[2]) for line in file.readlines()[1:]])
    model = Forecaster(horizon=12, season_length=12, split=(0.7, 0.1, 0.2), share=1.0).fit([values])
    return model, [values], "monthly sunspots, their last fifth"


def detect() -> Fitted:
    [series] = mgab(DATA)
    detector = Detector(share=1.0, split=(1.0, 0.0, 0.0)).fit(series.values[: series.known])
    some = slice(series.known, series.known + 10_000)
    return detector, (series.values[some], series.truth()[some]), "mgab 1, 5,000 steps; the next 10,000"


def translate() -> Fitted:
    dates = written_dates(5000, 0)
    return Translator().fit(dates), dates, "written dates, a tenth of 5,000"


def transcribe() -> Fitted:
    images, digits = load_digits(return_X_y=True)
    parts = {"train": slice(0, 1000), "validation": slice(1000, 1297), "test": slice(1297, None)}
    train, validation, test = (
        line_sequences(images[part].reshape(-1, 8, 8) / 16, digits[part], LINES[name], number)
        for number, (name, part) in enumerate(parts.items())
    )
    model = Transcriber(frame_stacking=2, epochs=10).fit(train, validation=validation)
    return model, test, "lines of digits, 1,500; 300 of other digits"


def caption() -> Fitted:
    parts = (("train", 8000), ("validation", 500), ("test", 1000))
    train, validation, test = (scenes.scenes(count, part) for part, count in parts)
    return Captioner().fit(train, validation=validation), test, "drawn scenes, 8,000; 1,000 others"


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
