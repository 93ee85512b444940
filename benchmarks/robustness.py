"""What do changes that happen in practice cost a model, and what do they cost a plain method?

    python -m benchmarks.robustness [ROW ...]
    python -m benchmarks.robustness table

Trains a row of each task as the table of quality does, in one thread, and where `PARTS` says so in a part of the steps.
Its robustness card (`gatewise evaluate --stress`) is the figure of the model and of the strongest plain method on the
test part, under each change. Cards are written as they come, and a second call makes those that are missing; one that
is named is made anew. `table` writes docs/tasks.md.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any
from unittest.mock import patch

os.environ.setdefault("GOMP_SPINCOUNT", "1000")  # as the command line does

import numpy as np
import torch

from gatewise.data.datasets import scenes
from gatewise.data.readers.audio import read_audio
from gatewise.data.sequences import Column, Sequences, offsets_of, text_column
from gatewise.tasks import Captioner, Classifier, Detector, Forecaster, find
from gatewise.tasks.stress import card_report, card_rows

from .archives import skab
from .precision import one_thread_and_few_baselines, trained_in
from .quality import forecast
from .quality.table import NAMES
from .record import RESULTS, ROOT, write, write_table

DATA = ROOT.parent / "shared" / "data"
QUESTION = "What do changes that happen in practice cost a model, and what do they cost a plain method?"

Card = Mapping[str, Any]  # as `Estimator.stress` gives it


def of_row(task: str, name: str) -> Card:
    """The card of a row of the table of quality: of the data that it evaluates, or else of the test part."""
    [row] = [row for row in import_module(f".quality.{task}", __package__).ROWS if row.name == name]
    with watched(find(task)) as seen:
        row.run(DATA, 0)
    if hasattr(seen["data"], "seek"):  # an open file has been read to its end
        seen["data"].seek(0)
    return seen["model"].stress(seen["data"])


@contextmanager
def watched(estimator: type[Any]) -> Iterator[dict[str, Any]]:
    """The model that is fitted in here, and the data that it is fitted or evaluated on last."""
    seen: dict[str, Any] = {}
    usual = {name: getattr(estimator, name) for name in ("fit", "evaluate")}

    def seeing(name: str) -> Callable[..., Any]:
        def call(model: Any, data: Any, *given: Any, **more: Any) -> Any:
            seen.update(model=model, data=data)
            return usual[name](model, data, *given, **more)

        return call

    with patch.multiple(estimator, **{name: seeing(name) for name in usual}):
        yield seen


def few_recordings() -> Card:
    """Ten takes of each digit and speaker are learned from, a tenth of them chooses; takes 0 to 4 are the test."""
    clips = read_audio(DATA / "fsdd", label_from="{label}_{speaker}_{index}")
    take = np.array([int(index) for index in clips.static["index"].strings()])
    learned, held = (clips.take(np.flatnonzero(some)) for some in ((take > 4) & (take < 15), take < 5))
    return Classifier(split=(0.9, 0.1, 0), seed=0).fit(learned).stress(held)


def tourists() -> Card:
    """366 monthly series: the last fifth of each chooses and is the test, a half each."""
    _, series, _, _ = forecast.competition("tourism_monthly", DATA)
    data = forecast.as_sequences("tourism_monthly", series, ["value"])
    return Forecaster(horizon=24, season_length=12, seed=0).fit(data).stress(data)


def valves() -> Card:
    """Whole files are learned from, choose and are the test: 80, 10 and 10 %. Anomalies are not learned from."""
    files = skab(DATA)
    values = np.concatenate([file.values for file in files]).astype(np.float32)
    steps = {f"sensor {place}": Column(f"sensor {place}", "number", own) for place, own in enumerate(values.T, 1)}
    flags = np.concatenate([file.truth() for file in files]).astype(np.float32)
    steps["anomaly"] = Column("anomaly", "number", flags)
    names = {"file": text_column("file", [file.name for file in files])}
    data = Sequences(offsets_of([len(file.values) for file in files]), steps, names, "skab")
    return Detector(target="anomaly", group="file", seed=0).fit(data).stress(data)


def drawn_scenes() -> Card:
    """As the row of this name in the table of quality, but by BLEU, and of half of the test scenes."""
    parts = [scenes.scenes(count, part) for part, count in (("train", 8000), ("validation", 500), ("test", 500))]
    return Captioner(seed=0).fit(parts[0], validation=parts[1]).stress(parts[2])


CARDS: dict[str, tuple[str, Callable[[], Card]]] = {  # name -> task, how it is made
    "fsdd": ("classify", few_recordings),
    "wall_following": ("tag", lambda: of_row("tag", "wall_following")),
    "tourism_monthly": ("forecast", tourists),
    "skab": ("detect", valves),
    "sonnets_small": ("generate", lambda: of_row("generate", "sonnets_small")),
    "dates": ("translate", lambda: of_row("translate", "dates")),
    "digit_lines": ("transcribe", lambda: of_row("transcribe", "digit_lines")),
    "drawn_scenes": ("caption", drawn_scenes),
}
PARTS = {"dates": 1 / 2, "sonnets_small": 1 / 2, "drawn_scenes": 1 / 4}  # of the steps, where all would take too long


def table(card: Card) -> str:
    """For docs/tasks.md."""
    first = card["as it is"]
    measure = NAMES.get(first["measure"], first["measure"].replace("_", " "))
    heads = [measure, "model", "gained", first["name"], "gained"]
    lines = [heads, ["---"] * len(heads), *([name, *cells] for name, cells in card_rows(card))]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main(names: list[str]) -> None:
    wanted = [] if names == ["table"] else names or list(CARDS)
    if unknown := set(wanted) - CARDS.keys():
        sys.exit(f"no cards {sorted(unknown)}; there are {sorted(CARDS)}")
    torch.set_num_threads(1)
    path = RESULTS / "robustness.json"
    known = json.loads(path.read_text())["answer"]["cards"] if path.exists() else {}
    for name in wanted:
        if name in known and not names:
            continue
        task, make = CARDS[name]
        began = time.monotonic()
        part = PARTS.get(name, 1)
        with one_thread_and_few_baselines(), trained_in("float32", part):
            card = make()
        known[name] = {"task": task, "part": part, "card": card, "seconds": round(time.monotonic() - began, 1)}
        print(f"{name}, {known[name]['seconds']} s\n{card_report(card)}\n", flush=True)
        write("robustness", QUESTION, {"cards": {name: known[name] for name in CARDS if name in known}})
    for name, found in known.items():
        if f"<!-- robustness {name} -->" in Path(ROOT / "docs/tasks.md").read_text():
            write_table("docs/tasks.md", f"robustness {name}", table(found["card"]))


if __name__ == "__main__":
    main(sys.argv[1:])
