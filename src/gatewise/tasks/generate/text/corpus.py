"""A text in its three parts: training, validation and test."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shlex
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ....data.readers.files import files_in
from ....data.readers.long_text import LongText
from ....data.sources import kind_of
from ....data.split import PARTS, shuffled_split, split_in_order
from ....data.text.tokens import tokens
from ....data.text.vocabulary import DEFAULT_PAIRS, DEFAULT_WORDS, BytePairs, Characters, Vocabulary, Words
from ....errors import DataError, Notice, OptionError
from ....files import size_text
from ....sharing import first_on_each_machine
from .baselines import MOST_COUNTED

# Characters of a part of a text that are held in memory as they are: the beginning of a held-out part, which is all of
# it that is measured, and the end of the training part.
MOST_HELD = 3_000_000
MOST_PAIRED = 100_000_000  # characters at the beginning of a training text from which byte-pairs are learned


@dataclass(frozen=True)
class Corpus:
    """A text in its three parts, as text and as token ids.

    Attributes:
        texts: Of each part at most `MOST_HELD` characters, the last ones of training and the first ones of the others.
        ids: The token ids, (n,), of all of the training part, and of the others' texts.
        lengths: Characters of each part.
        name: What messages call the text.
    """

    texts: dict[str, str]
    ids: dict[str, np.ndarray]
    lengths: dict[str, int]
    name: str


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
_ONE_BOOK = 64_000_000  # characters of a text in which lines are looked for; a longer one is many books
_AROUND = 30_000  # characters at either end of a text, where a header or a licence without the usual lines may stand


def boilerplate(text: LongText | str, name: str) -> str | None:
    """That a text has the header or the licence of Project Gutenberg in it, which would be learned too, and how to
    leave them out; None if it has neither.

    Args:
        text: Of a long one, only the beginning is looked at.
        name: Of the file, for the command.
    """
    if not isinstance(text, str):
        if len(text) > _ONE_BOOK:
            several = sum(len(_BEGINS.findall(piece)) for piece in text[:_ONE_BOOK])
            headers = f"{several:,} books have the header of Project Gutenberg, which would be learned as well"
            return headers if several else None
        text = text.read()
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
    books = len(_BEGINS.findall(text))
    how = f"the text itself is lines {first:,} to {last:,}" if books < 2 else f"{books} books have one"
    if books < 2 and os.path.isfile(name) and kind_of(name) == "text" and not name.endswith((".gz", ".xz", ".bz2")):
        how += f": sed -n {first},{last}p {shlex.quote(name)}"
    return f"{what} of Project Gutenberg, {around / len(text):.0%} of the text, would be learned as well; {how}"


def told_of_long(corpus: Corpus, kind: str) -> str | None:
    """What of a long text is not learned or measured in full, and where its tokens are; None of other texts.

    Args:
        kind: Of the tokens.
    """
    ids, found = corpus.ids["train"], []
    if len(ids) > MOST_COUNTED:
        found.append(f"plain methods learn from the last {MOST_COUNTED:,} tokens of the training part")
    if kind == BytePairs.kind and corpus.lengths["train"] > MOST_PAIRED:
        found.append(f"byte-pairs from its first {MOST_PAIRED:,} characters")
    if (told := told_of_measured(corpus)) is not None:
        found.append(told)
    if isinstance(ids, np.memmap):
        where = "a temporary file" if ids.filename is None else ids.filename
        found.append(f"tokens in {where}, {size_text(ids.nbytes)}")
    return "; ".join(found) or None


def told_of_measured(corpus: Corpus) -> str | None:
    """What is measured of held-out parts, if that is not all of them."""
    longer = [part for part in PARTS[1:] if corpus.lengths[part] > MOST_HELD]
    if not longer:
        return None
    return f"the first {MOST_HELD:,} characters of the {' and '.join(longer)} part are measured"


def split_text(
    text: LongText,
    shares: Sequence[float],
    vocabulary: Vocabulary,
    validation: LongText | None = None,
    *,
    kept: Path | None = None,
    learned: bool = True,
) -> Corpus:
    """The text in three contiguous parts, in the order of `PARTS`; with a validation text that was given apart.

    Args:
        kept: Where the tokens of the training part go if they are many; see `tokens`.
        learned: Whether there is something to learn from the training part; otherwise its tokens are left out.
    """
    parts = split_in_order(text, shares)
    train = parts["train"]
    identity = {
        "text": text.fingerprint,
        "characters": len(train),
        "vocabulary": hashlib.sha256(json.dumps(vocabulary.to_json()).encode()).hexdigest(),
    }
    encode = partial(vocabulary.encoded, train if learned else "")
    ids = {"train": first_on_each_machine(lambda: tokens(encode, len(vocabulary), identity, kept))}
    if validation is not None:
        parts["validation"] = validation
    texts = {part: (own[-MOST_HELD:] if part == "train" else own[:MOST_HELD]).read() for part, own in parts.items()}
    ids |= {part: vocabulary.encode(texts[part]) for part in PARTS[1:]}
    return Corpus(texts, ids, {part: len(own) for part, own in parts.items()}, text.name)


def learn_vocabulary(
    text: LongText,
    kind: str,
    shares: Sequence[float],
    *,
    size: int | None = None,
    min_frequency: int = 1,
    validation: LongText | None = None,
) -> Vocabulary:
    """A vocabulary of tokens of one kind.

    Characters are those of the whole text and of a validation text, as an alphabet is known beforehand; words and
    byte-pairs, and how frequent they are, are learned from the training part alone.
    """
    if kind == Characters.kind:
        return Characters(text.characters + ("" if validation is None else validation.characters))
    learned = split_in_order(text, shares)["train"]
    if kind == Words.kind:
        return Words.fit(learned, max_size=size or DEFAULT_WORDS, min_frequency=min_frequency)
    return BytePairs.fit(learned[:MOST_PAIRED], size=size or DEFAULT_PAIRS, min_frequency=max(2, min_frequency))


def text_of(data: Any, encoding: str) -> LongText:
    """The text of what `fit` was given."""
    if isinstance(data, LongText):
        return data
    if hasattr(data, "read"):
        text = data.read()
        if not isinstance(text, str) or not text:
            raise DataError("the open file gave no text. Open it in text mode, at its beginning")
        return LongText.of(text, str(getattr(data, "name", "text")))
    if isinstance(data, str | os.PathLike):
        data = [data]
    elif not isinstance(data, Iterable) or isinstance(data, bytes):
        raise DataError(f"text comes from a path, several, or an open file, not from {data!r:.60}")
    several = list(data)
    _refuse_tables(several)
    return LongText.open(several, encoding, ", ".join(map(str, several)))


def measured_text(text: LongText) -> str:
    """What is measured of a text: of a long one the beginning, which is said."""
    if len(text) > MOST_HELD:
        said = f"of the {len(text):,} characters of {text.name} the first {MOST_HELD:,} are measured"
        warnings.warn(said, Notice, stacklevel=3)
    return text[:MOST_HELD].read()


def grouped_text(
    text: LongText, group: Sequence[str], shares: Sequence[float], seed: int
) -> tuple[LongText, tuple[float, float, float]]:
    """The text of several files, those of training first and those of the test last, and its parts' shares.

    Args:
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
    part_of = _files_by_part(text, shares, seed)
    ordered = text.in_order([place for part in PARTS for place in part_of[part]])
    lengths = iter(ordered.lengths)
    train, validation, _ = (sum(next(lengths) for _ in part_of[part]) / len(ordered) for part in PARTS)
    return ordered, (train, validation, 1 - train - validation)


def _files_by_part(text: LongText, shares: Sequence[float], seed: int) -> dict[str, list[int]]:
    """The files of each part, of which each has about its share of characters, in a random order."""
    parts, sizes = sum(share > 0 for share in shares), np.array(text.lengths)
    if (many := len(sizes)) < parts:
        raise OptionError(
            f"group='file' divides {text.name}, which is {many} file{'s' * (many != 1)}, too few for {parts} "
            "parts. Give more files, or leave it out"
        )
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
