"""Which parts of an LSTM matter: Greff et al.'s search space odyssey in small.

    python -m benchmarks.odyssey [vowels] [characters] [slower]

Each variant leaves one thing out of the vanilla LSTM, which is `peephole` here, or adds one; GRU stands by for
orientation. All are trained alike: the same sizes, epochs, optimiser and learning rate, from five seeds. The rate is
found beforehand on `peephole` alone, on a validation part of the training data; the rest was set in the same way by
hand. (The paper searched rates and sizes for every variant anew.) Test data are looked at once, after the last epoch.
"""

from __future__ import annotations

import gzip
import math
import os
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

os.environ.setdefault("GOMP_SPINCOUNT", "1000")  # as the command line does

import numpy as np
import torch
from scipy.stats import ttest_ind
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from gatewise.nn import Recurrent
from gatewise.tasks.generate.text.baselines import ngram_bits, unigram_bits

from .record import ROOT, write

QUESTION = __doc__.partition("\n")[0]
DATA = ROOT.parent / "shared" / "data"
VANILLA = "peephole"
VARIANTS = {  # cell: what the paper calls it
    VANILLA: "V",
    "lstm": "NP",
    "no_input_gate": "NIG",
    "no_forget_gate": "NFG",
    "no_output_gate": "NOG",
    "no_input_activation": "NIAF",
    "no_output_activation": "NOAF",
    "coupled": "CIFG",
    "full_gate_recurrence": "FGR",
    "gru": "",
}
SEEDS = (1, 2, 3, 4, 5)
RATES = (0.003, 0.01, 0.03, 0.1)
CHOICE_SEEDS = (6, 7)


@dataclass(frozen=True)
class Task:
    """What is learnt.

    Args:
        measure: What is reported of the test data.
        options: Sizes and lengths of training, the same for all.
        train: Of (cell, rate, seed, validate): a model's loss in nats and its measure, on the test data or on the
            validation part of the training data, which it then has not learnt from; and its number of weights.
        baselines: The measure of plain methods.
    """

    data: str
    measure: str
    options: dict[str, int]
    train: Callable[[str, float, int, bool], tuple[float, float, int]]
    baselines: dict[str, float]


def learn(model: nn.Module, steps: int, rate: float, loss_of_step: Callable[[int], Tensor]) -> None:
    """Adam with a rate that rises and falls once, and clipped gradients: some variants' cells grow without bound."""
    optimiser = torch.optim.Adam(model.parameters(), lr=rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, total_steps=steps)
    for step in range(steps):
        optimiser.zero_grad()
        loss_of_step(step).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        schedule.step()


# Who speaks? Two Japanese vowels by nine men, 7 to 29 frames of 12 cepstral coefficients.


class Listener(nn.Module):
    """Frames, one layer, its output at each row's last frame, a score per speaker: what came early must be kept."""

    def __init__(self, cell: str, features: int, hidden_size: int, classes: int):
        super().__init__()
        self.layer = Recurrent(cell, features, hidden_size)
        self.scores = nn.Linear(hidden_size, classes)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        y, _ = self.layer(x, lengths=lengths)
        return self.scores(y[lengths - 1, torch.arange(len(lengths))])


@dataclass(frozen=True)
class Utterances:
    """x (T, N, D), zero beyond each one's length; lengths (N,); labels (N,)."""

    x: Tensor
    lengths: Tensor
    labels: Tensor

    def __getitem__(self, some: Tensor | np.ndarray) -> Utterances:
        return Utterances(self.x[:, some], self.lengths[some], self.labels[some])


def read_utterances(part: str) -> Utterances:
    with gzip.open(DATA / "ucr_uea" / "JapaneseVowels" / f"JapaneseVowels_{part}.ts.gz", "rt") as file:
        lines = file.read().lower().partition("@data\n")[2].split()
    rows, labels = [], []
    for line in lines:
        *channels, label = line.split(":")
        rows.append(torch.tensor([[float(value) for value in channel.split(",")] for channel in channels]).T)
        labels.append(int(label) - 1)
    return Utterances(nn.utils.rnn.pad_sequence(rows), torch.tensor([len(row) for row in rows]), torch.tensor(labels))


def vowels() -> Task:
    options = {"hidden_size": 64, "epochs": 30, "batch_size": 30}
    train, test = read_utterances("TRAIN"), read_utterances("TEST")
    indices = np.arange(len(train.labels))
    most, rest = train_test_split(indices, test_size=0.2, stratify=train.labels, random_state=0)

    def train_one(cell: str, rate: float, seed: int, validate: bool) -> tuple[float, float, int]:
        known, unknown = (train[most], train[rest]) if validate else (train, test)
        frames = known.x[torch.arange(len(known.x))[:, None] < known.lengths]
        mean, scale = frames.mean(0), frames.std(0)
        torch.manual_seed(seed)
        model = Listener(cell, len(mean), options["hidden_size"], 9)
        size = options["batch_size"]
        batches = len(known.labels) // size
        order = torch.empty(0)

        def scores(some: Utterances) -> Tensor:
            return model((some.x - mean) / scale, some.lengths)

        def loss_of_step(step: int) -> Tensor:
            nonlocal order
            if step % batches == 0:
                order = torch.randperm(len(known.labels))
            some = known[order[step % batches * size :][:size]]
            return cross_entropy(scores(some), some.labels)

        learn(model, batches * options["epochs"], rate, loss_of_step)
        with torch.no_grad():
            found = scores(unknown)
        right = (found.argmax(-1) == unknown.labels).double().mean()
        return float(cross_entropy(found, unknown.labels)), float(right), count(model)

    def means(part: Utterances) -> np.ndarray:
        return (part.x.sum(0) / part.lengths[:, None]).numpy()

    plain = make_pipeline(StandardScaler(), LogisticRegression(max_iter=5000)).fit(means(train), train.labels)
    return Task(
        "UCR/UEA JapaneseVowels, official split: 270 and 370 utterances",
        "accuracy",
        options,
        train_one,
        {
            "logistic regression on channel means": float(plain.score(means(test), test.labels)),
            "majority class": float((test.labels == train.labels.mode().values).double().mean()),
        },
    )


# What comes next? Characters of Shakespeare.


class Writer(nn.Module):
    def __init__(self, cell: str, kinds: int, hidden_size: int):
        super().__init__()
        self.embedding = nn.Embedding(kinds, hidden_size)
        self.layer = Recurrent(cell, hidden_size, hidden_size)
        self.scores = nn.Linear(hidden_size, kinds)

    def forward(self, ids: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        y, state = self.layer(self.embedding(ids), state)
        return self.scores(y), state


def detached(state: Any) -> Any:
    return state.detach() if isinstance(state, Tensor) else tuple(value.detach() for value in state)


def characters() -> Task:
    options = {"hidden_size": 80, "epochs": 8, "batch_size": 32, "chunk_length": 50}
    training, testing = 200_000, 20_000
    text = (DATA / "tinyshakespeare" / "input.txt").read_text(encoding="utf-8")[: training + testing]
    kinds = sorted(set(text))
    ids = torch.tensor([kinds.index(character) for character in text])

    def train_one(cell: str, rate: float, seed: int, validate: bool) -> tuple[float, float, int]:
        known, unknown = ids[: training - testing * validate], ids[training - testing * validate :][:testing]
        torch.manual_seed(seed)
        model = Writer(cell, len(kinds), options["hidden_size"])
        columns, T = options["batch_size"], options["chunk_length"]
        steps = (len(known) - 1) // columns // T
        length = steps * T  # of each of the places in the text that are read side by side
        inputs, targets = (known[at:][: columns * length].view(columns, length).T for at in (0, 1))
        state: Any = None

        def loss_of_step(step: int) -> Tensor:
            nonlocal state
            at = slice(step % steps * T, (step % steps + 1) * T)
            scores, state = model(inputs[at], None if step % steps == 0 else detached(state))
            return cross_entropy(scores.flatten(0, 1), targets[at].flatten())

        learn(model, steps * options["epochs"], rate, loss_of_step)
        with torch.no_grad():
            scores, _ = model(unknown[:-1, None])
            loss = float(cross_entropy(scores[:, 0], unknown[1:]))
        return loss, loss / math.log(2), count(model)

    known, unknown = ids[:training].numpy(), ids[training:].numpy()
    return Task(
        f"tinyshakespeare: {training} characters to learn from, the {testing} behind them to test on",
        "bits per character",
        options,
        train_one,
        {
            "5-gram": ngram_bits(known, unknown, len(kinds)),
            "frequencies": unigram_bits(known, unknown, len(kinds)),
        },
    )


def count(model: nn.Module) -> int:
    return sum(weight.numel() for weight in model.parameters())


# What they have in common.

TASKS = {"vowels": vowels, "characters": characters}


def compare(name: str, task: Task) -> dict[str, Any]:
    start = time.perf_counter()
    losses = {}
    for rate in RATES:
        losses[str(rate)] = statistics.mean(task.train(VANILLA, rate, seed, True)[0] for seed in CHOICE_SEEDS)
        told(f"{name}: {VANILLA} at a rate of {rate}: validation loss {losses[str(rate)]:.4f}", start)
    rate = min(RATES, key=lambda rate: losses[str(rate)])
    found: dict[str, Any] = {}
    for cell in VARIANTS:
        runs = [task.train(cell, rate, seed, False) for seed in SEEDS]
        measures = [measure for _, measure, _ in runs]
        found[cell] = {
            "paper": VARIANTS[cell],
            "weights": runs[0][2],
            "mean": statistics.mean(measures),
            "std": statistics.stdev(measures),
            "least": min(measures),
            "most": max(measures),
            "runs": measures,
            "losses": [loss for loss, _, _ in runs],
        }
        if cell != VANILLA:
            p = ttest_ind(measures, found[VANILLA]["runs"], equal_var=False).pvalue
            found[cell]["p"] = min(1.0, float(p) * (len(VARIANTS) - 1))
        told(f"{name}: {cell:<22}{found[cell]['mean']:.4f} ± {found[cell]['std']:.4f}", start)
    return {
        "data": task.data,
        "measure": task.measure,
        "options": task.options | {"rate": rate},
        "validation_loss_by_rate": losses,
        "p": f"Welch's t-test against {VANILLA}, times the {len(VARIANTS) - 1} comparisons",
        "variants": found,
        "baselines": task.baselines,
        "seconds": round(time.perf_counter() - start),
    }


def slower() -> dict[str, Any]:
    """Two that fared badly on characters, again at a lower rate: was it the variant, or the rate?"""
    task, rate, seeds = characters(), 0.01, SEEDS[:2]
    names = (VANILLA, "no_output_activation", "full_gate_recurrence")
    runs = {cell: [task.train(cell, rate, seed, False)[1] for seed in seeds] for cell in names}
    return {"measure": task.measure, "options": task.options | {"rate": rate}, "seeds": seeds, "variants": runs}


def told(line: str, start: float) -> None:
    print(f"{line}  ({time.perf_counter() - start:.0f} s)", file=sys.stderr, flush=True)


def table(found: dict[str, Any]) -> str:
    lines = [f"{found['data']}; {found['measure']}", f"{'':<38}{'mean':>8}{'std':>8}{'least':>8}{'most':>8}{'p':>8}"]
    for cell, row in found["variants"].items():
        figures = "".join(f"{row[key]:8.4f}" for key in ("mean", "std", "least", "most"))
        lines.append(f"{cell:<38}{figures}" + (f"{row['p']:8.3f}" if "p" in row else ""))
    return "\n".join([*lines, *(f"{name:<38}{value:8.4f}" for name, value in found["baselines"].items()), ""])


if __name__ == "__main__":
    if not DATA.is_dir():
        sys.exit(f"skipped: there is no folder {DATA}, which holds the data")
    torch.set_num_threads(1)
    names = sys.argv[1:] or [*TASKS, "slower"]
    if "slower" in names:
        names.remove("slower")
        print(found := slower())
        write("odyssey-slower", QUESTION, found)
    answer = {name: compare(name, TASKS[name]()) for name in names}
    for found in answer.values():
        print(table(found))
    if answer.keys() == TASKS.keys():
        write("odyssey", QUESTION, {"seeds": len(SEEDS), "threads": 1, **answer})
