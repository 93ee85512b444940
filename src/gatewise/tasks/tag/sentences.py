"""Cuts a sentence into tokens such as the training data had, and shows the tagged sentence."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from ...data.sequences import Sequences, offsets_of, text_column
from ...data.text import tagging_schemes as schemes
from ...errors import OptionError
from ..answers import Answer
from .features import Features, Words
from .targets import Targets

_OPENING = "([{<\"'“‘„«¿¡"
_CLOSING = ".,;:!?)]}>\"'”’»…"
# What the Penn Treebank cuts off the end of a word, and so do most corpora that follow it.
_CLITIC = re.compile(r"(n['’]t|['’](?:s|re|ve|m|ll|d))$", re.IGNORECASE)


class Token(NamedTuple):
    """Where a token stands in its sentence: sentence[start:stop]."""

    start: int
    stop: int


def tokens_of(sentence: str, words: Words) -> list[Token]:
    """The tokens of a sentence.

    Where training knew single characters, each is a token. Else white space separates tokens, and marks at both ends of
    a word ("Paris.") and clitics ("don't") are cut off, unless training knew them as part of the word ("Mr.").
    """
    if words.single:
        return [Token(found.start(), found.end()) for found in re.finditer(r"\S", sentence)]
    return [
        token
        for found in re.finditer(r"\S+", sentence)
        for token in _cut(sentence, Token(found.start(), found.end()), words)
    ]


def _cut(sentence: str, token: Token, words: Words) -> list[Token]:
    """A piece between white space as tokens."""
    start, stop = token
    piece = sentence[start:stop]
    if stop - start < 2 or words.knows(piece):
        return [token]
    if piece[-1] in _CLOSING:
        same = len(piece) - len(piece.rstrip(piece[-1]))  # "..." stays in one piece
        mark = stop - (same if words.knows(piece[-same:]) else 1)
        return [*(_cut(sentence, Token(start, mark), words) if mark > start else []), Token(mark, stop)]
    if piece[0] in _OPENING:
        return [Token(start, start + 1), *_cut(sentence, Token(start + 1, stop), words)]
    found = _CLITIC.search(piece)
    if found and found.start() and words.knows(found[0].replace("’", "'")):
        at = start + found.start()
        return [*_cut(sentence, Token(start, at), words), Token(at, stop)]
    return [token]


def sequences_of(sentences: Sequence[str], features: Features) -> tuple[Sequences, list[list[Token]]]:
    """Sentences as a tagger reads them, and where their tokens stand.

    Raises:
        OptionError: It reads more than words.
    """
    if len(features.words) != 1 or len(features.columns) > 1:
        names = ", ".join(features.columns)
        raise OptionError(f"this tagger reads {names} at each step, and a text gives words alone. Give it DATA")
    words = features.words[0]
    tokens = [tokens_of(sentence, words) for sentence in sentences]
    found = [sentence[a:b] for sentence, own in zip(sentences, tokens, strict=True) for a, b in own]
    column = text_column(words.column, found)
    return Sequences(offsets_of(map(len, tokens)), {words.column: column}, {}, "the text"), tokens


def answer(sentence: str, tokens: Sequence[Token], predicted: np.ndarray, targets: Targets) -> Answer:
    """A tagged sentence: spans in brackets with their kind, or each token with its label.

    Args:
        predicted: (T,) labels or numbers.
    """
    given = [sentence[a:b] for a, b in tokens]
    document: dict[str, Any] = {"text": sentence, "tokens": given, "predicted": predicted.tolist()}
    if targets.scheme is None:
        values = predicted if targets.classes else map("{:.4g}".format, predicted)
        return Answer(" ".join(f"{token}/{value}" for token, value in zip(given, values, strict=True)), document)
    marked = schemes.spans(predicted.tolist(), targets.scheme)
    spans = [(tokens[span.start].start, tokens[span.stop - 1].stop, span.type) for span in marked]
    document["spans"] = [
        {"text": sentence[start:stop], "kind": kind, "start": start, "stop": stop} for start, stop, kind in spans
    ]
    return Answer("".join(_marked(sentence, spans)), document)


def _marked(sentence: str, spans: Iterable[tuple[int, int, str]]) -> Iterator[str]:
    """The sentence in pieces, with each span as [text: kind]."""
    at = 0
    for start, stop, kind in spans:
        yield sentence[at:start]
        yield f"[{sentence[start:stop]}{f': {kind}' if kind else ''}]"
        at = stop
    yield sentence[at:]
