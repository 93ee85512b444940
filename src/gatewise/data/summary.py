"""What data seems to be, before anything is learned from it: tables, sequences in other formats, plain text."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import DataError, GatewiseError, no_column
from ..files import TemporaryFolder
from .groups import likely_groups
from .paired.caption_files import names_in, sizes_in
from .paired.pairs import read_pairs
from .paired.transcripts import holds_sound
from .readers.clips import holds_clips
from .readers.files import arrived, contents_of, files_in, is_streamed, read_text
from .readers.table_files import is_several
from .sequences import Column, Sequences, text_column
from .sources import Roles, is_text, kind_of, read
from .tables._sniffing import is_table_of_cells
from .tables.inference import TableSummary, summarise_table, truncated

MOST_LEVELS = 12  # of a label that are shown


@dataclass(frozen=True)
class Summary:
    """Sequences in short.

    Attributes:
        name: Of the source.
        format: How it was read.
        sequences: How many.
        lengths: Least, median and most steps; None where sequences have no steps.
        columns: Of each its "name", "kind", "per" ("step", "sequence", "image" or "pair") and "missing"; "counts" of
            the levels of a category, the "range" of numbers, "examples" of text.
        groups: What looks like a group of sequences, as a sentence; "" if nothing does.
    """

    name: str
    format: str
    sequences: int
    lengths: tuple[int, float, int] | None
    columns: tuple[Mapping[str, Any], ...]
    groups: str = ""

    def document(self) -> dict[str, Any]:
        """For JSON."""
        return dict(vars(self))

    def describe(self) -> str:
        """For people, in lines of at most 80 columns."""
        lines = [f"{self.name}: {self.sequences:,} {self.format}"]
        if self.lengths is not None:
            least, median, most = self.lengths
            lines.append(f"steps: {least:,} to {most:,}, median {median:,.0f}")
        for column in self.columns:
            missing = f", {column['missing']:,} missing" if column["missing"] else ""
            lines.append(
                truncated(f"{column['name']}: {column['kind']} per {column['per']}{missing}{_values(column)}", 80)
            )
        if self.groups:
            lines += textwrap.wrap(f"groups: {self.groups}", 80, break_on_hyphens=False)
        return "\n".join(lines)


@dataclass(frozen=True)
class Text:
    """A text in short: its size, and the lines that it holds if they look like examples."""

    name: str
    characters: int
    different: int
    lines: int
    examples: Summary | None

    def document(self) -> dict[str, Any]:
        """For JSON."""
        return {**vars(self), "examples": self.examples and self.examples.document()}

    def describe(self) -> str:
        """For people."""
        size = (
            f"{self.name}: text of {self.characters:,} characters, {self.different:,} different, {self.lines:,} lines"
        )
        return size if self.examples is None else f"{size}\n{self.examples.describe()}"


def summarise(
    source: Any, query: str | None = None, encoding: str = "utf-8", roles: Roles | None = None
) -> TableSummary | Summary | Text:
    """What a file, folder, URL or table in Python holds, or several files of text.

    Args:
        query: SQL whose result is the table.
        encoding: Of text files.
        roles: How to read it: columns, how a CSV file is written, where labels stand in names of files.

    Raises:
        DataError: It cannot be read, or has no such column.
    """
    roles = roles or Roles()
    if isinstance(source, list | tuple) and len(source) != 1 and not is_several(source):
        pairs = _pairs(tuple(source), encoding) if len(source) == 2 else None
        return pairs or _text(list(source), ", ".join(map(repr, source)), encoding)
    source = source[0] if isinstance(source, list | tuple) and len(source) == 1 else source
    if isinstance(source, str | os.PathLike) and is_streamed(source):
        with TemporaryFolder("stdin") as folder:
            path = arrived(source, folder)
            found = summarise(path if is_table_of_cells(path) else _as_text(path), query, encoding, roles)
            return replace(found, name="standard input")
    if isinstance(source, str | os.PathLike):
        shown = f"'{os.fspath(source)}'"
        if is_text(source):
            return _text(source, shown, encoding)
        if (kind := kind_of(source)) == "audio" and os.path.isdir(source) and not holds_sound(source):
            if _holds_images(source):
                return _images(source)
            if not holds_clips(source):
                return _text(source, shown, encoding)
            return _summary(read(source, roles=roles, kind=kind), shown, "clips of frames")
        if kind not in ("table", "text"):
            return _summary(
                read(source, roles=replace(roles, every=True), encoding=encoding, kind=kind), shown, _FORMATS[kind]
            )
    table = summarise_table(source, query, csv=roles.csv, encoding=encoding)
    if roles.columns is None:
        return table
    known = {column.name: column for column in table.columns}
    for name in roles.columns:
        if name not in known:
            raise DataError(f"{table.name}: {no_column(name, known)}")
    return replace(table, columns=tuple(known[name] for name in roles.columns))


def _as_text(path: str) -> str:
    """The same file by a name that does not say that it is a table."""
    named = str(Path(path).with_suffix(".txt"))
    os.rename(path, named)
    return named


def _text(source: Any, name: str, encoding: str) -> Text:
    """What a text holds, of a file, a folder or several of these."""
    single = isinstance(source, str | os.PathLike)
    if single and os.path.isdir(source):
        files = [*files_in(source)]
        if files and all(kind_of(file) != "text" for file in files):
            held = contents_of(source)
            raise DataError(f"{name} holds {held}, and no sound, image, pen stroke or text. Name one of them")
        name, single = f"{name} of {len(files):,} file{'s' * (len(files) != 1)}", False
    text = read_text(source, encoding)
    examples = _examples(source, encoding) if single else None
    return Text(name, len(text), len(set(text)), len(text.splitlines()), examples)


def _holds_images(folder: str | os.PathLike[str]) -> bool:
    try:
        return bool(names_in(folder))
    except DataError:
        return False


_FORMATS = {
    "ts": "series",
    "tokens": "sentences",
    "arrays": "sequences",
    "audio": "clips of sound",
    "strokes": "drawings of pen strokes",
}


def _images(folder: str | os.PathLike[str]) -> Summary:
    """What a folder of images or clips holds."""
    shown, names = f"'{os.fspath(folder)}'", names_in(folder)
    frames, height, width = sizes_in(folder, names).astype(np.float64).T
    columns = (text_column("file", names), Column("height", "number", height), Column("width", "number", width))
    clips = (int(frames.min()), float(np.median(frames)), int(frames.max())) if frames.max() > 1 else None
    found = tuple(_column(column, "image") for column in columns)
    return Summary(shown, "images" if clips is None else "clips", len(names), clips, found)


def _examples(source: Any, encoding: str) -> Summary | None:
    """What its lines are, if they can be read as tokens with labels, as labels with text, or as pairs of texts."""
    for lines, form in (
        ("tokens", "sentences of a token and its label per line"),
        ("labels", "lines of a label and its text"),
    ):
        try:
            found = read(source, roles=Roles(lines=lines, every=True), encoding=encoding)
        except GatewiseError:
            continue
        label = {**found.steps, **found.static}.get("label")
        form = "lines of a label and its series of numbers" if "channels" in found.steps else form
        if label is not None and _are_labels(label):
            return _summary(found, "as examples", form)
    return _pairs(source, encoding)


def _are_labels(column: Column) -> bool:
    """Whether words may be labels, which come back, nearly all of them: of the first words of lines of prose or code,
    many stand there once."""
    counts = np.bincount(column.values[column.values >= 0], minlength=len(column.levels))
    return 2 * len(counts) <= len(column) and bool((counts == 1).sum() <= 1 + len(counts) / 10)


def _pairs(source: Any, encoding: str) -> Summary | None:
    """The pairs of texts in a file, or in two; None if there are none."""
    try:
        pairs = read_pairs(source, encoding=encoding)
    except GatewiseError:
        return None
    columns = (text_column("source", pairs.sources), text_column("target", pairs.targets or []))
    name = "as examples" if isinstance(source, str | os.PathLike) else ", ".join(map(repr, source))
    return Summary(name, "pairs of texts", len(pairs), None, tuple(_column(c, "pair") for c in columns))


def _summary(sequences: Sequences, name: str, format: str) -> Summary:
    lengths = sequences.lengths
    columns = [_column(column, "step") for column in sequences.steps.values()]
    columns += [_column(column, "sequence") for column in sequences.static.values()]
    has_steps = len(lengths) and lengths.any()
    middle = (int(lengths.min()), float(np.median(lengths)), int(lengths.max())) if has_steps else None
    return Summary(name, format, len(sequences), middle, tuple(columns), likely_groups(sequences, ("label",)))


def _column(column: Column, per: str) -> dict[str, Any]:
    found: dict[str, Any] = {"name": column.name, "kind": column.kind, "per": per}
    values = column.values
    if column.kind == "category":
        counts = np.bincount(values[values >= 0], minlength=len(column.levels)).tolist()
        found |= {"missing": int((values < 0).sum()), "counts": dict(zip(column.levels, counts, strict=True))}
    elif column.kind == "number":
        gone = np.isnan(values)
        found |= {"missing": int(gone.sum()), "shape": list(values.shape[1:])}
        if not gone.all():
            found["range"] = [float(np.nanmin(values)), float(np.nanmax(values))]
    elif column.kind == "time":
        found["missing"] = int(np.isnat(values).sum())
    else:
        given = [value for value in values if value is not None]
        found |= {"missing": len(values) - len(given), "examples": [str(value)[:40] for value in given[:3]]}
    return found


def _values(column: Mapping[str, Any]) -> str:
    if "counts" in column:
        most = sorted(column["counts"].items(), key=lambda pair: -pair[1])
        shown = ", ".join(f"{level} {count:,}" for level, count in most[:MOST_LEVELS])
        return f" of {len(most)}: {shown}"
    if "range" in column:
        wide = f" x {column['shape'][0]}" if column["shape"] else ""
        return f"{wide}, {column['range'][0]:g} to {column['range'][1]:g}"
    return f": {', '.join(column['examples'])}" if column.get("examples") else ""
