"""What every reader returns and every task takes: sequences as columns of values, one per step or per sequence."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from ..errors import DataError, ShapeError, no_column, suggest
from .tables.schema import Schema

KINDS = ("number", "category", "text", "time")
MISSING = -1  # the code of a category that is not given

_TYPES = {"number": "f", "category": "i", "text": "O", "time": "M"}  # numpy's letter for what each kind is held in


@dataclass(frozen=True)
class Column:
    """Values of one name and kind, (n,) or, for a row of numbers per step such as a spectrum, (n, C).

    Attributes:
        name: As in the source.
        kind: "number" (float32 or float64, NaN where missing), "category" (int32 codes, -1 where missing), "text"
            (objects: str, None where missing) or "time" (datetime64[us] in UTC, NaT where missing).
        values: The array. May be a `numpy.memmap`, or a `MappedText`, of a table that is larger than memory: slice it,
            do not copy it.
        levels: Of a category, what the codes stand for. Of a number of shape (n, C) what its C columns are called, if
            anything; one that is named "label" and holds 0 and 1 says which of several labels apply.
        zone: Of a time, the time zone that the source or the user named, such as "Europe/Berlin"; None if none did.
        offset: Of a time, whether the source says with each value how far it is from UTC.
    """

    name: str
    kind: str
    values: np.ndarray
    levels: tuple[str, ...] = ()
    zone: str | None = None
    offset: bool = False

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ShapeError(suggest("kind of column", self.kind, KINDS))
        if self.values.dtype.kind != _TYPES[self.kind] or self.values.ndim not in (
            1,
            2 if self.kind == "number" else 1,
        ):
            raise ShapeError(
                f"column '{self.name}' of kind '{self.kind}' cannot be {self.values.dtype} of shape {self.values.shape}"
            )

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, part: slice | np.ndarray) -> Column:
        return replace(self, values=self.values[part])

    def strings(self) -> list[str | None]:
        """A category or text as the words it stands for."""
        if self.kind == "category":
            return [self.levels[code] if code >= 0 else None for code in self.values]
        return [None if value is None else str(value) for value in self.values]


@dataclass(frozen=True)
class Sequences:
    """N sequences of different lengths, stored one after the other.

    Attributes:
        offsets: (N + 1,) int64, rising from 0: sequence i has the steps offsets[i] : offsets[i + 1] of every column of
            `steps`.
        steps: Columns of one value per step, by name: sensors, sales, tokens of a sentence.
        static: Columns of one value per sequence, by name: a label, a whole text, the shop that the sales are of.
        name: Where they came from, for people.
        lines: (steps,) line of each step in its source where that is known, else None; for messages.
        schema: How a table was read; None for what is no table.
    """

    offsets: np.ndarray
    steps: Mapping[str, Column] = field(default_factory=dict)
    static: Mapping[str, Column] = field(default_factory=dict)
    name: str = "data"
    lines: np.ndarray | None = None
    schema: Schema | None = None

    def __post_init__(self) -> None:
        total = int(self.offsets[-1])
        for what, columns, count in (("step", self.steps, total), ("sequence", self.static, len(self))):
            for name, column in columns.items():
                if len(column) != count:
                    raise ShapeError(f"{count} {what}s need as many values, but column '{name}' has {len(column)}")

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> np.ndarray:
        """(N,) steps of each sequence."""
        return np.diff(self.offsets)

    def column(self, name: str) -> Column:
        """A column of either kind. DataError names those there are."""
        for columns in (self.steps, self.static):
            if name in columns:
                return columns[name]
        raise DataError(f"{self.name}: {no_column(name, [*self.steps, *self.static])}")

    def __iter__(self) -> Iterator[Sequences]:
        return (self.take([index]) for index in range(len(self)))

    def take(self, which: Sequence[int] | np.ndarray) -> Sequences:
        """These sequences, in this order, in memory of their own."""
        index = np.asarray(which, np.int64)
        lengths = self.lengths[index]
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        rows = np.arange(offsets[-1]) + np.repeat(self.offsets[:-1][index] - offsets[:-1], lengths)
        return Sequences(
            offsets,
            {name: column[rows] for name, column in self.steps.items()},
            {name: column[index] for name, column in self.static.items()},
            self.name,
            None if self.lines is None else self.lines[rows],
            self.schema,
        )

    def fingerprint(self) -> str:
        """sha256 of all values, in pieces, so that a table larger than memory has one too."""
        digest = hashlib.sha256(np.ascontiguousarray(self.offsets, "<i8").tobytes())
        for part, columns in (("steps", self.steps), ("facts", self.static)):  # as model files have it
            for name in sorted(columns):
                column = columns[name]
                digest.update(f"{part}\0{name}\0{column.kind}\0{column.levels}".encode())
                for start in range(0, len(column), 1 << 20):
                    stop = min(start + (1 << 20), len(column))
                    if column.kind == "text":
                        for at in range(start, stop, 1 << 12):
                            some = column.values[at : min(at + (1 << 12), stop)]
                            texts = "\0".join("\1" if v is None else str(v) for v in some)
                            digest.update(b"\0" * (at > start) + texts.encode("utf-8", "surrogatepass"))
                    else:
                        digest.update(np.ascontiguousarray(column.values[start:stop]).tobytes())
        return digest.hexdigest()


def offsets_of(lengths: Iterable[int]) -> np.ndarray:
    """(N + 1,) int64 where each of N sequences starts and the last one ends."""
    return np.concatenate([[0], np.cumsum(np.fromiter(lengths, np.int64))]).astype(np.int64)


def starts_of(lengths: np.ndarray) -> np.ndarray:
    """(N,) where each of N sequences starts among all steps."""
    return np.cumsum(lengths) - lengths


def category_column(name: str, words: Sequence[str | None], levels: Sequence[str] | None = None) -> Column:
    """A column of kind "category"; None is missing. Levels not given are the words that occur, sorted."""
    if levels is None:
        levels = natural_sorted({word for word in words if word is not None})
    codes: dict[str | None, int] = {word: code for code, word in enumerate(levels)}
    codes[None] = MISSING
    return Column(name, "category", np.fromiter((codes[word] for word in words), np.int32, len(words)), tuple(levels))


def text_column(name: str, words: Sequence[str | None]) -> Column:
    """A column of kind "text"."""
    values = np.empty(len(words), object)
    values[:] = words
    return Column(name, "text", values)


def natural_sorted(words: Iterable[str]) -> list[str]:
    """Words sorted, except that "10" comes after "9" where all of them are whole numbers."""
    words = list(words)
    if all(word.removeprefix("-").isdecimal() for word in words):
        return sorted(words, key=lambda word: (int(word), word))
    return sorted(words)
