"""Sentences with a label per token: CoNLL columns and CoNLL-U."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import numpy as np

from ..errors import DataError, OptionError, suggest
from ._source import category, offsets_of, read_lines, text
from .schemes import checked
from .sequences import Sequences
from .text import Source

# The columns of CoNLL-U, in order.
UD_COLUMNS = ("id", "form", "lemma", "upos", "xpos", "feats", "head", "deprel", "deps", "misc")
UD_SKIPPED = re.compile(r"[0-9]+[-.][0-9]+")  # 3-4: a multiword token over its words; 3.1: a word that was left out
DOCUMENT = "-DOCSTART-"

Row = tuple[int, list[str]]  # line number and fields
Pick = int | str | None


def read_conll(
    source: Source, *, token: Pick = None, label: Pick = None, repair: bool = False, encoding: str = "utf-8"
) -> Sequences:
    """Sentences of a file with a token and its labels per line, and a blank line between sentences.

    CoNLL-U is known by the suffix .conllu, or by ten columns and ids that count from 1; everything else is plain
    columns, separated by tabs if the first line has one and by spaces otherwise. In plain columns, -DOCSTART- ends a
    sentence, and a line that opens with # is a comment only if it has not as many columns as the others, for # may be
    a token. In CoNLL-U, multiword ranges (3-4) and empty nodes (3.1) are passed over.

    Args:
        source: The file or its gzip, or "-".
        token: Column of the tokens: a number from 1, or in CoNLL-U a name. The first, or form.
        label: Column of the labels, likewise; numbers below 0 count from the end. The last, or upos.
        repair: Read spans that break their tagging scheme as conlleval does, instead of refusing them.
        encoding: Python's name for the encoding.

    Returns:
        Per step: `token`, text, and `label`, a category; a file of one column has no labels. _ in CoNLL-U is a missing
        label, except in feats, where it says that there are none.

    Raises:
        DataError: names the line and column that break the format, or the labels that break their scheme.
        OptionError: there is no such column.

    Source: universaldependencies.org/format.html; Tjong Kim Sang & De Meulder (2003), the CoNLL-2003 shared task.
    """
    name, lines = read_lines(source, encoding)
    universal = _is_universal(name, lines)
    sentences = list(_universal(name, lines) if universal else _plain(name, lines))
    if not sentences:
        raise DataError(f"{name} has no sentence. Write one token per line, with its label behind a tab or space.")
    width = len(sentences[0][0][1])
    token_at = _column(token, "form" if universal else 1, width, universal, name)
    rows = [row for sentence in sentences for row in sentence]
    tokens = [fields[token_at] for _, fields in rows]
    if "" in tokens:
        place = tokens.index("")
        raise DataError(f"{name}, line {rows[place][0]}, column {token_at + 1}: no token before the separator.")
    steps = {"token": text("token", tokens)}
    if width > 1 or label is not None:
        label_at = _column(label, "upos" if universal else -1, width, universal, name)
        labels: list[str | None] = [fields[label_at] for _, fields in rows]
        if "" in labels:
            place = labels.index("")
            raise DataError(f"{name}, line {rows[place][0]}, column {label_at + 1}: no label behind the separator.")
        if universal and UD_COLUMNS[label_at] != "feats":
            labels = [None if label == "_" else label for label in labels]
        steps["label"] = category("label", labels)
    lengths = [len(sentence) for sentence in sentences]
    sequences = Sequences(offsets_of(lengths), steps, {}, name, np.array([number for number, _ in rows]))
    return checked(sequences, repair=repair)[0] if "label" in steps else sequences


def _is_universal(name: str, lines: list[str]) -> bool:
    if re.search(r"\.conllu(\.gz)?'$", name):
        return True
    first = next((line.split("\t") for line in lines if line.strip() and not line.startswith("#")), [])
    return len(first) == len(UD_COLUMNS) and (first[0] == "1" or bool(UD_SKIPPED.fullmatch(first[0])))


def _column(pick: Pick, default: int | str, width: int, universal: bool, name: str) -> int:
    """The index of a column that was named, or numbered from 1 or from -1 at the end."""
    pick = default if pick is None else pick
    if isinstance(pick, str):
        if not universal:
            raise OptionError(f"{name} has no column names, so '{pick}' is none. Give a number from 1 to {width}.")
        if pick not in UD_COLUMNS:
            raise OptionError(suggest("column of CoNLL-U", pick, UD_COLUMNS))
        return UD_COLUMNS.index(pick)
    if not 1 <= abs(pick) <= width:
        raise OptionError(f"{name} has no column {pick}: it has {width}. The first is 1, the last is -1.")
    return pick - 1 if pick > 0 else width + pick


def _sentences(lines: list[str], fields: Callable[[int, str], list[str] | None]) -> Iterator[list[Row]]:
    """Rows between blank lines; `fields` gives None for a line to pass over and nothing for one that is a boundary."""
    sentence: list[Row] = []
    for number, line in enumerate([*lines, ""], 1):
        row = fields(number, line) if line.strip(" \t") else []
        if row:
            sentence.append((number, row))
        elif row is not None and sentence:
            yield sentence
            sentence = []


def _plain(name: str, lines: list[str]) -> Iterator[list[Row]]:
    first = next((line for line in lines if line.strip(" \t") and line[0] != "#" and not line.startswith(DOCUMENT)), "")
    separator = "tab" if "\t" in first else "space"

    def split(line: str) -> list[str]:
        if separator == "tab":
            return line.split("\t")
        # Not at any white space, for tokens may hold no-break and ideographic spaces.
        return [field for field in line.split(" ") if field]

    width = len(split(first))

    def fields(number: int, line: str) -> list[str] | None:
        if line.startswith(DOCUMENT):
            return []
        row = split(line)
        if len(row) == width:
            return row
        if line[0] == "#":
            return None
        columns = f"{len(row)} column{'s' if len(row) != 1 else ''} separated by {separator}s"
        raise DataError(f"{name}, line {number}: {columns}, but the first line has {width}: '{line[:40]}'")

    return _sentences(lines, fields)


def _universal(name: str, lines: list[str]) -> Iterator[list[Row]]:
    def fields(number: int, line: str) -> list[str] | None:
        if line[0] == "#":
            return None
        row = line.split("\t")
        if len(row) != len(UD_COLUMNS):
            columns = f"{len(row)} column{'s' if len(row) != 1 else ''} separated by tabs"
            raise DataError(f"{name}, line {number}: {columns}, but CoNLL-U has {len(UD_COLUMNS)}: '{line[:40]}'")
        return None if UD_SKIPPED.fullmatch(row[0]) else row

    for sentence in _sentences(lines, fields):
        for expected, (number, row) in enumerate(sentence, 1):
            if row[0] != str(expected):
                raise DataError(
                    f"{name}, line {number}, column 1: id '{row[0][:40]}' where {expected} was expected. "
                    "Words of a sentence count 1, 2, 3, and a blank line ends it."
                )
        yield sentence
