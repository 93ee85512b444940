"""Sentences with a label per token: CoNLL columns and CoNLL-U."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from ...errors import DataError, OptionError, suggest
from ..sequences import Sequences, category_column, offsets_of, text_column
from ..text.tagging_schemes import check_labels
from .files import Source, read_lines

# The columns of CoNLL-U, in order.
UD_COLUMNS = ("id", "form", "lemma", "upos", "xpos", "feats", "head", "deprel", "deps", "misc")
UD_SKIPPED = re.compile(r"[0-9]+[-.][0-9]+")  # 3-4: a multiword token over its words; 3.1: a word that was left out
DOCUMENT = "-DOCSTART-"

# From the number of a line, the line and its token's place in the sentence to its columns: none for a line that ends a
# sentence, None for one to pass over.
Fields = Callable[[int, str, int], list[str] | None]
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
    width, fields = _universal(name) if universal else _plain(name, lines)
    token_at = _column(token, "form" if universal else 1, width, universal, name)
    label_at = _column(label, "upos" if universal else -1, width, universal, name)
    numbers, tokens, labels, lengths = _collect(lines, fields, token_at, label_at)
    if not tokens:
        raise DataError(f"{name} has no sentence. Write one token per line, with its label after a tab or space.")
    for words, at in ((tokens, token_at), (labels, label_at)):
        if "" in words:
            where = f"{name}, line {numbers[words.index('')]}, column {at + 1}"
            raise DataError(f"{where}: nothing in it. Write a token, a tab and its label.")
    sequences = Sequences(offsets_of(lengths), {"token": text_column("token", tokens)}, {}, name, np.array(numbers))
    if width == 1 and label is None:
        return sequences
    missing = "_" if universal and UD_COLUMNS[label_at] != "feats" else None
    column = category_column("label", [None if label == missing else label for label in labels])
    return check_labels(replace(sequences, steps={**sequences.steps, "label": column}), repair=repair)[0]


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


def _collect(
    lines: list[str], fields: Fields, token_at: int, label_at: int
) -> tuple[list[int], list[str], list[str], list[int]]:
    """Line number, token and label of every step, and the lengths of the sentences.

    Rows are not kept whole: lists by the hundred thousand keep Python's garbage collector busier than the reading.
    """
    numbers: list[int] = []
    tokens: list[str] = []
    labels: list[str] = []
    lengths: list[int] = []
    start = 0
    for number, line in enumerate([*lines, ""], 1):
        row = fields(number, line, len(tokens) - start + 1) if line.strip(" \t") else []
        if row:
            numbers.append(number)
            tokens.append(row[token_at])
            labels.append(row[label_at])
        elif row is not None and len(tokens) > start:
            lengths.append(len(tokens) - start)
            start = len(tokens)
    return numbers, tokens, labels, lengths


def _plain(name: str, lines: list[str]) -> tuple[int, Fields]:
    """How many columns there are, and how to read a line of them."""
    first = next((line for line in lines if line.strip(" \t") and not line.startswith(("#", DOCUMENT))), "")
    separator = "tab" if "\t" in first else "space"

    def split(line: str) -> list[str]:
        if separator == "tab":
            return line.split("\t")
        # Not at any white space, for tokens may hold no-break and ideographic spaces.
        return [field for field in line.split(" ") if field]

    width = len(split(first))

    def fields(number: int, line: str, place: int) -> list[str] | None:
        if line.startswith(DOCUMENT):
            return []
        row = split(line)
        if len(row) == width:
            return row
        if line[0] == "#":
            return None
        columns = f"{len(row)} column{'s' if len(row) != 1 else ''} separated by {separator}s"
        raise DataError(f"{name}, line {number}: {columns}, but the first line has {width}: '{line[:40]}'")

    return max(width, 1), fields


def _universal(name: str) -> tuple[int, Fields]:
    """Likewise of CoNLL-U."""

    def fields(number: int, line: str, place: int) -> list[str] | None:
        if line[0] == "#":
            return None
        row = line.split("\t")
        if len(row) != len(UD_COLUMNS):
            columns = f"{len(row)} column{'s' if len(row) != 1 else ''} separated by tabs"
            raise DataError(f"{name}, line {number}: {columns}, but CoNLL-U has {len(UD_COLUMNS)}: '{line[:40]}'")
        if row[0] == str(place):
            return row
        if UD_SKIPPED.fullmatch(row[0]):
            return None
        raise DataError(
            f"{name}, line {number}, column 1: id '{row[0][:40]}' where {place} was expected. "
            "Words of a sentence count 1, 2, 3, and a blank line ends it."
        )

    return len(UD_COLUMNS), fields
