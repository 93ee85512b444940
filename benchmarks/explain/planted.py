"""Tasks that are drawn so that the steps which are responsible for each answer are known.

Where the task itself says how much a step adds, that is known, too: it is what every account must give whose parts add
up, that gives nothing to steps which change nothing, and treats alike what the task treats alike. Such an account
begins at the network's answer to usual steps, and so does the truth.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gatewise.explanation.question import Ask, Question
from gatewise.tasks import Classifier, Forecaster, Tagger

ROWS = 500  # that no model has seen
COSTLY = 100  # of these that each net explains, where one of them takes long
TEST = 0  # seed of these; the others are those of the nets, and of what each learns from
PLAIN = {"bidirectional": False, "share": 1.0, "hidden_size": 32}
ONE = PLAIN | {"pooling": "last", "ensemble": 1, "learning_rate": 0.01, "dropout": 0.0}
ONE |= {"word_dropout": 0.0, "augmentation": 0.0}
WORDS = ONE | {"tokens": "words", "embedding_size": 16}


@dataclass(frozen=True)
class Planted:
    """A task whose truth is known.

    Attributes:
        fit: A model that learned it, by seed.
        measure: How well a model solves it on the rows, what that figure is called before it.
        read: Of a model, the rows, which no model learned from.
        asked: Of a model, which rows are explained, and what is asked of each.
        known: Of a row and its question, which steps are responsible: (T,) or, of steps and channels, (T, C) bool.
        rows: How many of these are explained.
        added: Of a row, its question, its score and that of usual steps, what each step truly adds, (T,); None where
            the task does not say.
    """

    fit: Callable[[int], Any]
    measure: tuple[str, Callable[[Any], float]]
    read: Callable[[Any], Any]
    asked: Callable[[Any], Sequence[tuple[int, Ask]]]
    known: Callable[[int, Question], np.ndarray]
    rows: int = ROWS
    added: Callable[[int, Question, float, float], np.ndarray] | None = None


def every_row(_: Any) -> list[tuple[int, Ask]]:
    return [(row, Ask()) for row in range(ROWS)]


def only(steps: int, places: Any) -> np.ndarray:
    """(steps,) True at the places."""
    return np.isin(np.arange(steps), places)


def accuracy(rows: Any, wanted: np.ndarray) -> tuple[str, Callable[[Any], float]]:
    return "accuracy", lambda model: float(np.mean(model.predict(rows) == wanted))


def adding(steps: int, epochs: int) -> Planted:
    """The sum of two numbers that a second channel marks (Hochreiter & Schmidhuber 1997, task 4).

    The two are alike to the task, and the other steps are nothing to it. So of the answer to usual steps each marked
    one takes half, and adds its number: the number less that half is what it adds.
    """

    def drawn(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
        rng = np.random.default_rng(seed)
        rows = np.zeros((count, steps, 2), np.float32)
        rows[..., 0] = rng.random((count, steps))
        places = np.argsort(rng.random((count, steps)), 1)[:, :2]
        rows[np.arange(count)[:, None], places, 1] = 1
        return rows, rows.prod(-1).sum(1)

    rows, wanted = drawn(ROWS, TEST)
    marked = rows[..., 1] == 1
    return Planted(
        lambda seed: Classifier(target_kind="number", epochs=epochs, seed=seed, **ONE).fit(*drawn(8000, seed)),
        ("rmse", lambda model: float(np.sqrt(np.mean((model.predict(rows) - wanted) ** 2)))),
        lambda _: rows,
        every_row,
        lambda row, _: marked[row],
        added=lambda row, _, score, usual: marked[row] * (rows[row, :, 0] - usual / 2),
    )


def copy(steps: int, epochs: int, explained: int = ROWS) -> Planted:
    """The first of some symbols. Most sequences to learn from are short: from these it learns what to keep."""

    def drawn(count: int, seed: int, least: int) -> tuple[list[str], np.ndarray]:
        rng = np.random.default_rng(seed)
        lengths = np.exp(rng.uniform(np.log(least), np.log(steps + 1), size=count)).astype(int)
        rows = [rng.integers(8, size=length) for length in np.clip(lengths, least, steps)]
        return [" ".join(f"s{symbol}" for symbol in row) for row in rows], np.array([f"s{row[0]}" for row in rows])

    rows, wanted = drawn(ROWS, TEST, steps)
    return Planted(
        lambda seed: Classifier(epochs=epochs, seed=seed, **WORDS).fit(*drawn(8000, seed, 2)),
        accuracy(rows, wanted),
        lambda _: rows,
        every_row,
        lambda row, _: only(steps, 0),
        explained,
    )


def brackets(steps: int, epochs: int) -> Planted:
    """The kind of bracket that is to be closed next: that of the innermost open one."""
    kinds, deepest, filler = ("round", "square", "curly"), 3, 0.4

    def drawn(count: int, seed: int) -> tuple[list[str], np.ndarray, list[int]]:
        rng = np.random.default_rng(seed)
        texts, wanted, places = [], [], []
        while len(texts) < count:
            words, opened = [], list[tuple[str, int]]()
            for at in range(steps):
                if rng.random() < filler:
                    words.append(f"w{rng.integers(5)}")
                elif not opened or (len(opened) < deepest and rng.random() < 0.5):
                    opened.append((kinds[rng.integers(len(kinds))], at))
                    words.append(opened[-1][0])
                else:
                    words.append(f"end{opened.pop()[0]}")
            if opened:
                texts.append(" ".join(words))
                wanted.append(opened[-1][0])
                places.append(opened[-1][1])
        return texts, np.array(wanted), places

    rows, wanted, places = drawn(ROWS, TEST)
    return Planted(
        lambda seed: Classifier(epochs=epochs, seed=seed, **WORDS).fit(*drawn(8000, seed)[:2]),
        accuracy(rows, wanted),
        lambda _: rows,
        every_row,
        lambda row, _: only(steps, places[row]),
    )


def boxes(steps: int, channels: int, epochs: int) -> Planted:
    """Noise, but for a box in time and channels, in which all is higher or all is lower: which?

    Source: Ismail et al. (2020), "Benchmarking deep learning interpretability in time series predictions", NeurIPS,
    section 4, where such boxes stand.
    """
    long, wide, shift = 8, 3, 2.0

    def drawn(count: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        rng = np.random.default_rng(seed)
        rows = rng.normal(size=(count, steps, channels))
        known = np.zeros(rows.shape, bool)
        for own in known:
            at, first = rng.integers(steps - long + 1), rng.integers(channels - wide + 1)
            own[at : at + long, first : first + wide] = True
        sign = rng.choice([-1, 1], count)
        rows += shift * known * sign[:, None, None]
        return rows.astype(np.float32), np.where(sign > 0, "higher", "lower"), known

    rows, wanted, known = drawn(ROWS, TEST)
    return Planted(
        lambda seed: Classifier(epochs=epochs, seed=seed, **ONE).fit(*drawn(4000, seed)[:2]),
        accuracy(rows, wanted),
        lambda _: rows,
        every_row,
        lambda row, _: known[row],
        COSTLY,
    )


def negation(steps: int, epochs: int) -> Planted:
    """Praise or blame, by one word, and the other way round where "not" stands before it.

    Both words are responsible then. What each adds is another matter. Usual steps score u, both words s, the word by
    itself -s, and "not" by itself says nothing: u. Over the two orders, "not" adds (0 + 2s) / 2 = s on average, and the
    word (-s - u + s - u) / 2 = -u: next to nothing.
    """

    def drawn(count: int, seed: int) -> tuple[list[str], np.ndarray, list[np.ndarray]]:
        rng = np.random.default_rng(seed)
        texts, classes, places = [], [], []
        for _ in range(count):
            words = [f"w{k}" for k in rng.integers(20, size=steps)]
            at, good, negated = int(rng.integers(1, steps)), rng.random() < 0.5, rng.random() < 0.5
            words[at] = "good" if good else "bad"
            words[at - 1] = "not" if negated else words[at - 1]
            texts.append(" ".join(words))
            classes.append("praise" if good != negated else "blame")
            places.append(np.array([at - 1, at] if negated else [at]))
        return texts, np.array(classes), places

    def added(row: int, _: Question, score: float, usual: float) -> np.ndarray:
        found = np.zeros(steps)
        found[places[row]] = [score, -usual] if len(places[row]) > 1 else [score - usual]
        return found

    rows, wanted, places = drawn(ROWS, TEST)
    return Planted(
        lambda seed: Classifier(epochs=epochs, seed=seed, **WORDS).fit(*drawn(4000, seed)[:2]),
        accuracy(rows, wanted),
        lambda _: rows,
        every_row,
        lambda row, _: only(steps, places[row]),
        added=added,
    )


def previous(steps: int, epochs: int) -> Planted:
    """A tag that is the token before."""

    def drawn(count: int, seed: int) -> tuple[list[list[str]], list[list[str]]]:
        rng = np.random.default_rng(seed)
        tokens = [[f"s{k}" for k in rng.integers(6, size=steps)] for _ in range(count)]
        return tokens, [["start", *row[:-1]] for row in tokens]

    rows, wanted = drawn(ROWS, TEST)
    asked = np.random.default_rng(TEST).integers(1, steps, size=ROWS)
    return Planted(
        lambda seed: Tagger(epochs=epochs, crf=False, seed=seed, **PLAIN).fit(*drawn(2000, seed)),
        ("accuracy", lambda model: float(np.mean([list(own) for own in model.predict(rows)] == np.array(wanted)))),
        lambda _: rows,
        lambda _: [(row, Ask(step=int(at))) for row, at in enumerate(asked)],
        lambda row, _: only(steps, asked[row] - 1),
    )


def lagged(steps: int, epochs: int) -> Planted:
    """A series whose next value is nine tenths of that twelve steps before, beside noise."""
    lag, weight, noise = 12, 0.9, 0.3

    def drawn(count: int, seed: int) -> np.ndarray:
        rng = np.random.default_rng(seed)
        series = list(rng.normal(size=lag))
        for _ in range(count):
            series.append(weight * series[-lag] + noise * rng.normal())
        return np.array(series)

    series = drawn(1000 + ROWS, TEST)
    ends = len(series) - ROWS + np.arange(ROWS)
    rows = [series[end - 2 * steps : end] for end in ends]
    options = {"horizon": 1, "context_length": steps, "share": 1.0, "scaling": "none", "hidden_size": 32}
    return Planted(
        lambda seed: Forecaster(epochs=epochs, seed=seed, **options).fit([drawn(10_000, seed)]),
        (f"rmse, of which {noise} noise,", lambda model: rmse(model.predict(rows)[:, 0], series[ends])),
        lambda _: rows,
        every_row,
        lambda row, _: only(steps, steps - lag),
        added=lambda row, asked, *_: (
            only(steps, steps - lag) * weight * (asked.parts[0].values - asked.parts[0].usual)[:, 0]
        ),
    )


def rmse(found: np.ndarray, wanted: np.ndarray) -> float:
    return float(np.sqrt(np.mean((found - wanted) ** 2)))
