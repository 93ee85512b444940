"""What belongs together, such as the recordings of one speaker: groups of sequences, which no split divides."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import PurePosixPath

import numpy as np

from ..errors import DataError, OptionError
from .sequences import Column, Sequences

_SHOWN = 4  # groups that a message names

# Names of columns that say whose a sequence is, as a whole name or a part of one.
_NAMES = re.compile(
    r"(?:^|_)(speaker|subject|participant|patient|person|user|writer|author|signer|rider|driver|machine|device|engine|"
    r"unit|site|station|shop|store|customer|book|session|recording|group)(?:_?(?:id|no|nr|name|number))?$",
    re.IGNORECASE,
)


def groups_of(data: Sequences, columns: Sequence[str], shares: Sequence[float]) -> np.ndarray | None:
    """(N,) the number of each sequence's group, from 0: the combination of its values in these columns.

    Args:
        columns: Of sequences, or of steps where all steps of a sequence have one value. None gives None.
        shares: Of the parts that the groups are divided among, as for `split.split`.

    Raises:
        DataError: A column is not there, changes within a sequence, or has no value for one.
        OptionError: There are too few groups for the parts, or each row of a table is a group of its own.
    """
    if not columns:
        return None
    found = [_words(data, name) for name in columns]
    words = [" ".join(row) for row in zip(*found, strict=True)]
    # A long sequence may well be all that there is of its group: the recording of one person.
    return numbered(words, ", ".join(columns), data.name, shares, alone=bool((data.lengths > 1).any()))


def numbered(words: Sequence[str], column: str, name: str, shares: Sequence[float], alone: bool = False) -> np.ndarray:
    """(N,) the number of each item's group, from 0. Arguments and errors as for `groups_of`.

    Args:
        alone: Whether each item may be a group of its own.
    """
    parts = sum(share > 0 for share in shares)
    levels, numbers = np.unique(np.array(words, object), return_inverse=True)
    shown = ", ".join(repr(str(level)) for level in levels[:_SHOWN]) + (", ..." if len(levels) > _SHOWN else "")
    if len(levels) == len(words) and len(words) > 1 and not alone:
        raise OptionError(
            f"group '{column}' of {name} is different in all {len(words):,} rows, so that nothing belongs "
            "together. Leave it out, or name a column that several share"
        )
    if len(levels) < parts:
        fewer = "1,0,0" if len(levels) == 1 else "0.8,0.2,0"
        raise OptionError(
            f"group '{column}' of {name} has {len(levels)} value{'s' * (len(levels) != 1)} ({shown}), too few for "
            f"{parts} parts. Name another column, or ask for fewer parts: split='{fewer}'"
        )
    return numbers.astype(np.int64)


def refuse_shared(data: Sequences, validation: Sequences, columns: Sequence[str]) -> None:
    """OptionError if a group of the training data is in validation data that were given apart."""
    for name in columns:
        both = {*_words(data, name)} & {*_words(validation, name)}
        if both:
            raise OptionError(
                f"group '{name}': {min(both)!r} is in the training data and in the validation data. "
                "Keep each group in one of them"
            )


def _words(data: Sequences, name: str) -> list[str]:
    """The value of each sequence."""
    column = data.column(name)
    if name in data.steps:
        column = _of_sequences(data, column)
    words = [str(value) for value in column.values] if column.kind in ("number", "time") else column.strings()
    for number, word in enumerate(words):
        if word in (None, "nan", "NaT"):
            raise DataError(f"{data.name}: sequence {number} has no '{name}', by which sequences are grouped. Name it")
    return [str(word) for word in words]


def _of_sequences(data: Sequences, column: Column) -> Column:
    """A column of steps as one of sequences."""
    starts = data.offsets[:-1]
    if (data.lengths == 0).any():
        raise DataError(f"{data.name}: a sequence without steps has no '{column.name}'. Leave it out")
    changed = np.flatnonzero(column.values[1:] != column.values[:-1]) + 1
    inside = changed[~np.isin(changed, starts)]
    if len(inside):
        number = int(np.searchsorted(data.offsets, inside[0], side="right")) - 1
        raise DataError(
            f"{data.name}: group '{column.name}' changes within sequence {number}. Name it as the key too, so that "
            "each of its values is a sequence of its own"
        )
    return column[starts]


def names_a_group(name: str, different: int, count: int) -> bool:
    """Whether a column of this name, with so many different values in so many rows or sequences, looks like a group."""
    return bool(_NAMES.search(name)) and 2 <= different <= count // 2


def likely_groups(data: Sequences, used: Sequence[str]) -> str:
    """What looks like a group and is not used as one, as a sentence; "" if nothing does.

    Args:
        used: Columns that have a use already: targets and groups.
    """
    for name, column in data.static.items():
        if name in used or column.kind not in ("category", "number"):
            continue
        if names_a_group(name, len(np.unique(column.values)), len(data)):
            return f"'{name}' looks like a group: if later data are of others, --group {name} keeps each in one part"
    unnamed = data.static.keys() <= {"file", "label", "text"}  # nobody said what else is in the names of files
    return _fields(data.static["file"].strings()) if "file" in data.static and unnamed else ""


def _fields(files: Sequence[str | None]) -> str:
    """Whether a part of file names such as 0_nicolas_12.wav looks like a group."""
    split = [PurePosixPath(name or "").stem.split("_") for name in files]
    if len({len(fields) for fields in split}) != 1 or len(split[0]) < 3:
        return ""
    for place, values in enumerate(zip(*split, strict=True)):
        if place > 0 and 2 <= len(set(values)) <= len(files) // 4 and all(re.search(r"[^\W\d]", v) for v in values):
            names = ["label", *(f"field{n}" for n in range(1, len(split[0])))]
            names[place] = "group"
            shown = ", ".join(sorted(set(values))[:_SHOWN])
            pattern = "_".join(f"{{{name}}}" for name in names)
            return (
                f"a part of the file names ({shown}) looks like a group: if later data are of others, "
                f"--label-from '{pattern}' --group group keeps each in one part"
            )
    return ""
