"""What the readers of this folder share: a file as numbered lines, and columns from plain lists."""

from __future__ import annotations

import stat
from collections.abc import Iterable, Sequence

import numpy as np

from ..errors import DataError
from .readers.files import Source, _bytes, _mode, _name, read_text
from .sequences import MISSING, Column


def name_of(source: Source) -> str:
    """The source as a message shows it."""
    return _name(source)


def read_bytes(source: Source) -> bytes:
    """One whole file. DataError if it is a folder or cannot be read."""
    _check_file(source)
    return _bytes(source)


def read_lines(source: Source, encoding: str) -> tuple[str, list[str]]:
    """One file's name for messages, and its lines without their ends; line n is at n - 1.

    Split at line feeds alone: to Python's `splitlines` a form feed or U+2028 inside a token would end the line.

    Raises:
        DataError: a folder, or what `read_text` refuses.
    """
    _check_file(source)
    return name_of(source), read_text(source, encoding).split("\n")


def _check_file(source: Source) -> None:
    if source != "-" and stat.S_ISDIR(_mode(source)):
        raise DataError(f"{name_of(source)} is a folder. Name one file in it.")


def offsets_of(lengths: Iterable[int]) -> np.ndarray:
    """(N + 1,) int64 where each of N sequences starts and the last one ends."""
    return np.concatenate([[0], np.cumsum(np.fromiter(lengths, np.int64))]).astype(np.int64)


def category(name: str, words: Sequence[str | None], levels: Sequence[str] | None = None) -> Column:
    """A column of kind "category"; None is missing. Levels not given are the words that occur, in `natural` order."""
    if levels is None:
        levels = natural({word for word in words if word is not None})
    codes: dict[str | None, int] = {word: code for code, word in enumerate(levels)}
    codes[None] = MISSING
    return Column(name, "category", np.fromiter((codes[word] for word in words), np.int32, len(words)), tuple(levels))


def text(name: str, words: Sequence[str | None]) -> Column:
    """A column of kind "text"."""
    values = np.empty(len(words), object)
    values[:] = words
    return Column(name, "text", values)


def natural(words: Iterable[str]) -> list[str]:
    """Words sorted, except that "10" comes behind "9" where all of them are whole numbers."""
    words = list(words)
    if all(word.removeprefix("-").isdecimal() for word in words):
        return sorted(words, key=lambda word: (int(word), word))
    return sorted(words)
