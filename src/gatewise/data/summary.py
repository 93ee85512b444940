"""What data seems to be, before anything is learned from it: tables, sequences in other formats, plain text."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import DataError, GatewiseError
from .paired.caption_files import names_in, sizes_in
from .paired.pairs import read_pairs
from .paired.transcripts import holds_sound
from .readers.files import read_text
from .sequences import Column, Sequences, text_column
from .sources import Roles, is_text, kind_of, read
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
    """

    name: str
    format: str
    sequences: int
    lengths: tuple[int, float, int] | None
    columns: tuple[Mapping[str, Any], ...]

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


def summarise(source: Any, query: str | None = None, encoding: str = "utf-8") -> TableSummary | Summary | Text:
    """What a file, folder, URL or table in Python holds.

    Raises:
        DataError: It cannot be read.
    """
    if isinstance(source, str | os.PathLike) and is_text(source):
        text = read_text(source, encoding)
        shown = f"'{os.fspath(source)}'"
        return Text(shown, len(text), len(set(text)), len(text.splitlines()), _examples(source, encoding))
    if isinstance(source, str | os.PathLike) and (kind := kind_of(source)) not in ("table", "text"):
        if kind == "audio" and os.path.isdir(source) and not holds_sound(source):
            return _images(source)
        found = read(source, roles=Roles(every=True), encoding=encoding, kind=kind)
        return _summary(found, f"'{os.fspath(source)}'", _FORMATS[kind])
    return summarise_table(source, query, encoding=encoding)


_FORMATS = {
    "ts": "series",
    "tokens": "sentences",
    "arrays": "sequences",
    "audio": "clips of sound",
    "strokes": "drawings of pen strokes",
}


def _images(folder: str | os.PathLike[str]) -> Summary:
    """What a folder of images or clips holds."""
    shown = f"'{os.fspath(folder)}'"
    try:
        names = names_in(folder)
    except DataError:
        raise DataError(f"{shown} holds no sound, image or pen stroke. Name one file in it") from None
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
        if label is not None and 2 * len(label.levels) <= len(label):  # a label is something that comes back
            return _summary(found, "as examples", form)
    try:
        pairs = read_pairs(source, encoding=encoding)
    except GatewiseError:
        return None
    columns = (text_column("source", pairs.sources), text_column("target", pairs.targets or []))
    return Summary("as examples", "pairs of texts", len(pairs), None, tuple(_column(c, "pair") for c in columns))


def _summary(sequences: Sequences, name: str, format: str) -> Summary:
    lengths = sequences.lengths
    columns = [_column(column, "step") for column in sequences.steps.values()]
    columns += [_column(column, "sequence") for column in sequences.static.values()]
    has_steps = len(lengths) and lengths.any()
    middle = (int(lengths.min()), float(np.median(lengths)), int(lengths.max())) if has_steps else None
    return Summary(name, format, len(sequences), middle, tuple(columns))


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
