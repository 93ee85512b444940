"""What `generate` reads as numbers, and how."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ....data.readers.files import Source
from ....data.readers.table_files import is_several
from ....data.sequences import Sequences
from ....data.sources import Roles, kind_of, read
from ....data.tables.schema import ANY_CSV, CSVFormat, Schema
from ....errors import DataError, OptionError
from ...options import Columns, names

if TYPE_CHECKING:
    from ..options import GenerateOptions

FORMATS = ("strokes", "ts", "arrays")  # files that hold numbers whatever the options say


def is_numbers(data: Any, options: GenerateOptions) -> bool:
    """Whether data is continued as numbers: arrays and tables in Python, files that hold nothing else, and any table
    of which the options name a column."""
    data = _only_path(data)
    if hasattr(data, "read"):
        return False
    named = options.columns or options.key or options.time
    if isinstance(data, str | os.PathLike):
        path = os.fspath(data)
        return "://" in path or bool(named) or kind_of(path) in FORMATS
    if isinstance(data, list | tuple) and data and isinstance(data[0], str | os.PathLike):
        return bool(named) or not [*_other_than_strokes(data)]
    in_memory = isinstance(data, Sequences | Mapping | np.ndarray) or (isinstance(data, list | tuple) and bool(data))
    return in_memory or hasattr(data, "__arrow_c_stream__")


def read_sequences(
    data: Any,
    *,
    key: Columns,
    time: str | None,
    columns: Columns,
    group: Columns = None,
    encoding: str = "utf-8",
    csv: CSVFormat = ANY_CSV,
    schema: Schema | None = None,
) -> Sequences:
    """The data as sequences, as the options of these names say; several stroke files or folders as one.

    Raises:
        DataError: The data cannot be read, or holds no sequence.
        OptionError: There are several files, and not all hold pen strokes.
    """
    data = _only_path(data)
    if isinstance(data, list | tuple) and data and isinstance(data[0], str | os.PathLike) and not is_several(data):
        from ....data.readers.strokes import read_strokes

        for other in _other_than_strokes(data):
            raise OptionError(f"only drawings are read from several files, and '{other}' holds none. Give one table")
        several: Iterable[Source] = data
        found = read_strokes([*several])
    else:
        chosen = names(columns) or None
        roles = Roles(key=names(key), time=time, columns=chosen, group=names(group), per_step=True, csv=csv)
        found = read(data, None, roles, encoding=encoding, schema=schema)
    if not len(found):
        raise DataError(f"{found.name}: there is no sequence in it")
    return found


def columns_of(data: Sequences, options: GenerateOptions) -> tuple[str, ...] | None:
    """The columns to learn from, if the options name them or one is to be left out; None for all."""
    if options.columns is not None or options.time is None:
        return names(options.columns) or None
    return tuple(n for n, column in data.steps.items() if column.kind == "number" and n not in names(options.time))


def _other_than_strokes(data: Iterable[Any]) -> Iterator[Any]:
    """The items that are not paths of pen strokes."""
    paths = (str, os.PathLike)
    return (item for item in data if not isinstance(item, paths) or kind_of(item) != "strokes")


def _only_path(data: Any) -> Any:
    """The item of a list of one path, as the command line gives it; anything else as it is."""
    single = isinstance(data, list) and len(data) == 1 and isinstance(data[0], str | os.PathLike)
    return data[0] if single else data
