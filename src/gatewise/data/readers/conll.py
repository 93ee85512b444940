"""Sentences with a label per token: CoNLL columns and CoNLL-U."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ...errors import DataError, OptionError, suggest
from ..sequences import Sequences, category_column, offsets_of, text_column
from ..text.tagging_schemes import check_labels
from .files import Source, read_lines

# The columns of CoNLL-U, in order.
UD_COLUMNS = ("id", "form", "lemma", "upos", "xpos", "feats", "head", "deprel", "deps", "misc")
UD_SKIPPED = re.compile(r"[0-9]+[-.][0-9]+")  # 3-4: a multiword token over its words; 3.1: a word that was left out
UD_HEAD = re.compile(r"#\s*global\.columns\s*=(.*)")
DOCUMENT = "-DOCSTART-"
TOKEN, LABEL = "token", "label"  # what those two are called, whatever their columns

# From the number of a line, the line and its token's place in the sentence to its columns: none for a line that ends a
# sentence, None for one to pass over.
Fields = Callable[[int, str, int], list[str] | None]
Pick = int | str | None


@dataclass(frozen=True)
class Layout:
    """How the lines of a file are read.

    Attributes:
        file: Its name, for messages.
        width: Columns of a line.
        fields: Reads a line.
        names: What the columns are called, in CoNLL-U; else none.
    """

    file: str
    width: int
    fields: Fields
    names: tuple[str, ...] = ()

    def at(self, pick: int | str) -> int:
        """The index of a column that is named, or numbered from 1 or from the end, -1. OptionError if there is none."""
        if isinstance(pick, str) and re.fullmatch("-?[0-9]+", pick):
            pick = int(pick)
        if isinstance(pick, str):
            if pick == TOKEN:
                return self.names.index("form") if "form" in self.names else 0
            if pick == LABEL:
                return self.names.index("upos") if "upos" in self.names else self.width - 1
            if not self.names:
                raise OptionError(
                    f"{self.file} has no column names, so '{pick}' is none. Give a number: 1 to {self.width}."
                )
            lower = [name.lower() for name in self.names]
            if pick.lower() not in lower:
                raise OptionError(suggest("column of CoNLL-U", pick, self.names))
            return lower.index(pick.lower())
        if not 1 <= abs(pick) <= self.width:
            raise OptionError(f"{self.file} has no column {pick}: it has {self.width}. The first is 1, the last is -1.")
        return pick - 1 if pick > 0 else self.width + pick

    def called(self, index: int) -> str:
        """A column's name, or its number from 1."""
        return self.names[index] if self.names else str(index + 1)


def read_conll(
    source: Source,
    *,
    token: Pick = None,
    label: Pick = None,
    columns: Sequence[int | str] | None = None,
    every: bool = False,
    labelled: bool = True,
    repair: bool = False,
    encoding: str = "utf-8",
) -> Sequences:
    """Sentences of a file with a token and its labels per line, and a blank line between sentences.

    CoNLL-U is known by the suffix .conllu, by a first line `# global.columns = ID FORM ...` that names its columns, or
    by ten columns and ids that count from 1; everything else is plain columns, separated by tabs if the first line has
    one and by spaces otherwise. In plain columns, -DOCSTART- ends a sentence, and a line that opens with # is a comment
    only if it has not as many columns as the others, for # may be a token. In CoNLL-U, multiword ranges (3-4) and empty
    nodes (3.1) are passed over.

    Args:
        source: The file or its gzip, or "-".
        token: Column of the tokens: a number from 1, or in CoNLL-U a name. The first, or form.
        label: Column of the labels, likewise; numbers below 0 count from the end. The last, or upos.
        columns: Columns to learn from instead of the tokens alone, likewise; "token" is the column of tokens.
        every: Read all other columns too.
        labelled: Whether labels are read.
        repair: Read spans that break their tagging scheme as conlleval does, instead of refusing them.
        encoding: Python's name for the encoding.

    Returns:
        Per step: `token`, text, and `label`, a category; a file of one column has no labels. Of the columns that were
        asked for, each is a category under that name, but tokens are text. _ in CoNLL-U is a missing label,
        except in feats, where it says that there are none.

    Raises:
        DataError: names the line and column that break the format, or the labels that break their scheme.
        OptionError: there is no such column, or a column to learn from is that of the labels.

    Source: universaldependencies.org/format.html; Tjong Kim Sang & De Meulder (2003), the CoNLL-2003 shared task.
    """
    name, lines = read_lines(source, encoding)
    names = _names(name, lines)
    layout = _universal(name, names) if names else _plain(name, lines)
    token_at = layout.at(TOKEN if token is None else token)
    places = {TOKEN: token_at}
    label_at = None
    if labelled and (layout.width > 1 or label is not None):
        label_at = layout.at(LABEL if label is None else label)
    if columns is not None:
        places = {str(pick): layout.at(pick) for pick in columns}
        if twice := [called for called, at in places.items() if at == label_at]:
            raise OptionError(f"column {twice[0]} of {name} is the target, so it cannot be learned from. Leave it out")
    if every:
        places |= {layout.called(at): at for at in range(layout.width) if at not in (*places.values(), label_at)}
    if label_at is not None:
        places[LABEL] = label_at
    numbers, found, lengths = _collect(lines, layout.fields, list(places.values()))
    if not numbers:
        raise DataError(f"{name} has no sentence. Write one token per line, with its label after a tab or space.")
    for words, at in zip(found, places.values(), strict=True):
        if "" in words:
            where = f"{name}, line {numbers[words.index('')]}, column {at + 1}"
            raise DataError(f"{where}: nothing in it. Write a token, a tab and its label.")
    steps = {
        called: (text_column if at == token_at else category_column)(called, words)
        for (called, at), words in zip(places.items(), found, strict=True)
    }
    sequences = Sequences(offsets_of(lengths), steps, {}, name, np.array(numbers))
    if label_at is None:
        return sequences
    missing = "_" if names and names[label_at] != "feats" else None
    steps[LABEL] = category_column(LABEL, [None if word == missing else word for word in found[-1]])
    return check_labels(replace(sequences, steps=steps), repair=repair)[0]


def _names(name: str, lines: list[str]) -> tuple[str, ...]:
    """The columns of CoNLL-U; none if this is not CoNLL-U."""
    if lines and (head := UD_HEAD.match(lines[0])):
        given = head[1].split()
        return tuple(column.lower() if column.lower() in UD_COLUMNS else column for column in given)
    if re.search(r"\.conllu(\.gz)?'$", name):
        return UD_COLUMNS
    first = next((line.split("\t") for line in lines if line.strip() and not line.startswith("#")), [])
    known = len(first) == len(UD_COLUMNS) and (first[0] == "1" or bool(UD_SKIPPED.fullmatch(first[0])))
    return UD_COLUMNS if known else ()


def _collect(lines: list[str], fields: Fields, places: Sequence[int]) -> tuple[list[int], list[list[str]], list[int]]:
    """Line number of every step, the columns at these places, and the lengths of the sentences.

    Rows are not kept whole: lists by the hundred thousand keep Python's garbage collector busier than the reading.
    """
    numbers: list[int] = []
    columns: list[list[str]] = [[] for _ in places]
    lengths: list[int] = []
    start = 0
    for number, line in enumerate([*lines, ""], 1):
        row = fields(number, line, len(numbers) - start + 1) if line.strip(" \t") else []
        if row:
            numbers.append(number)
            for column, at in zip(columns, places, strict=True):
                column.append(row[at])
        elif row is not None and len(numbers) > start:
            lengths.append(len(numbers) - start)
            start = len(numbers)
    return numbers, columns, lengths


def _plain(name: str, lines: list[str]) -> Layout:
    """Of a file of columns without names."""
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

    return Layout(name, max(width, 1), fields)


def _universal(name: str, names: tuple[str, ...]) -> Layout:
    """Of CoNLL-U with these columns."""

    def fields(number: int, line: str, place: int) -> list[str] | None:
        if line[0] == "#":
            return None
        row = line.split("\t")
        if len(row) != len(names):
            columns = f"{len(row)} column{'s' if len(row) != 1 else ''} separated by tabs"
            has = "CoNLL-U has" if names == UD_COLUMNS else "its first line names"
            raise DataError(f"{name}, line {number}: {columns}, but {has} {len(names)}: '{line[:40]}'")
        if names[0] != "id" or row[0] == str(place):
            return row
        if UD_SKIPPED.fullmatch(row[0]):
            return None
        raise DataError(
            f"{name}, line {number}, column 1: id '{row[0][:40]}' where {place} was expected. "
            "Words of a sentence count 1, 2, 3, and a blank line ends it."
        )

    return Layout(name, len(names), fields, names)
