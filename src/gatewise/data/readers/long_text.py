"""A text of any length: counted, cut and read piece by piece, while its files stay where they are."""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from .decoded import Mark
from .files import Source, TextFile, text_files


@dataclass(frozen=True)
class _File:
    """A file as it was read first.

    Attributes:
        begins: Characters before each of its pieces, ascending, and in the end those of all.
        marks: Where these pieces begin.
    """

    file: TextFile
    begins: Sequence[int]
    marks: Sequence[Mark]

    def read(self, start: int, stop: int) -> Iterator[str]:
        """Characters from `start` to `stop`, which is larger, piece by piece."""
        place = bisect_right(self.begins, start) - 1
        at = self.begins[place]
        for _, piece in self.file.pieces(self.marks[place]):
            found = piece[max(0, start - at) : stop - at]
            at += len(piece)
            yield found
            if at >= stop < self.begins[-1]:  # at the file's end, go on: it is seen whether it changed meanwhile
                return


@dataclass(frozen=True)
class _Stretch:
    """Some characters of a file, or of a text in memory."""

    source: _File | str
    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start

    def __iter__(self) -> Iterator[str]:
        if isinstance(self.source, str):
            return iter([self.source[self.start : self.stop]])
        return self.source.read(self.start, self.stop)


class LongText:
    """A text as pieces that follow each other. Its length is in characters, and slices of it are texts again.

    Files are decoded anew each time that the text is iterated over, with the same result, or an error if they changed.

    Attributes:
        name: What messages call it.
        fingerprint: As `files.fingerprint` of all of it; of a slice, that of the text that it was cut from.
        characters: The distinct characters of all of it, in order of code point; of a slice, those of the whole.

    Example:
        >>> text = LongText.open(["poems/", "more.txt.gz"])
        >>> text[-1000:].read()  # the last thousand characters
    """

    def __init__(self, parts: Sequence[Sequence[_Stretch]], name: str, fingerprint: str, characters: str):
        self._parts = [[some for some in part if len(some)] for part in parts]
        self.name, self.fingerprint, self.characters = name, fingerprint, characters

    @classmethod
    def open(cls, source: Source | Sequence[Source], encoding: str = "utf-8", name: str = "text") -> Self:
        """The text that `files.read_text` gives, which is read once, to count it and to see that it is text."""
        seen = _Seen()
        found = text_files(source, encoding, seen.file)
        parts = [[_Stretch(one, 0, one.begins[-1])] for one, _ in found]
        for part, (_, ends) in zip(parts[:-1], found, strict=False):
            if not ends:
                part.append(_Stretch("\n", 0, 1))
        return cls(parts, name, seen.digest.hexdigest(), seen.characters)

    @classmethod
    def of(cls, text: str, name: str = "text") -> Self:
        """A text in memory."""
        seen = _Seen()
        seen.piece(text)
        return cls([[_Stretch(text, 0, len(text))]], name, seen.digest.hexdigest(), seen.characters)

    def __len__(self) -> int:
        return sum(self.lengths)

    @property
    def lengths(self) -> list[int]:
        """Characters of each file; a line end that was added to it counts."""
        return [sum(map(len, part)) for part in self._parts]

    def __iter__(self) -> Iterator[str]:
        for part in self._parts:
            for some in part:
                yield from some

    def __getitem__(self, wanted: slice) -> Self:
        start, stop, _ = wanted.indices(len(self))
        at = 0
        found: list[list[_Stretch]] = []
        for part in self._parts:
            found.append([])
            for some in part:
                first, last = max(start - at, 0), min(stop - at, len(some))
                if first < last:
                    found[-1].append(_Stretch(some.source, some.start + first, some.start + last))
                at += len(some)
        return type(self)(found, self.name, self.fingerprint, self.characters)

    def read(self) -> str:
        """All of it, in memory."""
        return "".join(self)

    def in_order(self, files: Sequence[int]) -> Self:
        """The same files in another order, each with a line end at its end.

        Args:
            files: Their places.
        """
        parts, digest = [], hashlib.sha256(f"{self.fingerprint} {list(files)}".encode())
        for place in files:
            part = self._parts[place]
            ends = self._ends_with_line(part)
            parts.append(part if ends else [*part, _Stretch("\n", 0, 1)])
        return type(self)(parts, self.name, digest.hexdigest(), "".join(sorted({*self.characters, "\n"})))

    @staticmethod
    def _ends_with_line(part: Sequence[_Stretch]) -> bool:
        last = part[-1]
        return "".join(_Stretch(last.source, last.stop - 1, last.stop)) == "\n"


class _Seen:
    """What was seen of a text: its digest, and its distinct characters."""

    def __init__(self) -> None:
        self.digest, self._ends = hashlib.sha256(), True
        self._ascii, self._codes = b"", np.zeros(0x110000, bool)

    def file(self, file: TextFile) -> tuple[_File, bool]:
        """See a whole file, and whether it ends with a line end. If it is no text after all, nothing was seen of it."""
        before = self.digest.copy(), self._ends, self._ascii, self._codes.copy()
        begins, marks = [0], []
        try:
            if not self._ends:
                self.piece("\n")
            for mark, piece in file.pieces():
                self.piece(piece)
                marks.append(mark)
                begins.append(begins[-1] + len(piece))
        except BaseException:
            self.digest, self._ends, self._ascii, self._codes = before
            raise
        return _File(file, begins, marks), self._ends

    def piece(self, text: str) -> None:
        raw = text.encode("utf-8", "surrogatepass")
        self.digest.update(raw)
        self._ends = text.endswith("\n")
        if text.isascii():  # many times as fast
            if new := raw.translate(None, self._ascii):
                self._ascii += bytes(set(new))
        else:
            self._codes[np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")] = True

    @property
    def characters(self) -> str:
        self._codes[list(self._ascii)] = True
        return "".join(map(chr, np.flatnonzero(self._codes).tolist()))
