"""A text in its three parts: training, validation and test."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ....data.readers.files import files_in, fingerprint, read_texts
from ....data.sources import kind_of
from ....data.split import PARTS, shuffled_split, split_in_order
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


# Lines around a book of Project Gutenberg, in the languages of its transcribers; older ones have no stars.
_GUTENBERG = r"\bproje(?:ct|kt|t)[ -]gutenberg"
_BEGINS = re.compile(
    rf"^[ *]*\*{{3}} ?(?:start|beginn?|anfang|d[eé]but)\b.*{_GUTENBERG}.*$|^\*end\*? ?the small print.*$", re.I | re.M
)
_ENDS = re.compile(
    rf"^[ *]*\*{{3}} ?(?:end|ende|fin)\b.*{_GUTENBERG}.*$|^ *(?:the )?(?:end|ende|fin)\b .{{0,30}}{_GUTENBERG}.*$",
    re.I | re.M,
)
_MENTIONS = re.compile(_GUTENBERG, re.I)
_AROUND = 30_000  # characters at either end of a text, where a header or a licence without the usual lines may stand


def boilerplate(text: str, name: str) -> str | None:
    """That a text has the header or the licence of Project Gutenberg in it, which would be learned too, and how to
    leave them out; None if it has neither.

    Args:
        name: Of the file, for the command.
    """
    begins, ends = _BEGINS.search(text), None
    for found in _ENDS.finditer(text, 0 if begins is None else begins.end()):
        ends = found
        break
    if begins is None and ends is None:
        at_ends = _MENTIONS.search(text, 0, _AROUND) or _MENTIONS.search(text, max(0, len(text) - _AROUND))
        if at_ends is None:
            return None
        line = text.count("\n", 0, at_ends.start()) + 1
        return f"line {line:,} names Project Gutenberg: a header or a licence is learned as well, unless you cut it out"
    first = 1 if begins is None else text.count("\n", 0, begins.end()) + 2
    last = text.count("\n") + 1 if ends is None else text.count("\n", 0, ends.start())
    around = (0 if begins is None else begins.end()) + (0 if ends is None else len(text) - ends.start())
    what = " and ".join(
        kind for kind, has in (("the header", begins is not None), ("the licence", ends is not None)) if has
    )
    several = len(_BEGINS.findall(text))
    how = f"the text itself is lines {first:,} to {last:,}" if several < 2 else f"{several} books have one"
    if several < 2 and os.path.isfile(name) and kind_of(name) == "text" and not name.endswith((".gz", ".xz", ".bz2")):
        how += f": sed -n {first},{last}p {shlex.quote(name)}"
    return f"{what} of Project Gutenberg, {around / len(text):.0%} of the text, would be learned as well; {how}"


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


def texts_of(data: Any, encoding: str) -> tuple[list[str], str]:
    """The text of what `fit` was given, a piece for each file, and its name."""
    if hasattr(data, "read"):
        text = data.read()
        if not isinstance(text, str) or not text:
            raise DataError("the open file gave no text. Open it in text mode, at its beginning")
        return [text], str(getattr(data, "name", "text"))
    if isinstance(data, str | os.PathLike):
        data = [data]
    elif not isinstance(data, Iterable) or isinstance(data, bytes):
        raise DataError(f"text comes from a path, several, or an open file, not from {data!r:.60}")
    several = list(data)
    _refuse_tables(several)
    return read_texts(several, encoding), ", ".join(map(str, several))


def text_of(data: Any, encoding: str) -> tuple[str, str]:
    """The same text as one, and its name."""
    texts, name = texts_of(data, encoding)
    return "".join(texts), name


def grouped_text(
    texts: Sequence[str], name: str, group: Sequence[str], shares: Sequence[float], seed: int
) -> tuple[str, tuple[float, float, float]]:
    """The text of several files, those of training first and those of the test last, and its parts' shares.

    Args:
        texts, name: As `texts_of` gives them.
        group: The option, which for text can only be "file".
        shares: That the parts should have, as far as whole files allow.

    Raises:
        OptionError: The group is another one, or there are too few files.
    """
    if tuple(group) != ("file",):
        raise OptionError(
            f"group='{','.join(group)}' needs columns, and text has none. Give several files and group='file', which "
            "keeps each file in one part"
        )
    part_of = _files_by_part(texts, shares, seed, name)
    ordered = [[texts[place] for place in part_of[part]] for part in PARTS]
    text = "".join(piece if piece.endswith("\n") else piece + "\n" for pieces in ordered for piece in pieces)
    lengths = [sum(len(piece) + (not piece.endswith("\n")) for piece in pieces) for pieces in ordered]
    train, validation = lengths[0] / len(text), lengths[1] / len(text)
    return text, (train, validation, 1 - train - validation)


def _files_by_part(texts: Sequence[str], shares: Sequence[float], seed: int, name: str) -> dict[str, list[int]]:
    """The files of each part, of which each has about its share of characters, in a random order."""
    parts = sum(share > 0 for share in shares)
    if len(texts) < parts:
        raise OptionError(
            f"group='file' divides {name}, which is {len(texts)} file{'s' * (len(texts) != 1)}, too few for {parts} "
            "parts. Give more files, or leave it out"
        )
    sizes = np.array([len(text) for text in texts])
    per_thousand = np.maximum(1, np.round(1000 * sizes / sizes.sum())).astype(np.int64)
    files = np.repeat(np.arange(len(sizes)), per_thousand)  # of each thousandth of the text
    places = shuffled_split(len(files), shares, [seed, 4], groups=files)
    return {part: sorted({int(files[place]) for place in some}) for part, some in places.items()}


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
