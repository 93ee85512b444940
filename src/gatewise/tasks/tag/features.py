"""Encodes what a tagger reads at each step as arrays: words and their parts, categories, measurements.

Everything is learned from training data once and kept as plain lists, so that a model file can hold it.

Letters: T steps, B sequences, U distinct words of a batch, C letters of a word.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Self

import numpy as np

from ...data.sequences import Column, Sequences
from ...document import Count, Names, Positive, Share
from ...errors import DataError

UNKNOWN = 0  # id of what is not in a vocabulary, and of missing values
MOST_LEVELS = 100  # a category with more levels than this is read as text, by its spelling
SINGLE = 1.5  # letters of a token, on average; shorter ones have no parts that differ from the whole
SHORT = 3.0  # letters of a token, on average; of shorter ones, such as characters, neighbours are read together
MOST_LETTERS = 24  # of a longer word only the first and the last half of these are read
_MOST_BINS, _MOST_CUTS = 40, 1024  # bins of one measurement, and edges of all measurements together
_DIGITS = str.maketrans("123456789", "000000000")


def shape(word: str) -> str:
    """The pattern of a word's characters, with runs shortened: "McDonald's" is "XxXx'x", "B-52" is "X-d"."""
    letters: list[str] = []
    for c in word:
        kind = "X" if c.isupper() else "x" if c.islower() else "d" if c.isdigit() else "z" if c.isalpha() else c
        if not letters or letters[-1] != kind:
            letters.append(kind)
    return "".join(letters)[:12]


# Part of a word -> how to compute it, and how often a value must occur in training to be in the vocabulary.
PARTS: dict[str, tuple[Callable[[str], str], int]] = {
    "word": (lambda word: word.lower().translate(_DIGITS), 1),
    "shape": (shape, 2),
    "prefix": (lambda word: word[:3].lower(), 3),
    "suffix": (lambda word: word[-3:].lower(), 3),
    "ending": (lambda word: word[-2:].lower(), 3),
}


@dataclass(frozen=True)
class Words:
    """How one column of tokens is encoded.

    Attributes:
        column: Its name.
        parts: Vocabulary of each of `PARTS` by name, most frequent first; ids begin at 1, and 0 is the unknown.
        counts: How often each word of the vocabulary occurred in training.
        letters: Known characters; empty where tokens are single characters, which have no spelling to read.
        pairs: Known pairs of neighbouring tokens, where tokens are short; else empty. Models of before have them where
            tokens are single characters.
        ahead: Whether the pair with the next token may be read.
    """

    column: str
    parts: dict[str, Names]
    counts: list[Count]
    letters: Names
    pairs: Names
    ahead: bool
    _numbers: dict[str, dict[str, int]] = field(init=False, repr=False, compare=False, default_factory=dict)

    def __post_init__(self) -> None:
        if not {"word"} <= self.parts.keys() <= PARTS.keys() or len(self.counts) != len(self.parts["word"]):
            raise ValueError(f"it has {len(self.counts)} counts for parts {', '.join(map(repr, self.parts))}")
        for name, known in {**self.parts, "letters": self.letters, "pairs": self.pairs}.items():
            self._numbers[name] = {text: number for number, text in enumerate(known, 1)}

    @classmethod
    def learn(cls, column: Column, offsets: np.ndarray, ahead: bool) -> Self:
        tokens = _tokens(column)
        counts = Counter(tokens)
        length = sum(map(len, tokens)) / len(tokens) if tokens else SHORT
        single = length < SINGLE
        parts, least = {}, 1
        for name, (part, least) in PARTS.items():
            if not single or name in ("word", "shape"):
                found: Counter[str] = Counter()
                for word, count in counts.items():
                    found[part(word)] += count
                parts[name] = _frequent(found, least)
                if name == "word":
                    words = found
        letters = Counter(c for word in counts for c in word) if not single else Counter()
        # Both sides give the same pairs except at the beginnings and ends of sequences, so take the larger count.
        backward, forward = _pairs(tokens, offsets) if length < SHORT else ([], [])
        pairs = Counter(backward) | Counter(forward)
        return cls(
            column.name,
            parts,
            [words[word] for word in parts["word"]],
            _frequent(letters, 2),
            _frequent(pairs, 2),
            ahead,
        )

    def extended(self, other: Words) -> Words:
        """A column of other data, with what is known here and then what is new, and words counted in both."""
        total = Counter(dict(zip(self.parts["word"], self.counts, strict=True)))
        total.update(dict(zip(other.parts["word"], other.counts, strict=True)))
        parts = {name: _union(self.parts.get(name, []), known) for name, known in other.parts.items()}
        return replace(
            other,
            parts=parts,
            counts=[total[word] for word in parts["word"]],
            letters=_union(self.letters, other.letters) if other.letters else [],
            pairs=_union(self.pairs, other.pairs) if other.pairs else [],
        )

    @property
    def single(self) -> bool:
        """Whether tokens are single characters."""
        return "prefix" not in self.parts

    def knows(self, word: str) -> bool:
        """Whether a word occurred in training."""
        return PARTS["word"][0](word) in self._numbers["word"]

    def encode(self, column: Column, offsets: np.ndarray, before: str = "") -> EncodedWords:
        """The tokens of these sequences as ids.

        Args:
            before: The token before the first one, if the first one does not begin a sequence.
        """
        tokens = _tokens(column)
        distinct: dict[str, int] = {}
        index = np.array([distinct.setdefault(token, len(distinct)) for token in tokens], np.int64)
        parts = np.array(
            [[self._numbers[name].get(PARTS[name][0](word), UNKNOWN) for name in self.parts] for word in distinct],
            np.int64,
        ).reshape(len(distinct), len(self.parts))
        spellings = [_spelling(word) if self.letters else "" for word in distinct]
        lengths = np.array(list(map(len, spellings)), np.int64)
        letters = np.zeros((len(distinct), max(1, lengths.max(initial=1))), np.int64)
        for row, spelling in enumerate(spellings):
            # An unknown letter has an id of its own, as 0 is padding.
            letters[row, : len(spelling)] = [self._numbers["letters"].get(c, len(self.letters) + 1) for c in spelling]
        pairs = np.zeros((len(tokens), 0), np.int64)
        if self.pairs:
            both = _pairs(tokens, offsets, before)
            known = self._numbers["pairs"]
            wanted = both if self.ahead else both[:1]
            pairs = np.array([[known.get(pair, UNKNOWN) for pair in side] for side in wanted], np.int64).T
            pairs = pairs.reshape(len(tokens), len(wanted))
        return EncodedWords(index, parts, letters, lengths, pairs, [*distinct])


@dataclass(frozen=True)
class EncodedWords:
    """Tokens as ids: n steps of W distinct words.

    Attributes:
        index: (n,) which of the distinct words each step has.
        parts: (W, parts).
        letters: (W, C), 0 beyond a word's end.
        lengths: (W,) number of letters of each word.
        pairs: (n, 2), or (n, 1) without the next token, or (n, 0).
        distinct: The distinct words themselves.
    """

    index: np.ndarray
    parts: np.ndarray
    letters: np.ndarray
    lengths: np.ndarray
    pairs: np.ndarray
    distinct: list[str]

    def at(self, steps: np.ndarray) -> dict[str, np.ndarray]:
        """Arrays of the words at these steps, (T, B) indices: "index" (T, B) of the distinct words, "parts" (U, parts),
        "letters" (C, U), "letter_counts" (U,) and "pairs" (T, B, 0 to 2)."""
        used, index = np.unique(self.index[steps], return_inverse=True)
        counts = self.lengths[used]
        return {
            "index": index.reshape(steps.shape),
            "parts": self.parts[used],
            "letters": self.letters[used, : max(1, counts.max())].T.copy(),
            "letter_counts": counts,
            "pairs": self.pairs[steps],
        }


@dataclass(frozen=True)
class Encoded:
    """Encoded sequences: words by column, categories (n, K) int64, measurements (n, N) float32."""

    offsets: np.ndarray
    words: list[EncodedWords]
    categories: np.ndarray
    numbers: np.ndarray

    def batch(self, starts: np.ndarray, lengths: np.ndarray) -> dict[str, np.ndarray]:
        """Arrays of the pieces of these lengths that begin at these steps, side by side and time-major: "categories"
        (T, B, K), "numbers" (T, B, N), "lengths" (B,), and those of `EncodedWords.at` under "words.0.index" and so on,
        with the place of the column."""
        at, _ = piece_steps(starts, lengths)
        words = {f"words.{k}.{name}": array for k, own in enumerate(self.words) for name, array in own.at(at).items()}
        return {**words, "categories": self.categories[at], "numbers": self.numbers[at], "lengths": lengths}


def piece_steps(starts: np.ndarray, lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(T, B) indices of the steps of pieces side by side, and which of them lie inside; padding repeats a piece's first
    step, which nothing reads."""
    steps = np.arange(lengths.max())[:, None]
    inside = steps < lengths
    return np.where(inside, starts + steps, starts), inside


@dataclass(frozen=True)
class Features:
    """All columns that a tagger reads, and how they are encoded.

    Attributes:
        words: Columns of tokens.
        categories: Levels by column.
        means, scales: Mean and standard deviation of each measurement in training, by column.
        gaps: Whether measurements were missing in training; then each has a second number that is 1 where it is
            missing.
        edges: Quantiles of each measurement in training, in units of its scale. The network divides the range there,
            so that thresholds are as easy to learn as they are for a tree (Gorishniy et al. 2022, arXiv:2203.05556).
        per_sequence: Whether measurements are brought to mean 0 and deviation 1 in each sequence first, so that the
            offset and the scale of a sequence do not count.
        shares: How often each level occurred in training, by column; empty in older files.
        absent: Share of training in which each measurement was missing; empty in older files.
    """

    words: list[Words]
    categories: dict[str, Names]
    means: dict[str, list[float]]
    scales: dict[str, list[Positive]]
    gaps: bool
    edges: list[list[float]]
    per_sequence: bool = False
    shares: dict[str, list[Share]] = field(default_factory=dict)
    absent: list[Share] = field(default_factory=list)

    def __post_init__(self) -> None:
        channels, columns = {name: len(mean) for name, mean in self.means.items()}, self.columns
        levels = {name: len(levels) for name, levels in self.categories.items()}
        if self.shares and {name: len(shares) for name, shares in self.shares.items()} != levels:
            raise ValueError("its shares are not those of its levels")
        if len(self.absent) not in (0, sum(channels.values())):
            raise ValueError("its shares of what is missing are not those of its measurements")
        if len({*columns}) < len(columns) or channels != {name: len(scale) for name, scale in self.scales.items()}:
            raise ValueError("its means and scales are not those of different columns")
        lengths = {len(edges) for edges in self.edges}
        if self.edges and (len(self.edges) != sum(channels.values()) or len(lengths) > 1 or lengths & {0, 1}):
            raise ValueError("its edges are not as many for each channel")

    @classmethod
    def learn(
        cls,
        data: Sequences,
        columns: Sequence[str],
        ahead: bool,
        per_sequence: bool = False,
        before: Features | None = None,
    ) -> Self:
        """Learn the encoding of these columns of training data. DataError if there is nothing to learn from.

        Args:
            before: What a model reads that is gone on from: its words and levels are kept, the words counted on.
        """
        words: list[Words] = []
        categories, means, scales, gaps = {}, {}, {}, False
        shares: dict[str, list[float]] = {}
        absent: list[float] = []
        scaled: list[np.ndarray] = []
        for name in columns:
            column = _per_step(data, name)
            if _is_text(column):
                own = Words.learn(column, data.offsets, ahead)
                place = len(words)
                words.append(before.words[place].extended(own) if before and place < len(before.words) else own)
            elif column.kind == "category":
                categories[name] = _union(before.categories.get(name, []) if before else [], column.levels)
                codes = np.asarray(column.values)
                counts = np.bincount(codes[codes >= 0], minlength=len(column.levels))
                share = dict(zip(column.levels, (counts / max(1, len(codes))).tolist(), strict=True))
                shares[name] = [share.get(level, 0.0) for level in categories[name]]
            elif column.kind == "number":
                values = column.values.reshape(len(column), -1).astype(np.float64)
                _no_infinities(data, column, values)
                values = _scaled_each(values, data.offsets) if per_sequence else values
                known = ~np.isnan(values)
                count = np.maximum(known.sum(0), 1)
                mean = np.where(known, values, 0).sum(0) / count
                variance = np.where(known, (values - mean) ** 2, 0).sum(0) / count
                means[name] = mean.tolist()
                scales[name] = np.where(variance > 0, np.sqrt(variance), 1.0).tolist()
                gaps = gaps or not known.all()
                absent += (~known).mean(0).tolist()
                scaled += [
                    (each[~np.isnan(each)] - m) / s
                    for each, m, s in zip(values.T, means[name], scales[name], strict=True)
                ]
        if not words and not categories and not means:
            raise DataError(f"{data.name}: there is no column to learn from. Name some with columns")
        bins = min(_MOST_BINS, _MOST_CUTS // max(1, len(scaled)))
        at = np.linspace(0, 1, bins + 1)
        edges = [np.quantile(own, at).tolist() if len(own) else [0.0] * len(at) for own in scaled if bins > 1]
        return cls(words, categories, means, scales, gaps, edges, per_sequence, shares, absent)

    @property
    def counted(self) -> bool:
        """Whether it is known how often training had each level, and lacked each measurement."""
        return bool(self.shares or not self.categories) and bool(self.absent or not self.gaps)

    @property
    def columns(self) -> list[str]:
        return [*(words.column for words in self.words), *self.categories, *self.means]

    def word_counts(self) -> dict[str, int]:
        """How often each word of any column occurred in training, the most frequent one first."""
        found: Counter[str] = Counter()
        for words in self.words:
            found.update(dict(zip(words.parts["word"], words.counts, strict=True)))
        return dict(found.most_common())

    @property
    def width(self) -> int:
        """Numbers that the measurements of a step are encoded as, N."""
        return sum(map(len, self.means.values())) * (2 if self.gaps else 1)

    def encode(self, data: Sequences, before: Mapping[str, str] | None = None) -> Encoded:
        """These sequences as arrays, unknown and missing values marked as such. DataError if a column is missing.

        Args:
            before: By column the token before the first one, if the first one does not begin a sequence.
        """
        n = int(data.offsets[-1])
        words = [
            own.encode(_of_kind(data, own.column, "text"), data.offsets, (before or {}).get(own.column, ""))
            for own in self.words
        ]
        categories = np.zeros((n, len(self.categories)), np.int64)
        for place, (name, levels) in enumerate(self.categories.items()):
            number = {level: code for code, level in enumerate(levels, 1)}
            given = _of_kind(data, name, "category").strings()
            categories[:, place] = [UNKNOWN if level is None else number.get(level, UNKNOWN) for level in given]
        numbers = [np.zeros((n, 0))]
        for name, mean in self.means.items():
            column = _of_kind(data, name, "number")
            values = column.values.reshape(n, -1).astype(np.float64)
            if values.shape[1] != len(mean):
                raise DataError(f"{data.name}: column '{name}' has {values.shape[1]} numbers a step, not {len(mean)}")
            _no_infinities(data, column, values)
            values = _scaled_each(values, data.offsets) if self.per_sequence else values
            numbers.append((values - mean) / self.scales[name])
        scaled = np.concatenate(numbers, 1)
        missing = np.isnan(scaled)
        if missing.any() and not self.gaps:
            scaled = np.where(missing, 0.0, scaled)
        elif self.gaps:
            scaled = np.concatenate([np.where(missing, 0.0, scaled), missing], 1)
        return Encoded(data.offsets, words, categories, scaled.astype(np.float32))

    def to_json(self) -> dict[str, Any]:
        words = [{name: v for name, v in asdict(own).items() if name != "_numbers"} for own in self.words]
        return {**vars(self), "words": words}


def joined(parts: Sequence[Encoded], spelled: bool = True) -> Encoded:
    """Sequences behind one another.

    Args:
        spelled: Whether words have their parts, letters and pairs; else it is only told which they are.
    """
    words = [_joined_words(columns, spelled) for columns in zip(*(part.words for part in parts), strict=True)]
    ends = np.cumsum([0, *(part.offsets[-1] for part in parts)])
    offsets = [part.offsets[:-1] + end for part, end in zip(parts, ends, strict=False)]
    categories, numbers = (
        np.concatenate([getattr(part, name) for part in parts]) for name in ("categories", "numbers")
    )
    return Encoded(np.append(np.concatenate(offsets), ends[-1]), words, categories, numbers)


def _joined_words(columns: Sequence[EncodedWords], spelled: bool) -> EncodedWords:
    firsts = np.cumsum([0, *(len(own.distinct) for own in columns)])
    index = np.concatenate([own.index + first for own, first in zip(columns, firsts, strict=False)])
    distinct = [word for own in columns for word in own.distinct]
    if not spelled:
        none = np.zeros((0, 0), np.int64)
        return EncodedWords(index, none, none, none, none, distinct)
    letters = np.zeros((len(distinct), max(own.letters.shape[1] for own in columns)), np.int64)
    for own, first in zip(columns, firsts, strict=False):
        letters[first : first + len(own.letters), : own.letters.shape[1]] = own.letters
    parts, lengths, pairs = (
        np.concatenate([getattr(own, name) for own in columns]) for name in ("parts", "lengths", "pairs")
    )
    return EncodedWords(index, parts, letters, lengths, pairs, distinct)


def place_of(data: Sequences, step: int) -> str:
    """The position of a step in its source, for messages."""
    return f"{data.name}, " + (f"step {step}" if data.lines is None else f"line {data.lines[step]}")


def _per_step(data: Sequences, name: str) -> Column:
    """A column with a value per step. DataError if there is none of this name."""
    if name not in data.steps:
        data.column(name)  # raises an error that lists the columns, if there is none of this name
        raise DataError(f"{data.name}: column '{name}' has one value per sequence, a tagger reads one per step")
    return data.steps[name]


def _of_kind(data: Sequences, name: str, kind: str) -> Column:
    """The same, refused where only one of it and the training data holds numbers."""
    column = _per_step(data, name)
    if (column.kind == "number") != (kind == "number"):
        raise DataError(f"{data.name}: column '{name}' is of kind '{column.kind}', but '{kind}' was learned from")
    return column


def _is_text(column: Column) -> bool:
    return column.kind == "text" or (column.kind == "category" and len(column.levels) > MOST_LEVELS)


def _tokens(column: Column) -> list[str]:
    return [token or "" for token in column.strings()]


def _spelling(word: str) -> str:
    half = MOST_LETTERS // 2
    return word if len(word) <= MOST_LETTERS else word[:half] + word[-half:]


def _pairs(tokens: Sequence[str], offsets: np.ndarray, before: str = "") -> tuple[list[str], list[str]]:
    """The pairs of each token with the one before it and with the one after it; "" stands beyond the ends."""
    first, last = np.zeros(len(tokens) + 1, bool), np.zeros(len(tokens) + 1, bool)
    first[offsets[:-1]] = True
    last[offsets[1:] - 1] = True
    backward = ["" if first[t] else tokens[t - 1] for t in range(len(tokens))]
    if tokens:
        backward[0] = before
    backward = [f"{left} {token}" for left, token in zip(backward, tokens, strict=True)]
    forward = [f"{token} {'' if last[t] else tokens[t + 1]}" for t, token in enumerate(tokens)]
    return backward, forward


def _frequent(counts: Counter[str], least: int) -> list[str]:
    return [text for text, count in sorted(counts.items(), key=lambda item: (-item[1], item[0])) if count >= least]


def _union(names: Sequence[str], others: Sequence[str]) -> list[str]:
    """Names, and then those of others that are new."""
    return [*dict.fromkeys([*names, *others])]


def _scaled_each(values: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """(n, C) with mean 0 and deviation 1 in each sequence, of the values that are there; a constant becomes 0."""
    row = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    known = ~np.isnan(values)
    count = np.zeros((len(offsets) - 1, values.shape[1]))
    total, square = np.zeros_like(count), np.zeros_like(count)
    np.add.at(count, row, known)
    np.add.at(total, row, np.where(known, values, 0.0))
    mean = total / np.maximum(count, 1)
    centred = values - mean[row]
    np.add.at(square, row, np.where(known, centred, 0.0) ** 2)
    deviation = np.sqrt(square / np.maximum(count, 1))
    return centred / np.where(deviation > 1e-9 * (1 + np.abs(mean)), deviation, 1.0)[row]


def _no_infinities(data: Sequences, column: Column, values: np.ndarray) -> None:
    wrong = np.flatnonzero(np.isinf(values).any(1))
    if len(wrong):
        raise DataError(
            f"{place_of(data, int(wrong[0]))}: column '{column.name}' is infinite. Give a number, or leave it empty"
        )
