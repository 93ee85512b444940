"""What `classify` reads: columns of any kind as arrays for its network, one set of features per step.

S steps of all sequences of a batch one after the other, B sequences, T steps of the longest, D features, U spellings.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Self

import numpy as np

from ..data._cuts import token_pattern
from ..data.sequences import Column, Sequences
from ..errors import DataError

PAD, UNKNOWN = 0, 1  # ids of words and characters; those that are known begin at 2
LONGEST_WORD = 20  # letters of a word that are read
HEAVY_TAIL = 20.0  # standard deviations: a column that has values beyond is read as sign(x) log(1 + |x|)
_PIECE = 4096  # sequences that are looked at together while statistics are made

Vary = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]  # numbers (S, D) and lengths -> others


@dataclass(frozen=True)
class Numbers:
    """A column of numbers, (n,) or (n, C): each channel as (value - mean) / scale, and 0 where it is missing.

    Attributes:
        per_step: Whether it has a value per step; otherwise every step is told the sequence's one.
        heavy: Per channel, whether its logarithm is taken first.
        missing: Per channel, whether a feature more says where it is missing: where it ever was in training.
        pace: Per channel, the spread of its changes from step to step; 1 for a fact.
    """

    name: str
    per_step: bool
    heavy: list[bool]
    mean: list[float]
    scale: list[float]
    missing: list[bool]
    pace: list[float]

    def features(self, column: Column) -> tuple[np.ndarray, np.ndarray]:
        """(n, C) scaled values, and (n, M) ones where those of the channels that may be missing are."""
        values = _channels(column)
        if values.shape[1] != len(self.mean):
            raise DataError(
                f"column '{self.name}' has {values.shape[1]} channels, but the model learned from {len(self.mean)}"
            )
        absent = np.isnan(values)
        heavy = np.array(self.heavy)
        if heavy.any():
            values = np.where(heavy, _log(values), values)
        scaled = (values - np.array(self.mean, np.float32)) / np.array(self.scale, np.float32)
        return np.where(absent, np.float32(0), scaled), absent[:, np.array(self.missing)].astype(np.float32)


@dataclass(frozen=True)
class Category:
    """A column of categories: its levels in training have ids from 1; 0 is for missing and for unknown ones."""

    name: str
    per_step: bool
    levels: list[str]

    def ids(self, column: Column) -> np.ndarray:
        """(n,) int64."""
        place = {level: number for number, level in enumerate(self.levels, 1)}
        if column.kind == "category":  # of few levels and many values
            table = np.array([*(place.get(level, 0) for level in column.levels), 0], np.int64)
            return table[column.values]
        return np.array([place.get(str(value), 0) for value in column.values], np.int64)


@dataclass(frozen=True)
class Text:
    """Columns of text: words by their lower-cased form, characters as they are written.

    Attributes:
        names: Columns; of several, the texts follow each other with a line end between.
        per_step: Whether each step is a word already.
        tokens: "words", "characters", or "both": words, and how they are spelled.
        words: What has an embedding of its own, in the order of the ids from 2; of "characters", characters.
        characters: Those of spellings, in the order of the ids from 2.
    """

    names: list[str]
    per_step: bool
    tokens: str
    words: list[str]
    characters: str
    _word_ids: dict[str, int] = field(init=False, repr=False, compare=False)
    _character_ids: dict[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_word_ids", {word: number for number, word in enumerate(self.words, 2)})
        object.__setattr__(self, "_character_ids", {letter: number for number, letter in enumerate(self.characters, 2)})

    def cut(self, data: Sequences) -> list[list[str]]:
        """The tokens of each sequence; an empty text has one, the empty word, which no vocabulary has."""
        if self.per_step:
            words = [value or "" for value in data.steps[self.names[0]].strings()]
            return [words[a:b] for a, b in zip(data.offsets[:-1], data.offsets[1:], strict=True)]
        return [_tokens(text, self.tokens) or [""] for text in _texts(data, self.names)]

    def ids(self, sequences: list[list[str]]) -> dict[str, np.ndarray]:
        """ "words" (T, B); and with "both", "word_of" (T, B), the place of each in "spelling" (letters, U), which has
        "spelling_lengths" (U,)."""
        T, B = max(map(len, sequences)), len(sequences)
        found = {"words": np.zeros((T, B), np.int64)}
        fold = str if self.tokens == "characters" else str.lower
        for b, tokens in enumerate(sequences):
            found["words"][: len(tokens), b] = [self._word_ids.get(fold(token), UNKNOWN) for token in tokens]
        if self.tokens == "both":
            place: dict[str, int] = {"": 0}  # so that there is one, whatever the batch
            found["word_of"] = np.zeros((T, B), np.int64)
            for b, tokens in enumerate(sequences):
                found["word_of"][: len(tokens), b] = [place.setdefault(t[:LONGEST_WORD], len(place)) for t in tokens]
            longest = max(1, max(map(len, place)))
            found["spelling"] = np.zeros((longest, len(place)), np.int64)
            for u, word in enumerate(place):
                found["spelling"][: len(word), u] = [self._character_ids.get(letter, UNKNOWN) for letter in word]
            found["spelling_lengths"] = np.array([max(1, len(word)) for word in place], np.int64)
        return found


@dataclass(frozen=True)
class Inputs:
    """All that a model reads, and how.

    Attributes:
        stride: Steps of numbers that are read as one, together with as many of its neighbours; 1 reads each step, and
            its change since the step before.
    """

    numbers: list[Numbers]
    categories: list[Category]
    text: Text | None
    stride: int = 1

    @classmethod
    def of(
        cls,
        data: Sequences,
        rows: np.ndarray,
        targets: Iterable[str],
        tokens: str | None = None,
        vocabulary_size: int | None = None,
        min_frequency: int = 1,
    ) -> Self:
        """What there is to read in these sequences, which are learned from.

        Args:
            targets: Columns that are not read, for they are predicted.
            tokens: As in `Text`; None: both, or words alone where they are single characters, as in Chinese.

        Raises:
            DataError: There is nothing to read, or text beside steps.
        """
        facts = {name: column for name, column in data.facts.items() if name not in set(targets)}
        columns = [(True, data.steps[name]) for name in data.steps] + [(False, facts[name]) for name in facts]
        texts = [(per_step, column.name) for per_step, column in columns if column.kind == "text"]
        if texts and ((not texts[0][0] and data.steps) or (texts[0][0] and len(texts) > 1)):
            raise DataError(
                f"{data.name}: '{texts[0][1]}' is text beside other columns with steps of their own, "
                f"{', '.join([*data.steps, *(name for _, name in texts[1:])])}. Choose which to read: columns=..."
            )
        numbers, categories = [], []
        for per_step, column in columns:
            if column.kind == "number":
                numbers.append(_statistics(data, rows, column.name, per_step))
            elif column.kind == "category":
                used = set()
                for piece in pieces(data, rows):
                    used.update(np.unique(piece.column(column.name).values).tolist())
                levels = [level for code, level in enumerate(column.levels) if code in used]
                categories.append(Category(column.name, per_step, levels))
        text = _vocabulary(data, rows, texts, tokens, vocabulary_size, min_frequency) if texts else None
        if not numbers and not categories and text is None:
            names = ", ".join(column.name for _, column in columns) or "none"
            raise DataError(f"{data.name}: nothing to learn from beside the target. Other columns: {names}")
        return cls(numbers, categories, text)

    def with_stride(self, stride: int) -> Inputs:
        return replace(self, stride=stride)

    @property
    def only_numbers(self) -> bool:
        """Whether the steps hold numbers alone, so that they may be stretched, and read several at once."""
        return self.text is None and not any(c.per_step for c in self.categories) and self.channels > 0

    @property
    def moves(self) -> bool:
        """Whether there are columns of a value per step."""
        return any(c.per_step for c in self.numbers) or any(c.per_step for c in self.categories)

    @property
    def channels(self) -> int:
        """Numbers per step, C, without facts and marks of what is missing."""
        return sum(len(column.mean) for column in self.numbers if column.per_step)

    @property
    def width(self) -> int:
        """Numbers that the network sees at a step, D."""
        marks = sum(sum(column.missing) for column in self.numbers if column.per_step)
        moving = self.channels + marks
        facts = sum(len(column.mean) + sum(column.missing) for column in self.numbers if not column.per_step)
        return facts + (moving * 2 * self.stride if self.stride > 1 else moving + self.channels)

    def encode(self, data: Sequences, vary: Vary | None = None) -> dict[str, np.ndarray]:
        """Arrays of these sequences: "lengths" (B,), and where there are such columns, "numbers" (T, B, D) float32,
        "categories" (T, B, K) and those of `Text.ids`, int64.

        Args:
            vary: What is done to the numbers of the steps in training, if they are all there is per step.

        Raises:
            DataError: A column is missing or of another kind, or a sequence has no step.
        """
        self._check(data)
        found: dict[str, np.ndarray] = {}
        if self.text is not None:
            tokens = self.text.cut(data)
            lengths = np.array([len(sequence) for sequence in tokens], np.int64)
        else:
            lengths = data.lengths if self.moves else np.ones(len(data), np.int64)
        if (lengths == 0).any():
            row = int((lengths == 0).argmax())
            raise DataError(f"{data.name}: sequence {row} has no steps. Leave it out")
        if self.text is not None:
            found |= self.text.ids(tokens)
        if self.numbers:
            flat, lengths = self._numbers(data, lengths, vary)
            found["numbers"] = _padded(flat, lengths)
        if self.categories:
            ids = [
                column.ids(data.column(column.name))
                if column.per_step
                else np.repeat(column.ids(data.column(column.name)), lengths)
                for column in self.categories
            ]
            found["categories"] = _padded(np.stack(ids, 1), lengths)
        return {**found, "lengths": lengths}

    def _numbers(self, data: Sequences, lengths: np.ndarray, vary: Vary | None) -> tuple[np.ndarray, np.ndarray]:
        """(S, D) of all sequences, and their lengths, which differ from the given ones once varied or strided."""
        moving = [column.features(data.steps[column.name]) for column in self.numbers if column.per_step]
        parts = []
        if moving:
            values = np.concatenate([v for v, _ in moving] + [m for _, m in moving], 1)
            if vary is not None:
                values, lengths = vary(values, lengths)
            if self.stride > 1:
                values, lengths = _frames(values, lengths, self.stride)
                parts.append(values)
            else:
                pace = np.array([p for column in self.numbers if column.per_step for p in column.pace], np.float32)
                parts += [values, _changes(values[:, : self.channels], lengths) / pace]
        for column in self.numbers:
            if not column.per_step:
                parts += [np.repeat(part, lengths, 0) for part in column.features(data.facts[column.name])]
        return np.concatenate(parts, 1), lengths

    def _check(self, data: Sequences) -> None:
        """Refuse data that lacks a column, or has it as another kind or in another place."""
        wanted = [(column.name, column.per_step, "number") for column in self.numbers]
        wanted += [(column.name, column.per_step, "category") for column in self.categories]
        wanted += [(name, self.text.per_step, "text") for name in self.text.names] if self.text is not None else []
        for name, per_step, kind in wanted:
            column = data.column(name)
            fits = {kind, "text"} if kind == "category" else {kind}
            if (name in data.steps) != per_step or column.kind not in fits:
                where = {True: "per step", False: "per sequence"}
                raise DataError(
                    f"{data.name}: '{name}' is of kind {column.kind} {where[name in data.steps]}, but the model "
                    f"learned it as {kind} {where[per_step]}"
                )

    def to_json(self) -> dict[str, Any]:
        text = None if self.text is None else {k: v for k, v in asdict(self.text).items() if not k.startswith("_")}
        return {**asdict(self), "text": text}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        text = document["text"]
        return cls(
            [Numbers(**column) for column in document["numbers"]],
            [Category(**column) for column in document["categories"]],
            None if text is None else Text(**text),
            int(document["stride"]),
        )


def pieces(data: Sequences, rows: np.ndarray, size: int = _PIECE) -> Iterator[Sequences]:
    """These sequences, some at a time."""
    return (data.take(rows[start : start + size]) for start in range(0, len(rows), size))


def starts_of(lengths: np.ndarray) -> np.ndarray:
    """Where each sequence begins among all steps, (B,)."""
    return np.cumsum(lengths) - lengths


def _channels(column: Column) -> np.ndarray:
    """(n, C) float32."""
    values = np.asarray(column.values, np.float32)
    if np.isinf(values).any():
        raise DataError(f"column '{column.name}' holds infinity. Leave such values empty, or cap them")
    return values.reshape(len(values), -1)


def _log(values: np.ndarray) -> np.ndarray:
    return np.sign(values) * np.log1p(np.abs(values))


def _padded(flat: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """(S, ...) -> (T, B, ...), with zeros behind the ends."""
    found = np.zeros((int(lengths.max()), len(lengths), *flat.shape[1:]), flat.dtype)
    row = np.repeat(np.arange(len(lengths)), lengths)
    found[np.arange(len(flat)) - starts_of(lengths)[row], row] = flat
    return found


def _changes(flat: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Difference from the step before, 0 at the first."""
    changes = np.zeros_like(flat)
    changes[1:] = flat[1:] - flat[:-1]
    changes[starts_of(lengths)] = 0
    return changes


def _frames(flat: np.ndarray, lengths: np.ndarray, stride: int) -> tuple[np.ndarray, np.ndarray]:
    """Frames of twice `stride` steps, one every `stride`; beyond the ends, the first and last step again."""
    counts = -(-lengths // stride)
    row = np.repeat(np.arange(len(lengths)), counts)
    first = (np.arange(len(row)) - starts_of(counts)[row]) * stride - stride // 2
    inside = np.clip(first[:, None] + np.arange(2 * stride), 0, lengths[row][:, None] - 1)
    return flat[inside + starts_of(lengths)[row][:, None]].reshape(len(row), -1), counts


def _statistics(data: Sequences, rows: np.ndarray, name: str, per_step: bool) -> Numbers:
    """Scales of a column, from sums over pieces, for it may be larger than memory."""
    count: Any = 0
    sums = [np.zeros(1), np.zeros(1)]  # of the values and of their logarithms
    squares = [np.zeros(1), np.zeros(1)]
    high, low, missing = np.array(-np.inf), np.array(np.inf), np.array(False)
    moved, moves = np.zeros(1), 0
    for piece in pieces(data, rows):
        raw = _channels(piece.column(name))
        known = ~np.isnan(raw)
        count = count + known.sum(0)
        missing = missing | (~known).any(0)
        for kind, values in enumerate((raw, _log(raw))):
            exact = np.where(known, values, 0).astype(np.float64)
            sums[kind] = sums[kind] + exact.sum(0)
            squares[kind] = squares[kind] + np.square(exact).sum(0)
        high = np.maximum(high, np.where(known, raw, -np.inf).max(0, initial=-np.inf))
        low = np.minimum(low, np.where(known, raw, np.inf).min(0, initial=np.inf))
    n = np.maximum(count, 1)
    means = [total / n for total in sums]
    spreads = [np.sqrt(np.maximum(s / n - m * m, 0)) for s, m in zip(squares, means, strict=True)]
    spreads = [np.where(spread > 1e-6 * np.abs(m), spread, 0) for spread, m in zip(spreads, means, strict=True)]
    reach = np.maximum(high - means[0], means[0] - low)
    heavy = np.where(count > 0, reach > HEAVY_TAIL * np.maximum(spreads[0], 1e-30), False) & (spreads[0] > 0)
    mean, spread = np.where(heavy, means[1], means[0]), np.where(heavy, spreads[1], spreads[0])
    scale = np.where(spread > 0, spread, 1.0)
    column = Numbers(name, per_step, *(_plain(v) for v in (heavy, mean, scale, missing, np.ones_like(scale))))
    if not per_step:
        return column
    for piece in pieces(data, rows[:_PIECE]):  # roughly is enough
        changes = _changes(column.features(piece.steps[name])[0], piece.lengths)
        moved, moves = moved + np.square(changes, dtype=np.float64).sum(0), moves + len(changes)
    return replace(column, pace=_plain(np.where(moved > 0, np.sqrt(moved / max(1, moves)), 1.0)))


def _plain(values: np.ndarray) -> list[Any]:
    return list(np.atleast_1d(values).tolist())


def _texts(data: Sequences, names: Iterable[str]) -> Iterator[str]:
    columns = [data.facts[name].strings() for name in names]
    return ("\n".join(text or "" for text in texts) for texts in zip(*columns, strict=True))


def _tokens(text: str, kind: str) -> list[str]:
    return list(text) if kind == "characters" else token_pattern().findall(text)


def _vocabulary(
    data: Sequences,
    rows: np.ndarray,
    texts: list[tuple[bool, str]],
    tokens: str | None,
    vocabulary_size: int | None,
    min_frequency: int,
) -> Text:
    """The words and characters that are known: frequent ones first, equally frequent ones in their own order."""
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
    return Text(names, per_step, tokens, kept[:vocabulary_size], characters)
