"""Learns from training data how it is read: scales of numbers, levels of categories, words and letters of texts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np

from ...data.sequences import Sequences
from ...errors import DataError
from .inputs import Category, Inputs, Numbers, Text, changes_of, channels_of, pieces, signed_log

HEAVY_TAIL = 20.0  # standard deviations: a column with values beyond this is read as sign(x) log(1 + |x|)
_MOST_FOR_CHANGES = 4096  # sequences that the size of changes from step to step is estimated from


def learn_inputs(
    data: Sequences,
    rows: np.ndarray,
    without: Iterable[str],
    *,
    tokens: str | None = None,
    vocabulary_size: int | None = None,
    min_frequency: int = 1,
    known: Inputs | None = None,
) -> Inputs:
    """Learn from these training sequences what is read, and how.

    Args:
        without: Columns that are not read.
        tokens: As in `Text`. None: both, or words alone where they are single characters, as in Chinese.
        known: What a model reads that is gone on from: its words, letters and levels are kept, and counted on.

    Raises:
        DataError: There is nothing to read, or text stands beside columns with steps.
    """
    without = set(without)
    columns = [(True, column) for name, column in data.steps.items() if name not in without]
    columns += [(False, column) for name, column in data.static.items() if name not in without]
    texts = [(per_step, column.name) for per_step, column in columns if column.kind == "text"]
    if texts and ((not texts[0][0] and any(step for step, _ in columns)) or (texts[0][0] and len(texts) > 1)):
        raise DataError(
            f"{data.name}: '{texts[0][1]}' is text beside other columns with steps of their own, "
            f"{', '.join([*data.steps, *(name for _, name in texts[1:])])}. Choose which to read: columns=..."
        )
    numbers, categories = [], []
    for per_step, column in columns:
        if column.kind == "number":
            numbers.append(_statistics(data, rows, column.name, per_step))
        elif column.kind == "category":
            used: Counter[int] = Counter()
            for piece in pieces(_only(data, column.name), rows):
                used.update(np.asarray(piece.column(column.name).values).tolist())
            codes = [code for code in range(len(column.levels)) if used[code]]
            own = Category(column.name, per_step, [column.levels[code] for code in codes], [used[c] for c in codes])
            before = known.categories if known is not None else []
            categories.append(next((category.extended(own) for category in before if category.name == own.name), own))
    text = None
    if texts:
        text = _vocabulary(
            data, rows, texts, tokens=tokens, vocabulary_size=vocabulary_size, min_frequency=min_frequency
        )
        if known is not None and known.text is not None:
            text = known.text.extended(text)
    if not numbers and not categories and text is None:
        names = ", ".join(column.name for _, column in columns) or "none"
        raise DataError(f"{data.name}: nothing to learn from beside the target. Other columns: {names}")
    return Inputs(numbers, categories, text)


def _statistics(data: Sequences, rows: np.ndarray, name: str, per_step: bool) -> Numbers:
    """Scales of a column, from sums over pieces, as it may be larger than memory."""
    data = _only(data, name)
    count: Any = 0
    sums = [np.zeros(1), np.zeros(1)]  # of the values and of their logarithms
    squares = [np.zeros(1), np.zeros(1)]
    high, low, missing = np.array(-np.inf), np.array(np.inf), np.array(False)
    moved, moves, rows_read = np.zeros(1), 0, 0
    for piece in pieces(data, rows):
        raw = channels_of(piece.column(name))
        known = ~np.isnan(raw)
        count, rows_read = count + known.sum(0), rows_read + len(raw)
        missing = missing | (~known).any(0)
        for kind, values in enumerate((raw, signed_log(raw))):
            exact = np.where(known, values, 0).astype(np.float64)
            sums[kind] = sums[kind] + exact.sum(0)
            squares[kind] = squares[kind] + np.square(exact).sum(0)
        high = np.maximum(high, np.where(known, raw, -np.inf).max(0, initial=-np.inf))
        low = np.minimum(low, np.where(known, raw, np.inf).min(0, initial=np.inf))
    n = np.maximum(count, 1)
    means = [total / n for total in sums]
    deviations = [np.sqrt(np.maximum(s / n - m * m, 0)) for s, m in zip(squares, means, strict=True)]
    deviations = [
        np.where(deviation > 1e-6 * np.abs(m), deviation, 0) for deviation, m in zip(deviations, means, strict=True)
    ]
    reach = np.maximum(high - means[0], means[0] - low)
    heavy = np.where(count > 0, reach > HEAVY_TAIL * np.maximum(deviations[0], 1e-30), False) & (deviations[0] > 0)
    mean, deviation = np.where(heavy, means[1], means[0]), np.where(heavy, deviations[1], deviations[0])
    scale = np.where(deviation > 0, deviation, 1.0)
    absent = _plain(1 - count / max(1, rows_read))
    column = Numbers(name, per_step, _plain(heavy), _plain(mean), _plain(scale), _plain(missing), [], absent)
    if not per_step or data.lengths.max() < 2:
        return column
    for piece in pieces(data, rows[:_MOST_FOR_CHANGES]):
        changes = changes_of(column.features(piece.steps[name])[0], piece.lengths)
        moved, moves = moved + np.square(changes, dtype=np.float64).sum(0), moves + len(changes)
    return replace(column, pace=_plain(np.where(moved > 0, np.sqrt(moved / max(1, moves)), 1.0)))


def _only(data: Sequences, name: str) -> Sequences:
    """The same with one column, so that taking some sequences does not copy the others."""
    steps, static = ({n: c for n, c in columns.items() if n == name} for columns in (data.steps, data.static))
    return Sequences(data.offsets, steps, static, data.name, data.lines)


def _plain(values: np.ndarray) -> list[Any]:
    return list(np.atleast_1d(values).tolist())


def _vocabulary(
    data: Sequences,
    rows: np.ndarray,
    texts: list[tuple[bool, str]],
    *,
    tokens: str | None,
    vocabulary_size: int | None,
    min_frequency: int,
) -> Text:
    """The known words and characters: frequent ones first, equally frequent ones in alphabetical order."""
    names, per_step = [name for _, name in texts], texts[0][0]
    cutter = Text(names, per_step, tokens or "words", [], "")
    counts: Counter[str] = Counter()
    for piece in pieces(data, rows):
        for sequence in cutter.cut(piece):
            counts.update(sequence)
    counts.pop("", None)
    if not counts:
        raise DataError(f"{data.name}: the text in '{names[0]}' is empty in all sequences that are learned from")
    if tokens is None:
        long = sum(count for word, count in counts.items() if len(word) > 1)
        tokens = "both" if 2 * long > counts.total() else "words"
    letters: Counter[str] = Counter()
    if tokens == "both":
        for word, count in counts.items():
            letters.update({letter: count * word.count(letter) for letter in set(word)})
    if tokens != "characters":
        folded: Counter[str] = Counter()
        for word, count in counts.items():
            folded[word.lower()] += count
        counts = folded
    kept = sorted((w for w, n in counts.items() if n >= min_frequency), key=lambda w: (-counts[w], w))
    characters = "".join(sorted(letters, key=lambda letter: (-letters[letter], letter)))
    kept = kept[:vocabulary_size]
    return Text(names, per_step, tokens, kept, characters, [counts[word] for word in kept])
