"""What a push costs through the estimators: of many streams together, and of compressed models.

    python -m benchmarks.stream_models [together] [int8]

Of whole models, as `fit` makes them of a few waves, 64 streams are pushed a step each, together and one by one. Of
models of one layer that hardly learned anything, in float32 and compressed to int8, a push is timed and the step of the
layers in it. Contestants take turns in one process; the processor's time is taken, as pushes last long enough for other
programs to come in between.
"""

from __future__ import annotations

import io
import sys
import tempfile
import time
from functools import partial
from typing import Any, get_args

import numpy as np

from gatewise import load
from gatewise.bench.contest import Contestant, Spread, alternate
from gatewise.data.readers.arrays import from_arrays
from gatewise.native.streams import Precision
from gatewise.tasks import Classifier, Detector, Forecaster, Generator, Tagger, Transcriber, compress

from .record import write, write_table
from .stream import PAGE, QUESTION, SECONDS, TOGETHER, UNITS, ratio, shown


def waves(count: int, steps: int, channels: int) -> np.ndarray:
    """(count, steps, channels) with noise."""
    rng = np.random.default_rng(0)
    at = np.arange(steps)[:, None] / 5 + rng.uniform(0, 6, (count, 1, channels))
    return np.sin(at) + 0.1 * rng.standard_normal((count, steps, channels))


def fitted_models() -> dict[str, tuple[Any, np.ndarray]]:
    """Models by name, each with a step for each stream. They have learned little, which costs a stream as much."""
    quick: dict[str, Any] = {"epochs": 1, "threads": 1}
    x = waves(40, 200, 3)
    sides = [np.where(own[:, 0] > 0, "up", "down").tolist() for own in x]
    halves = np.where(np.arange(len(x)) % 2, "low", "high")
    x[::2] += 0.5
    steps = np.random.default_rng(1).standard_normal((TOGETHER, 3))
    tagger = Tagger(**quick, bidirectional=False, crf=False, normalise=False)
    return {
        "detect": (Detector(**quick).fit(waves(1, 2000, 3)[0]), steps),
        "tag": (tagger.fit(from_arrays(list(x), sides, per_step=True)), steps),
        "forecast": (Forecaster(**quick, horizon=12, context_length=48).fit(waves(1, 2000, 1)[:, :, 0]), steps[:, :1]),
        "classify": (Classifier(**quick, bidirectional=False, share=1.0).fit(x, halves), steps),
    }


def pushed_together(name: str, model: Any, steps: np.ndarray) -> dict[str, Any]:
    """Microseconds of a step of a stream by itself, and of each of many."""
    streams = model.streams()
    ids = [streams.open() for _ in steps]
    for _ in range(60):  # what they have read fills a window
        streams.push(dict(zip(ids, steps, strict=True)))
    pieces = dict(zip(ids, steps, strict=True))
    found = alternate(
        [
            Contestant("one by one", lambda: [streams.push({i: step}) for i, step in pieces.items()], dict),
            Contestant("together", lambda: streams.push(pieces), dict),
        ],
        SECONDS,
        clock=time.process_time_ns,
    )
    each = {how: [pushed / len(ids) for pushed in times] for how, times in found.items()}
    row: dict[str, Any] = {"task": name} | {how: Spread.of(times).document() for how, times in each.items()}
    return row | {"ratio": ratio(each["one by one"], each["together"])}


def together() -> None:
    rows = [pushed_together(name, *made) for name, made in fitted_models().items()]
    write("stream-together", QUESTION, {"threads": 1, "together": TOGETHER, "rows": rows})
    lines = [
        f"| model | one by one, us a step | {TOGETHER} together, us a step | times as fast |",
        "| --- | ---: | ---: | ---: |",
    ]
    for row in rows:
        lines.append(
            f"| {row['task']} | {shown(row['one by one'])} | {shown(row['together'])} | {shown(row['ratio'])}x |"
        )
    print("\n".join(lines))
    write_table(PAGE, "together", "\n".join(lines))


def fitted(task: str, units: int) -> tuple[Any, Any]:
    """A model of one layer that hardly learned anything, and a step of its input."""
    sizes: dict[str, Any] = {"hidden_size": units, "num_layers": 1, "epochs": 0.1, "threads": 1}
    x = waves(60, 60, 3)
    if task == "generate":
        return Generator(**sizes, chunk_length=16, batch_size=4).fit(io.StringIO("abcdefgh \n" * 400)), "a"
    if task == "detect":
        return Detector(**sizes, window=16, share=1.0).fit(x[0]), x[0, :1]
    ahead = {"bidirectional": False}
    labels = np.where(x[..., 0] > 0, "up", "down")
    if task == "tag":
        return Tagger(**sizes, **ahead, crf=False, share=1.0).fit([*x], [*labels]), x[0, :1]
    if task == "classify":
        return Classifier(**sizes, **ahead, share=1.0).fit(x, labels[:, 0]), x[0, :1]
    return Transcriber(**sizes, **ahead, frame_stacking=1).fit([*x], ["".join(own[::9]) for own in labels]), x[0, :1]


def in_int8(task: str, units: int) -> dict[str, Any]:
    """Microseconds of `streams().push({stream: step})`, in float32 and in int8, and of the step of the layers in it."""
    model, step = fitted(task, units)
    contestants = []
    with tempfile.TemporaryDirectory() as folder:
        model.save(f"{folder}/float32")
        compress(f"{folder}/float32", f"{folder}/int8", "int8")
        for precision in get_args(Precision):
            streams = load(f"{folder}/{precision}").streams()
            one, layers = streams.open(), streams._layers
            alone, x = layers.open(), np.zeros((1, layers.inputs), np.float32)
            streams.push({one: step})
            contestants += [
                Contestant(precision, partial(streams.push, {one: step}), dict),
                Contestant(f"{precision} layers", partial(layers.push, alone, x), dict),
            ]
        found = alternate(contestants, SECONDS, clock=time.process_time_ns)
    row: dict[str, Any] = {"task": task, "units": units}
    row |= {contestant: Spread.of(times).document() for contestant, times in found.items()}
    row |= {f"share{own}": ratio(found[f"int8{own}"], found[f"float32{own}"]) for own in ("", " layers")}
    return row


def int8() -> None:
    tasks = ("generate", "detect", "tag", "classify", "transcribe")
    rows = []
    lines = [
        "| task | units | a push, us | in int8, us | share | its layers, us | in int8, us | share |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for task in tasks:
        for units in UNITS[2:]:
            row = in_int8(task, units)
            rows.append(row)
            values = [shown(row[name + own]) for own in ("", " layers") for name in ("float32", "int8", "share")]
            lines.append(f"| {task} | {units} | {' | '.join(values)} |")
            print(lines[-1], flush=True)
    write("stream-int8-models", QUESTION, {"threads": 1, "rows": rows})
    write_table(PAGE, "int8-models", "\n".join(lines))


if __name__ == "__main__":
    for part in sys.argv[1:] or ("together", "int8"):
        {"together": together, "int8": int8}[part]()
