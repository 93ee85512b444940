"""Files that together are one table: a folder of Parquet files, a pattern such as `rows/*.parquet`, or a list of paths.

Whatever names them, they are read in the natural order of their paths, part-2 before part-10, and rows are counted from
the first row of the first file to the last one of the last. In folders and patterns, names that begin with `.` or `_`
are passed over: what writes such folders keeps notes of its own under them.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Sequence
from glob import glob
from pathlib import Path
from typing import Any, TypeGuard

from ...errors import DataError, OptionError
from .files import Source, contents_of, files_in, name_of

PARQUET = ".parquet"
CSV = (".csv", ".tsv", ".data")
LINES = (".jsonl", ".ndjson")
SUFFIXES = (PARQUET, *CSV, *LINES)  # of files of which several can be one table
ABOUT_DATA = "File, folder or database URL; several files or a pattern of them are one table."  # help of most commands

_MOST_NAMED = 10_000  # files of one table


def is_several(source: Any) -> bool:
    """Whether a source names several files that are one table: a folder or pattern of them, or a list of paths.

    A list of strings may as well hold texts, which others wrote and which must not open files: it is such a list only
    if it has several items, all of which are there. A list of `Path` objects always is.
    """
    if isinstance(source, str | os.PathLike):
        return _stands_for_tables(os.fspath(source))
    return (
        is_paths(source)
        and all(_stands_or_is(os.fspath(path)) for path in source)
        and (
            not any(isinstance(path, str) for path in source)
            or (len(source) > 1 and all(os.path.exists(path) or is_pattern(path) for path in source))
        )
    )


def one_source(paths: Sequence[str]) -> Any:
    """What is read of these paths of a command line, of which several are one table. OptionError if they are not."""
    if len(paths) == 1:
        return paths[0]
    several = [Path(path) for path in paths]
    if is_several(several):
        return several
    raise OptionError(
        f"there is one DATA at a time, not {len(paths)}; several files are one table if they end in .parquet, or in "
        ".csv or .jsonl"
    )


def is_paths(source: Any) -> TypeGuard[Sequence[Source]]:
    """Whether it is a list of what may be paths, at least one."""
    return isinstance(source, list | tuple) and bool(source) and all(isinstance(s, str | os.PathLike) for s in source)


def is_pattern(path: Source) -> bool:
    """Whether a path stands for those that match it: there is no file of this name, and it has one of `* ? [` in it."""
    name = os.fspath(path)
    return isinstance(name, str) and "://" not in name and bool(re.search(r"[*?[]", name)) and not os.path.exists(name)


def holds_tables(folder: Source) -> bool:
    """Whether more than half of the files in a folder are Parquet files."""
    suffixes = Counter(file.suffix.lower() for file in _visible(folder))
    return 2 * suffixes[PARQUET] > suffixes.total()


def table_files(source: Any) -> list[str]:
    """The files that a source of which `is_several` holds stands for, in the natural order of their paths.

    Raises:
        DataError: A pattern matches nothing, a file is named twice, or they are of different kinds.
    """
    named = [source] if isinstance(source, str | os.PathLike) else source
    found = [file for one in named for file in _files_at(os.fspath(one))]
    twice = [file for file, count in Counter(map(os.path.realpath, found)).items() if count > 1]
    if twice:
        raise DataError(f"{name_of(twice[0])} is named twice, so that its rows would count twice. Name it once.")
    if len(found) > _MOST_NAMED:
        raise DataError(f"{len(found):,} files are more than the {_MOST_NAMED:,} of one table. Write fewer and larger.")
    other = next((file for file in found if _kind(file) != _kind(found[0])), None)
    if other is not None:
        raise DataError(f"{name_of(found[0])} and {name_of(other)} are of different kinds. Name files of one kind.")
    return sorted(found, key=_natural)


def partitions_of(files: Sequence[str]) -> tuple[str, ...]:
    """The columns that folders name, as Hive does: `year=2024/month=3/`.

    Raises:
        DataError: Not all files lie in folders of the same columns.
    """
    each = {file: tuple(p.partition("=")[0] for p in Path(file).absolute().parts[:-1] if "=" in p) for file in files}
    first, columns = next(iter(each.items()))
    for file, own in each.items():
        if own != columns:
            raise DataError(
                f"{name_of(first)} lies in folders of the columns {', '.join(columns) or 'none'}, but {name_of(file)} "
                f"of {', '.join(own) or 'none'}. Give files of the same columns."
            )
    return columns


def _files_at(path: str) -> list[str]:
    """The files that one path stands for."""
    if is_pattern(path):
        matched = [name for name in glob(path, recursive=True) if not os.path.basename(name).startswith("_")]
        found = [file for name in matched for file in (_in_folder(name) if os.path.isdir(name) else [name])]
        if not found:
            raise DataError(f"no file matches {name_of(path)}.")
        return found
    return _in_folder(path) if os.path.isdir(path) else [path]


def _in_folder(folder: str) -> list[str]:
    if os.path.isdir(os.path.join(folder, "_delta_log")):
        raise DataError(
            f"{name_of(folder)} is a Delta table, whose log says which of its files count. Read it with its own "
            "library, and give the table that it returns."
        )
    files = _visible(folder)
    stray = next((file for file in files if file.suffix.lower() != PARQUET), None)
    if stray is not None:
        raise DataError(
            f"{name_of(folder)} holds {contents_of(folder)}; {name_of(stray)} is no Parquet file. Move it away, or "
            f"name the others: {os.path.join(folder, '**', '*' + PARQUET)}"
        )
    return [os.fspath(file) for file in files]


def _visible(folder: Source) -> list[Path]:
    files = files_in(folder)
    return [file for file in files if not any(p.startswith("_") for p in file.relative_to(folder).parts)]


def _stands_for_tables(path: str) -> bool:
    if os.path.isdir(path):
        return holds_tables(path)
    if not is_pattern(path):
        return False
    # `rows/year=2024*` says nothing itself
    return _is_table(path) or any(map(_stands_or_is, glob(path, recursive=True)[:1]))


def _stands_or_is(path: str) -> bool:
    return _is_table(path) or _stands_for_tables(path)


def _is_table(path: str) -> bool:
    return _kind(path) != ""


def _kind(path: str) -> str:
    """Which files may be beside it: the suffix of Parquet, of CSV files, or of lines of JSON; "" for any other."""
    suffix = Path(path.lower().removesuffix(".gz")).suffix
    return next((some[0] for some in ((PARQUET,), CSV, LINES) if suffix in some), "")


def _natural(path: str) -> tuple[list[tuple[str, int]], str]:
    """Sorts by numbers where there are numbers: part-2 before part-10."""
    return [(text, int(digits or -1)) for text, digits in re.findall(r"([^0-9]*)([0-9]*)", path)], path
