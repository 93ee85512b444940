"""A text in its three parts: training, validation and test."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ....data.readers.files import files_in, fingerprint, read_text
from ....data.sources import kind_of
from ....data.split import split_in_order
from ....data.text.vocabulary import DEFAULT_PAIRS, DEFAULT_WORDS, BytePairs, Characters, Vocabulary, Words
from ....errors import DataError, OptionError


@dataclass(frozen=True)
class Corpus:
    """A text in its three parts, as text and as token ids.

    Attributes:
        texts: The text of each part.
        ids: Its token ids, (n,).
        name: What messages call the text.
        fingerprint: sha256 of the whole text.
    """

    texts: dict[str, str]
    ids: dict[str, np.ndarray]
    name: str
    fingerprint: str


def split_text(
    text: str, name: str, shares: Sequence[float], vocabulary: Vocabulary, validation: str | None = None
) -> Corpus:
    """The text in three contiguous parts, in the order of `PARTS`; with a validation text that was given apart."""
    parts = split_in_order(text, shares)
    if validation is not None:
        parts["validation"] = validation
    ids = {part: vocabulary.encode(piece) for part, piece in parts.items()}
    return Corpus(parts, ids, name, fingerprint(text))


def learn_vocabulary(
    text: str,
    kind: str,
    shares: Sequence[float],
    *,
    size: int | None = None,
    min_frequency: int = 1,
    validation: str = "",
) -> Vocabulary:
    """A vocabulary of tokens of one kind.

    Characters are those of the whole text and of a validation text, as an alphabet is known beforehand; words and
    byte-pairs, and how frequent they are, are learned from the training part alone.
    """
    if kind == Characters.kind:
        return Characters.fit(text + validation)
    learned = split_in_order(text, shares)["train"]
    if kind == Words.kind:
        return Words.fit(learned, max_size=size or DEFAULT_WORDS, min_frequency=min_frequency)
    return BytePairs.fit(learned, size=size or DEFAULT_PAIRS, min_frequency=max(2, min_frequency))


def text_of(data: Any, encoding: str) -> tuple[str, str]:
    """The text of what `fit` was given, and its name."""
    if hasattr(data, "read"):
        text = data.read()
        if not isinstance(text, str) or not text:
            raise DataError("the open file gave no text. Open it in text mode, at its beginning")
        return text, str(getattr(data, "name", "text"))
    if isinstance(data, str | os.PathLike):
        data = [data]
    elif not isinstance(data, Iterable) or isinstance(data, bytes):
        raise DataError(f"text comes from a path, several, or an open file, not from {data!r:.60}")
    several = list(data)
    _refuse_tables(several)
    return read_text(several, encoding), ", ".join(map(str, several))


def _refuse_tables(paths: Iterable[Any]) -> None:
    """OptionError if all files are tables by their names: what is in them is hardly meant to be learned as text."""
    named = [path for path in paths if isinstance(path, str | os.PathLike)]
    several = (files_in(path) if os.path.isdir(path) else [path] for path in named)
    files = [os.fspath(file) for some in several for file in some]
    if files and all(kind_of(file) == "table" for file in files):
        many = f", and so {'is' if len(files) == 2 else 'are'} {len(files) - 1} more" if files[1:] else ""
        raise OptionError(
            f"'{files[0]}' is a table{many}. To continue its numbers, give one table and name its columns, such as "
            "columns='x,y'; to predict one of them, take another task, such as forecast or classify; to learn it as "
            f"text, give it as standard input: gatewise fit generate - < {files[0]}"
        )
