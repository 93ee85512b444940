"""One door to all readers: whatever a user names becomes `Sequences`."""

from __future__ import annotations

import gzip
import os
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import DataError, OptionError, no_column
from .readers.columns import as_table, is_column, is_series, listed
from .readers.files import Source, files_in, is_streamed
from .readers.strokes import BEGIN
from .readers.strokes import SUFFIX as STROKES
from .readers.table_files import is_several
from .sequences import Sequences
from .tables.schema import ANY_CSV, CSVFormat, Schema

if TYPE_CHECKING:
    from .readers.audio import LogMel
    from .tables.table import Table


@dataclass(frozen=True)
class Roles:
    """What the columns of a table are for; a source without named columns needs little of it.

    Attributes:
        target: What is to be predicted. Readers of formats without column names call it `label`.
        default_target: Its column in a table that has it, if none is named.
        with_target: Whether it is read. To predict, it is not, whatever it holds.
        key: Columns that tell one sequence from another; none: see `per_step`.
        time: The column, or comma-separated columns, that order its steps.
        columns: What to learn from; None: all columns that have no other role.
        static: Further columns of which each sequence has one value.
        group: Columns that say which sequences belong together, read to split the data. A table of steps that has no
            key is one sequence for each group.
        per_step: Whether there is a target at each step, rather than one for each sequence. Without a key, a table is
            then one long sequence, and otherwise each of its rows is a sequence.
        lines: What the lines of a text file are: "rows" of a table, "labels" each with its text, or "tokens" each with
            its label.
        known: Labels that there are, of lines that may have none; None: they are labelled. See `read_labelled_text`.
        zone: Time zone of times that do not say theirs.
        duplicates: Two rows at one time: "error", "first", "last" or "mean".
        recognise: Take time and key that nobody named from what a table seems to hold.
        labels: Columns whose values are names beside the key, so that 007 is not 7.
        csv: How a CSV file is written.
        label_from: Where labels stand in the names of files of sound or strokes; see `audio.read_audio`.
        repair: Read spans that break their tagging scheme as conlleval does, instead of refusing them.
        every: Of a CoNLL file read all columns, rather than the tokens alone where `columns` names none.
    """

    target: Sequence[str] = ()
    default_target: str | None = None
    with_target: bool = True
    key: Sequence[str] = ()
    time: str | None = None
    columns: Sequence[str] | None = None
    static: Sequence[str] = ()
    group: Sequence[str] = ()
    per_step: bool = False
    lines: str = "rows"
    known: Collection[str] | None = None
    zone: str | None = None
    duplicates: str = "error"
    recognise: bool = False
    labels: Sequence[str] = ()
    csv: CSVFormat = ANY_CSV
    label_from: str | None = None
    repair: bool = False
    every: bool = False

    def reader_for(self, kind: str, path: str) -> str:
        """What a path of this kind (see `kind_of`) is read as: text as a table, as "labels" or as "tokens"; and a .tsv
        file without a header, in which nothing is named, as labels with their series."""
        if kind == "table" and self.lines == "labels" and _suffix(path) == ".tsv" and self.csv == ANY_CSV:
            nameless = not (self.key or self.time or self.columns or self.target or self.static)
            return "labels" if nameless and os.path.isfile(path) and _begins_with_numbers(path) else kind
        if kind != "text":
            return kind
        # A file of tokens has columns without names, which are named all the same: by numbers, or as its reader does.
        own = re.compile("-?[0-9]+|token|label" if self.lines == "tokens" else "(?!)")
        names = [name for name in (*(self.columns or ()), *self.target) if not own.fullmatch(name)]
        named = self.key or self.time or names or self.static
        could_be = _suffix(path) == ".txt" or is_streamed(path)
        return "table" if self.lines == "rows" or (could_be and named) else self.lines


def kind_of(path: str | os.PathLike[str]) -> str:
    """What a path or URL holds, as far as its name and first bytes tell: "table", "ts", "tokens", "arrays", "audio",
    "strokes" or, where they do not tell, "text", whose lines `Roles` explain."""
    name = os.fspath(path)
    if "://" in name or is_several(name):
        return "table"
    if (suffix := _suffix(name)) in _SUFFIXES:
        return _SUFFIXES[suffix]
    if os.path.isdir(name):
        first = next((file for file in files_in(name) if file.name.lower().endswith(STROKES)), None)
        return "strokes" if first is not None and _begins_with_strokes(first) else "audio"
    found = name.lower().endswith(STROKES) and os.path.isfile(name) and _begins_with_strokes(name)
    return "strokes" if found else "text"


def _begins_with_strokes(path: Source) -> bool:
    with open(path, "rb") as file:
        return file.readline(16).strip() == BEGIN.encode() and file.readline(200).count(b",") == 2


def _begins_with_numbers(path: str) -> bool:
    from .readers.labelled_text import numbers_of

    try:
        with gzip.open(path) if path.endswith(".gz") else open(path, "rb") as file:
            found = numbers_of(file.readline(1 << 20).decode("utf-8-sig", "replace").strip())
    except (OSError, EOFError):  # which its reader will say
        return False
    return found is not None and len(found) > 2


def is_data(path: str) -> bool:
    """Whether a file, folder or URL is there to be read, as far as its name and first bytes tell."""
    there = (
        "://" in path
        or is_streamed(path)
        or os.path.isdir(path)
        or is_several(path)
        or (os.path.isfile(path) and _suffix(path) in _SUFFIXES)
    )
    return there or is_text(path)


def is_text(path: str | os.PathLike[str]) -> bool:
    """Whether only its content could say what a file is: its name does not, and no NUL byte is near its beginning."""
    name = os.fspath(path)
    if "://" in name or _suffix(name) in _SUFFIXES or not os.path.isfile(name):
        return False
    with gzip.open(name) if name.endswith(".gz") else open(name, "rb") as file:
        try:
            return b"\0" not in file.read(4096)
        except (OSError, EOFError):
            return False


def read(
    source: Any,
    y: Any = None,
    roles: Roles | None = None,
    *,
    query: str | None = None,
    encoding: str = "utf-8",
    sound: LogMel | None = None,
    kind: str | None = None,
    schema: Schema | None = None,
) -> Sequences:
    """Sequences from a file, folder, URL, table or arrays.

    Args:
        source: `Sequences`, as they are; a path, whose suffix says what it is (see below); paths of several files that
            are one table, a folder of them or a pattern (see `readers.table_files`); a database's URL; a table in
            Python (pandas, polars, Arrow, a DuckDB relation, a dict of columns, a list of dicts); arrays or lists.
        y: Targets beside arrays or lists.
        roles: What a table's columns are for.
        query: SQL whose result is the table.
        encoding: Of text files.
        sound: How to make features of sound; None: what suits the files.
        kind: What `kind_of` says of a path, from whoever has asked it already.
        schema: How a model read a table when it learned from it; this one is read in the same way.

    A folder of Parquet files is a table. A .zip holds pen strokes, and so do a folder and a .txt that begin with them;
    any other folder, or .tar, holds sound or, if it holds images and no sound, clips; .ts, .conll and its like, .npy
    and .npz are what they say; .csv, .tsv, .data, .parquet, .jsonl, .json, .duckdb and .db are tables. Any other file
    is text, whose lines are what `roles` say; .txt is a table where a role names one of its columns.

    Raises:
        DataError: It cannot be read; the message says where.
    """
    roles = roles or Roles()
    if isinstance(source, Sequences):
        return source
    is_path = isinstance(source, str | os.PathLike)
    if roles.per_step and y is None and is_series(source):
        source = as_table(source)
    if not is_path and not is_table(source) and not is_several(source):
        from .readers.arrays import from_arrays

        refuse_query(query, "arrays")
        return from_arrays(listed(source), listed(y), per_step=roles.per_step)
    if y is not None:
        raise OptionError(
            f"y goes with arrays and lists; of {describe_source(source)} a column is the target. Name it: target="
        )
    # A model that learned from a table reads one from standard input, whose name does not say what it is.
    expected = is_path and schema is not None and is_streamed(source)
    if is_path and not expected and (reader := roles.reader_for(kind or kind_of(source), os.fspath(source))) != "table":
        refuse_query(query, describe_source(source))
        return _read_file(source, reader, roles, encoding, sound)
    return _read_table(source, roles, query, encoding, schema)


_SUFFIXES = {
    ".ts": "ts",
    **dict.fromkeys((".conll", ".conllu", ".conllup", ".bio", ".iob", ".bmes", ".bioes"), "tokens"),
    **dict.fromkeys((".npy", ".npz"), "arrays"),
    **dict.fromkeys((".wav", ".flac", ".tar", ".tgz"), "audio"),
    ".zip": "strokes",
    **dict.fromkeys((".csv", ".tsv", ".data", ".parquet", ".jsonl", ".ndjson", ".json", ".duckdb", ".db"), "table"),
}


def _suffix(path: str) -> str:
    return Path(path.lower().removesuffix(".gz")).suffix


def _read_file(source: Any, reader: str, roles: Roles, encoding: str, sound: LogMel | None) -> Sequences:
    if reader == "ts":
        from .readers.ts import read_ts

        return read_ts(source, encoding)
    if reader == "tokens":
        from .readers.conll import read_conll

        return read_conll(
            source,
            label=roles.target[0] if roles.target else None,
            columns=roles.columns,
            every=roles.every,
            labelled=roles.with_target,
            repair=roles.repair,
            encoding=encoding,
        )
    if reader == "labels":
        from .readers.labelled_text import read_labelled_text

        return read_labelled_text(source, encoding=encoding, known=None if roles.with_target else roles.known)
    if reader == "arrays":
        from .readers.arrays import read_arrays

        return read_arrays(source)
    if reader == "strokes":
        from .readers.strokes import read_strokes

        return read_strokes(source, label_from=roles.label_from, labelled=roles.with_target)
    if os.path.isdir(source) and not any(files_in(source)):
        raise DataError(f"the folder {describe_source(source)} is empty. Put files into it, or name another one.")
    from .readers.audio import read_audio
    from .readers.clips import holds_clips, read_clips

    if os.path.isdir(source) and holds_clips(source):
        return read_clips(source, roles.label_from, roles.with_target)
    if os.path.isdir(source) and roles.lines == "labels":
        from .readers.labelled_text import holds_texts, read_text_folder

        if holds_texts(source):
            return read_text_folder(source, roles.label_from, encoding, roles.with_target)

    return read_audio(source, sound, roles.label_from, roles.with_target)


def _read_table(source: Any, roles: Roles, query: str | None, encoding: str, schema: Schema | None) -> Sequences:
    from .tables.table import open_table

    if roles.recognise and schema is not None:
        roles = replace(roles, time=roles.time or ",".join(schema.time) or None, key=roles.key or schema.key)
    if roles.per_step and not roles.key:
        roles = replace(roles, key=roles.group)
    labels = {*roles.key, *roles.labels, *roles.group}
    named = {*labels, *roles.target, *roles.static, *(roles.columns or ()), *([roles.time] if roles.time else ())}
    reading: dict[str, Any] = {"csv": roles.csv, "encoding": encoding, "named": named}
    with open_table(source, query, labels=labels, schema=schema, **reading) as table:
        found = _recognised(table, roles) if roles.recognise and schema is None else roles
        numbers = {name for name in found.key if name not in labels and table.kind(name) == "number"}
        if not (numbers and (is_several(source) or (isinstance(source, str | os.PathLike) and os.path.isfile(source)))):
            return _sequences_of(table, found)
    # A key that was read as numbers is read as it stands in the file: 007 is not 7.
    with open_table(source, query, labels=labels | numbers, **reading) as again:
        again.time, again.key = table.time, table.key
        return _sequences_of(again, found)


def _recognised(table: Table, roles: Roles) -> Roles:
    """The roles with the time and key that the table seems to have, where nobody named any."""
    from .tables.inference import recognise
    from .tables.sequences import split_names

    time, key = tuple(split_names(roles.time or (), table.columns)), tuple(roles.key)
    others = {*roles.target, *roles.static, *(roles.columns or ())}
    found = recognise(table, time, key, others, repeats=roles.duplicates != "error")
    table.time, table.key = (() if given else new for given, new in zip((time, key), found, strict=True))
    return replace(roles, time=roles.time or ",".join(found[0]) or None, key=found[1])


def _sequences_of(table: Table, roles: Roles) -> Sequences:
    from .tables.sequences import sequences

    alone = not (roles.per_step or roles.key or roles.time)
    if roles.time and not (roles.per_step or roles.key):
        raise OptionError("with a time, but no key, all rows are one sequence. Name what tells sequences apart: key=")
    default = roles.default_target
    target = [*roles.target] or ([default] if default in table.columns and default not in roles.key else [])
    static = [*roles.static, *(target if roles.with_target and not roles.per_step else ())]
    grouping = [name for name in roles.group if table.learned is None or name in table.columns]
    static += [name for name in grouping if name not in (*roles.key, *static)]
    return sequences(
        table,
        key=roles.key,
        time=roles.time,
        columns=_columns(table, roles, target, static),
        static=static,
        zone=roles.zone,
        duplicates=roles.duplicates,
        rows="sequences" if alone else "steps",
    )


def _columns(table: Table, roles: Roles, target: Sequence[str], static: Sequence[str]) -> list[str]:
    """The columns of steps: those that are named or were learned from, or all; and a target per step."""
    from .tables.sequences import split_names

    others = {*roles.key, *static, *target, *split_names(roles.time or (), table.columns)}
    if roles.columns is not None:
        chosen = [name for name in roles.columns if name not in target]
    elif table.learned is not None:
        learned = [name for name in table.learned.columns if name not in others]
        chosen = [name for name in learned if name in table.columns]
        if learned and not chosen:
            raise DataError(f"{table.name}: {no_column(learned[0], table.columns)}")
    else:
        chosen = [name for name in table.usable if name not in others]
    wanted = roles.per_step and roles.with_target
    return [*chosen, *(name for name in target if wanted)]


def is_table(source: Any) -> bool:
    """Whether it has named columns."""
    if is_column(source):  # which may speak Arrow's language too
        return False
    if isinstance(source, Mapping) or hasattr(source, "__arrow_c_stream__"):
        return True
    package, kind = type(source).__module__.partition(".")[0], type(source).__name__
    if package in ("duckdb", "_duckdb") or (package == "polars" and kind == "LazyFrame"):
        return True
    return isinstance(source, list) and bool(source) and isinstance(source[0], Mapping)


def refuse_query(query: str | None, what: str) -> None:
    if query is not None:
        raise OptionError(f"query='{query}' is for tables and databases, not for {what}. Leave it out")


def describe_source(source: Any) -> str:
    """A source as messages about options call it."""
    if is_several(source) and not isinstance(source, str | os.PathLike):
        return f"{len(source)} files"
    return f"'{os.fspath(source)}'" if isinstance(source, str | os.PathLike) else f"a {type(source).__name__}"
