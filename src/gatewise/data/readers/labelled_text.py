"""Plain text with a label on every line: `label text`, `label<tab>text`, fastText's `__label__a __label__b text`, or a
label and a series of numbers, as the UCR archive has them. And folders of texts, labelled by the folders in them.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Sequence

import numpy as np

from ...errors import DataError
from ..sequences import Column, Sequences, category_column, natural_sorted, offsets_of, text_column
from .audio import SUFFIXES as SOUNDS
from .file_names import columns_of, folder_or_prefix
from .files import Source, files_in, name_of, read_lines, read_text

FASTTEXT = "__label__"
SUFFIX = ".txt"
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|(?i:[+-]?nan)")


def holds_texts(folder: Source) -> bool:
    """Whether there are text files anywhere in a folder, and no sound, which they may go with."""
    names = [file.name.lower() for file in files_in(folder)]
    return any(name.endswith(SUFFIX) for name in names) and not any(name.endswith(SOUNDS) for name in names)


def read_text_folder(
    folder: Source, label_from: str | None = None, encoding: str = "utf-8", labelled: bool = True
) -> Sequences:
    """The .txt files anywhere in a folder, each one text.

    Args:
        label_from: Where labels stand in their names, as for `audio.read_audio`. None: the folder that a file lies in,
            or else what stands before the first _ of its name.
        labelled: Whether names are asked for labels. If not, they are given as they are.

    Returns:
        Per sequence: `text`; `label`, a category, if there are any, and what else `label_from` names; or the `file`.

    Raises:
        DataError: A file is empty or not in this encoding, or its name does not fit.
    """
    files = [file for file in files_in(folder) if file.suffix.lower() == SUFFIX]
    names = [file.relative_to(folder).as_posix() for file in files]
    if not labelled:
        labels = {"file": text_column("file", names)}
    else:
        labels = folder_or_prefix(names) if label_from is None else columns_of(names, label_from)
    texts = [read_text(file, encoding).strip() for file in files]
    return Sequences(
        np.zeros(len(files) + 1, np.int64), static={"text": text_column("text", texts), **labels}, name=name_of(folder)
    )


def read_labelled_text(
    source: Source, separator: str | None = None, encoding: str = "utf-8", known: Collection[str] | None = None
) -> Sequences:
    """One example per line; blank lines are passed over.

    Args:
        source: The file or its gzip, or "-".
        separator: What stands between label and text. None: if the first line opens with __label__, every line holds
            one or more labels of that form and then its text; otherwise the tab if the first line has one, else the
            first space.
        encoding: Python's name for the encoding.
        known: Labels that there are, of lines that may have none: where less than half begin with one of these and a
            separator, every line is a text. None: they are labelled.

    Lines that hold nothing but numbers are series: of each, the first number is the label and the others are its steps,
    with white space, commas or semicolons between. NaN at the end of a line is padding.

    Returns:
        Of series, per step: `channels` (steps, 1); and per sequence `label`, a category if all labels are whole
        numbers, else a number. Of texts, per sequence: `text`, and `label`: a category, or where a line has several
        labels the (N, L) column of 0 and 1 that `several_labels` gives; or `text` alone. Sequences of texts have no
        steps, for what a step is (word, character) is up to the task.

    Raises:
        DataError: names the line that has no label or no text; or labels so many that they cannot be meant.

    Source: of the form with __label__, fasttext.cc, "Text classification".
    """
    name, lines = read_lines(source, encoding)
    numbered = [(number, line.strip()) for number, line in enumerate(lines, 1) if line.strip()]
    if not numbered:
        raise DataError(f"{name} has only blank lines. Write one example per line: its label, a tab, its text.")
    if separator is None and (series := _series(name, numbered)):
        return series
    first = numbered[0][1]
    several = separator is None and first.startswith(FASTTEXT)
    separator = separator or ("\t" if "\t" in first else " ")
    if known is not None and not several:
        begins = [line.partition(separator) for _, line in numbered]
        if 2 * sum(bool(rest) and label.strip() in known for label, _, rest in begins) < len(begins):
            return _of_texts(name, [line for _, line in numbered])
    labels: list[list[str]] = []
    texts: list[str] = []
    for number, line in numbered:
        where = f"{name}, line {number}"
        if several:
            found, rest = _fasttext(line)
        else:
            label, _, rest = line.partition(separator)
            found = [label.strip()]
        if several and not found:
            raise DataError(f"{where}: '{line[:40]}' does not open with {FASTTEXT}, as the first line does.")
        if not rest.strip() or not all(found):
            shown = {"\t": "tab", " ": "space"}.get(separator, f"'{separator}'")
            what = "no label" if rest.strip() else "no text after the label"
            raise DataError(f"{where}: {what}: '{line[:40]}'. Each line is a label, a {shown} and a text.")
        labels.append(found)
        texts.append(rest.strip())
    if any(len(found) > 1 for found in labels):
        column = several_labels("label", labels)
    else:
        words = [found[0] for found in labels]
        _check_meant(name, words)
        column = category_column("label", words)
    return _of_texts(name, texts, label=column)


def _of_texts(name: str, texts: Sequence[str], **columns: Column) -> Sequences:
    static = {"text": text_column("text", texts), **columns}
    return Sequences(np.zeros(len(texts) + 1, np.int64), {}, static, name)


def _series(name: str, numbered: Sequence[tuple[int, str]]) -> Sequences | None:
    """What lines of numbers say; None for lines of text. DataError if most are numbers, but not all."""
    found = [numbers_of(line) for _, line in numbered]
    if 2 * sum(row is not None for row in found) <= len(found):
        return None
    rows: list[np.ndarray] = []
    for (number, line), row in zip(numbered, found, strict=True):
        if row is None:
            raise DataError(
                f"{name}, line {number}: '{line[:40]}' is not a label and numbers, as most lines are. Mend it, or "
                "write a table with a header, in which a cell may be empty."
            )
        known = np.flatnonzero(~np.isnan(row))
        if not len(known) or known[0] > 0 or known[-1] == 0:
            what = "no value after the label" if len(known) and known[0] == 0 else "no label"
            raise DataError(f"{name}, line {number}: {what}: '{line[:40]}'. Each line is a label and its series.")
        rows.append(row[: known[-1] + 1])
    labels = np.array([row[0] for row in rows])
    whole = bool((labels == np.floor(labels)).all())
    label = (
        category_column("label", [str(int(value)) for value in labels])
        if whole
        else Column("label", "number", labels.astype(np.float32))
    )
    values = np.concatenate([row[1:] for row in rows]).astype(np.float32)[:, None]
    channels = Column("channels", "number", values)
    return Sequences(offsets_of([len(row) - 1 for row in rows]), {"channels": channels}, {"label": label}, name)


def numbers_of(line: str) -> np.ndarray | None:
    """The numbers of a line, if it holds two or more and nothing else; with a decimal comma where commas do not
    separate them."""
    plain = re.sub(r"\s*,\s+|\s+,", ",", line)
    if ";" in line or len(plain.split()) > 1:
        fields = [field.strip().replace(",", ".") for field in (line.split(";") if ";" in line else plain.split())]
    else:
        fields = plain.split(",")
    if len(fields) < 2 or not all(_NUMBER.fullmatch(field) for field in fields):
        return None
    return np.array(fields, np.float64)


def several_labels(name: str, labels: Sequence[Sequence[str]]) -> Column:
    """Sets of labels as (N, L) float32, 1 where label l applies to example n; `levels` names the L labels."""
    levels = natural_sorted({label for found in labels for label in found})
    code = {label: index for index, label in enumerate(levels)}
    values = np.zeros((len(labels), len(levels)), np.float32)
    for row, found in zip(values, labels, strict=True):
        row[[code[label] for label in found]] = 1
    return Column(name, "number", values, tuple(levels))


def _fasttext(line: str) -> tuple[list[str], str]:
    labels = []
    while line.startswith(FASTTEXT):
        word, _, line = line.partition(" ")
        labels.append(word.removeprefix(FASTTEXT))
        line = line.lstrip()
    return labels, line


def _check_meant(name: str, labels: list[str]) -> None:
    """A poem has first words too; a label is something that comes back."""
    counts = Counter(labels)
    once = sum(count == 1 for count in counts.values())
    if len(labels) >= 20 and (once > len(labels) / 4 or once > max(20, len(counts) / 2)):
        raise DataError(
            f"{name}: {once} of {len(labels)} lines open with a label that no other line has, such as "
            f"'{next(label for label in counts if counts[label] == 1)[:40]}'. Does every line open with its label? "
            "Lines of a token and its label are for the task tag."
        )
