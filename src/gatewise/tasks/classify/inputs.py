"""What `classify` reads: columns of any kind as arrays for its networks, one set of features per step.

Letters: S steps of all sequences of a batch one after the other, B sequences, T steps of the longest, D features,
U different spellings.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Annotated, Any

import numpy as np

from ...data.sequences import Column, Sequences, offsets_of, starts_of, text_column
from ...data.text.segmentation import token_pattern
from ...document import Count, Names, Positive, Share
from ...errors import DataError, OptionError, suggest
from ..fields import one_of

PAD, UNKNOWN = 0, 1  # ids of words and characters; known ones begin at 2
LONGEST_WORD = 20  # letters of a word that are read
TOGETHER = 256  # sequences that are validated or predicted at once
_PIECE = 4096  # sequences whose statistics are computed at once

Augment = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]  # numbers (S, D) and lengths -> others


@dataclass(frozen=True)
class Numbers:
    """A column of numbers, (n,) or (n, C): each channel as (value - mean) / scale, and 0 where it is missing.

    Attributes:
        per_step: Whether it has a value per step; a static value is repeated at every step.
        heavy: Per channel, whether its logarithm is taken first.
        missing: Per channel, whether it was ever missing in training; then one more feature marks where it is.
        pace: Per channel, the root mean square of its changes from step to step. Empty where there are none: the column
            is static, or no sequence has two steps.
        absent: Per channel, the share of training in which it was missing; empty in older files.
    """

    name: str
    per_step: bool
    heavy: list[bool]
    mean: list[float]
    scale: list[Positive]
    missing: list[bool]
    pace: list[Positive]
    absent: list[Share] = field(default_factory=list)

    def __post_init__(self) -> None:
        channels = len(self.mean)
        optional = (len(self.pace) or channels, len(self.absent) or channels)
        if {len(self.heavy), len(self.scale), len(self.missing), *optional} != {channels}:
            raise ValueError(f"its lists are not one value for each of {channels} channels")

    def features(self, column: Column) -> tuple[np.ndarray, np.ndarray]:
        """(n, C) scaled values, and (n, M) ones where the channels that may be missing are."""
        values = channels_of(column)
        if values.shape[1] != len(self.mean):
            raise DataError(
                f"column '{self.name}' has {values.shape[1]} channels, but the model learned from {len(self.mean)}"
            )
        absent = np.isnan(values)
        heavy = np.array(self.heavy)
        if heavy.any():
            values = np.where(heavy, signed_log(values), values)
        scaled = (values - np.array(self.mean, np.float32)) / np.array(self.scale, np.float32)
        return np.where(absent, np.float32(0), scaled), absent[:, np.array(self.missing)].astype(np.float32)


@dataclass(frozen=True)
class Category:
    """A column of categories: levels that occurred in training have ids from 1; missing and unknown ones are 0.

    Attributes:
        counts: How often each level occurred; empty in older files.
    """

    name: str
    per_step: bool
    levels: Names
    counts: list[Count] = field(default_factory=list)

    def __post_init__(self) -> None:
        if len(self.counts) not in (0, len(self.levels)):
            raise ValueError(f"it has {len(self.counts)} counts for {len(self.levels)} levels")

    def extended(self, other: Category) -> Category:
        """The same column of other data, with these levels and then those that are new, counted in both."""
        levels, counts = extended(self.levels, self.counts, other.levels, other.counts)
        return replace(other, levels=levels, counts=counts)

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
        names: Columns; the texts of several are joined by line ends.
        per_step: Whether each step is a word already.
        tokens: "words", "characters", or "both", words and their spelling.
        words: Words (or characters) with an embedding of their own, in the order of the ids from 2.
        characters: Characters of spellings, in the order of the ids from 2.
        counts: How often each of `words` occurred in training; empty in older files.
    """

    names: Names
    per_step: bool
    tokens: Annotated[str, one_of("kind of tokens", ("words", "characters", "both"))]
    words: Names
    characters: str
    counts: list[Count] = field(default_factory=list)
    _word_ids: dict[str, int] = field(init=False, repr=False, compare=False)
    _character_ids: dict[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not self.names or (self.per_step and len(self.names) > 1):
            raise ValueError(f"it reads {len(self.names)} columns of text as one")
        if len(self.counts) not in (0, len(self.words)):
            raise ValueError(f"it has {len(self.counts)} counts for {len(self.words)} words")
        object.__setattr__(self, "_word_ids", {word: number for number, word in enumerate(self.words, 2)})
        object.__setattr__(self, "_character_ids", {letter: number for number, letter in enumerate(self.characters, 2)})

    def extended(self, other: Text) -> Text:
        """The text of other data, with these words and letters and then those that are new, counted in both."""
        words, counts = extended(self.words, self.counts, other.words, other.counts)
        letters = "".join(dict.fromkeys(self.characters + other.characters)) if other.tokens == "both" else ""
        return replace(other, words=words, counts=counts, characters=letters)

    def cut(self, data: Sequences) -> list[list[str]]:
        """The tokens of each sequence. An empty text has one, the empty word, which is in no vocabulary."""
        if self.per_step:
            words = [value or "" for value in data.steps[self.names[0]].strings()]
            return [words[a:b] for a, b in zip(data.offsets[:-1], data.offsets[1:], strict=True)]
        return [_tokens(text, self.tokens) or [""] for text in _texts(data, self.names)]

    def wholes(self, data: Sequences) -> Iterator[str]:
        """Each sequence as one text."""
        if self.per_step:
            return (" ".join(words) for words in self.cut(data))
        return _texts(data, self.names)

    def ids(self, sequences: list[list[str]]) -> dict[str, np.ndarray]:
        """ "words" (T, B); and with "both", "word_of" (T, B), the place of each in "spelling" (letters, U), which has
        "spelling_lengths" (U,)."""
        T, B = max(map(len, sequences)), len(sequences)
        found = {"words": np.zeros((T, B), np.int64)}
        fold = str if self.tokens == "characters" else str.lower
        for b, tokens in enumerate(sequences):
            found["words"][: len(tokens), b] = [self._word_ids.get(fold(token), UNKNOWN) for token in tokens]
        if self.tokens == "both":
            place: dict[str, int] = {"": 0}  # so that there is at least one spelling in any batch
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
    """Everything that a model reads, and how.

    Attributes:
        stride: Steps of numbers that are read as one, together with as many neighbouring steps. With 1, each step is
            read, with its change since the step before.
    """

    numbers: list[Numbers]
    categories: list[Category]
    text: Text | None
    stride: Count = 1

    def __post_init__(self) -> None:
        if self.text is not None and self.has_steps and not self.text.per_step:
            raise ValueError("they have columns with steps of their own beside whole texts")

    def typical_length(self, data: Sequences) -> float:
        """The median length in steps; 1 where no column has steps, and for texts, which become tokens later."""
        has_steps = self.has_steps or (self.text is not None and self.text.per_step)
        return float(np.median(data.lengths)) if has_steps else 1.0

    def of_texts(self, texts: Sequence[str]) -> Sequences:
        """Sequences of nothing but these texts. OptionError if more than a text is read."""
        others = [*(c.name for c in self.numbers), *(c.name for c in self.categories)]
        if self.text is not None and not others:
            name, *rest = self.text.names
            if self.text.per_step:
                words = [_tokens(text, "words") or [""] for text in texts]
                column = text_column(name, [word for own in words for word in own])
                return Sequences(offsets_of(map(len, words)), {name: column}, {}, "the text")
            static = {name: text_column(name, texts), **{n: text_column(n, [""] * len(texts)) for n in rest}}
            return Sequences(np.zeros(len(texts) + 1, np.int64), {}, static, "the text")
        if self.text is None and not self.numbers and len(others) == 1:  # so few texts that they are levels
            for text in texts:
                if text not in self.categories[0].levels:
                    named = f"value of '{others[0]}' in training, whose values are levels,"
                    raise OptionError(suggest(named, text, self.categories[0].levels[:10]))
            columns = {others[0]: text_column(others[0], texts)}
            steps, static = (columns, {}) if self.categories[0].per_step else ({}, columns)
            return Sequences(np.arange(len(texts) + 1) * bool(steps), steps, static, "the text")
        read = ", ".join([*([] if self.text is None else self.text.names), *others])
        raise OptionError(f"this classifier reads {read}, and a text alone does not give that. Give it DATA")

    def with_stride(self, stride: int) -> Inputs:
        return replace(self, stride=stride)

    @property
    def only_numbers(self) -> bool:
        """Whether steps hold nothing but numbers, so that they can be stretched, and several read as one."""
        return self.text is None and not any(c.per_step for c in self.categories) and self.channels > 0

    @property
    def has_steps(self) -> bool:
        """Whether any number or category has a value per step."""
        return any(c.per_step for c in self.numbers) or any(c.per_step for c in self.categories)

    @property
    def counted(self) -> bool:
        """Whether it is known how often training had each word and level, and lacked each number."""
        gaps_known = all(column.absent or not any(column.missing) for column in self.numbers)
        levels_known = all(column.counts for column in self.categories)
        return gaps_known and levels_known and (self.text is None or bool(self.text.counts))

    def word_counts(self) -> dict[str, int]:
        """How often each known word occurred in training, the most frequent one first; none if there is no text."""
        return {} if self.text is None else dict(zip(self.text.words, self.text.counts, strict=True))

    @property
    def channels(self) -> int:
        """Numbers per step, C, without static ones and marks of missing values."""
        return sum(len(column.mean) for column in self.numbers if column.per_step)

    @property
    def width(self) -> int:
        """Numbers that the network reads at each step, D."""
        marks = sum(sum(column.missing) for column in self.numbers if column.per_step)
        varying = self.channels + marks
        static = sum(len(column.mean) + sum(column.missing) for column in self.numbers if not column.per_step)
        changes = sum(len(column.pace) for column in self.numbers)
        return static + (varying * 2 * self.stride if self.stride > 1 else varying + changes)

    def encode(self, data: Sequences, augment: Augment | None = None) -> dict[str, np.ndarray]:
        """Arrays of these sequences: "lengths" (B,), and where there are such columns, "numbers" (T, B, D) float32,
        "categories" (T, B, K) and those of `Text.ids`, int64.

        Args:
            augment: What changes the numbers of the steps in training, where there is nothing else per step.

        Raises:
            DataError: A column is missing or of another kind, or a sequence has no step.
        """
        self._check(data)
        found: dict[str, np.ndarray] = {}
        if self.text is not None:
            tokens = self.text.cut(data)
            lengths = np.array([len(sequence) for sequence in tokens], np.int64)
        else:
            lengths = data.lengths if self.has_steps else np.ones(len(data), np.int64)
        if (lengths == 0).any():
            row = int((lengths == 0).argmax())
            raise DataError(f"{data.name}: sequence {row} has no steps. Leave it out")
        if self.text is not None:
            found |= self.text.ids(tokens)
        if self.numbers:
            flat, lengths = self._numbers(data, lengths, augment)
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

    def _numbers(self, data: Sequences, lengths: np.ndarray, augment: Augment | None) -> tuple[np.ndarray, np.ndarray]:
        """(S, D) of all sequences, and their lengths, which augmentation and strides change."""
        parts = []
        if self.channels:
            values = self.varying(data)
            if augment is not None:
                values, lengths = augment(values, lengths)
            if self.stride > 1:
                values, lengths = _frames(values, lengths, self.stride)
                parts.append(values)
            else:
                parts += [values, *self._changes(values, lengths)]
        for column in self.numbers:
            if not column.per_step:
                parts += [np.repeat(part, lengths, 0) for part in column.features(data.static[column.name])]
        return np.concatenate(parts, 1), lengths

    def varying(self, data: Sequences) -> np.ndarray:
        """(S, C + M) scaled numbers of the steps of all sequences, and marks of those that are missing."""
        found = [column.features(data.steps[column.name]) for column in self.numbers if column.per_step]
        return np.concatenate([values for values, _ in found] + [marks for _, marks in found], 1)

    def series(self, data: Sequences) -> tuple[np.ndarray, np.ndarray]:
        """(S, C) scaled numbers of the steps of all sequences, and how many steps each has."""
        varying = [column.features(data.steps[column.name])[0] for column in self.numbers if column.per_step]
        return np.concatenate(varying, 1), data.lengths

    def _changes(self, values: np.ndarray, lengths: np.ndarray) -> Iterator[np.ndarray]:
        """(S, C) changes of each column that has any."""
        first = 0
        for column in self.numbers:
            if column.per_step:
                channels = slice(first, first := first + len(column.mean))
                if column.pace:
                    yield changes_of(values[:, channels], lengths) / np.array(column.pace, np.float32)

    def _check(self, data: Sequences) -> None:
        """Refuse data that lacks a column, or has it of another kind, or per sequence instead of per step."""
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


def extended(
    names: Sequence[str], counts: Sequence[int], others: Sequence[str], more: Sequence[int]
) -> tuple[list[str], list[int]]:
    """Names and then those of others that are new; and how often each was counted, none if it is not known of all."""
    every = [*dict.fromkeys([*names, *others])]
    if len(counts) < len(names) or len(more) < len(others):
        return every, []
    total = Counter(dict(zip(names, counts, strict=True)))
    total.update(dict(zip(others, more, strict=True)))
    return every, [total[name] for name in every]


def pieces(data: Sequences, rows: np.ndarray, size: int = _PIECE) -> Iterator[Sequences]:
    """These sequences, `size` at a time."""
    return (data.take(rows[start : start + size]) for start in range(0, len(rows), size))


def channels_of(column: Column) -> np.ndarray:
    """(n, C) float32."""
    values = np.asarray(column.values, np.float32)
    if np.isinf(values).any():
        raise DataError(f"column '{column.name}' holds infinity. Leave such values empty, or cap them")
    return values.reshape(len(values), -1)


def signed_log(values: np.ndarray) -> np.ndarray:
    return np.sign(values) * np.log1p(np.abs(values))


def _padded(flat: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """(S, ...) -> (T, B, ...), with zeros beyond the ends."""
    found = np.zeros((int(lengths.max()), len(lengths), *flat.shape[1:]), flat.dtype)
    row = np.repeat(np.arange(len(lengths)), lengths)
    found[np.arange(len(flat)) - starts_of(lengths)[row], row] = flat
    return found


def changes_of(flat: np.ndarray, lengths: np.ndarray) -> np.ndarray:
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


def frames_of(flat: np.ndarray, begin: int, which: range, stride: int) -> np.ndarray:
    """Some frames, as `_frames` makes them, of one sequence of which the steps from `begin` on are there."""
    first = np.array(which, np.int64)[:, None] * stride - stride // 2
    inside = np.clip(first + np.arange(2 * stride), 0, begin + len(flat) - 1)
    return flat[inside - begin].reshape(len(which), 2 * stride * flat.shape[1])


def _texts(data: Sequences, names: Iterable[str]) -> Iterator[str]:
    columns = [data.static[name] for name in names]
    each = [column.values if column.kind == "text" else column.strings() for column in columns]
    return ("\n".join(str(text or "") for text in texts) for texts in zip(*each, strict=True))


def _tokens(text: str, kind: str) -> list[str]:
    return list(text) if kind == "characters" else token_pattern().findall(text)
