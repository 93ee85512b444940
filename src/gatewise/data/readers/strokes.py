"""Pen strokes: folders and zip archives of drawings become sequences of pen movements."""

from __future__ import annotations

import math
import os
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

import numpy as np

from ...errors import DataError, OptionError
from ..sequences import Column, Sequences, offsets_of, text_column
from .file_names import columns_of, folders_and_suffix, pattern_of
from .files import NamedFile, Source, Unpacking, name_of, named_files, open_bytes

BEGIN, LIFT = "START", "BREAK"  # the words of a stroke file: a drawing begins, the pen is lifted
SUFFIX, ARCHIVE = ".txt", ".zip"
SPACING = 0.05
SWAPPED, REVERSED = 0.1, 0.1  # chance that a stroke changes its place, or its direction, in `vary_strokes`
SLANT, OWN, SHIFT, BEND = 0.15, 0.1, 0.04, 0.05  # of a drawing; of each stroke its own, and its place; of the paper
FARTHEST = 1e6  # of a drawing's units: more is not a drawing

Drawing = list[np.ndarray]  # of each stroke its points, (P, 2) float64


def read_strokes(
    source: Source | Sequence[Source],
    spacing: float | None = SPACING,
    label_from: str | None = None,
    labelled: bool = True,
) -> Sequences:
    """Drawings as sequences of pen movements.

    A file holds one drawing: the line START, a line `x,y,t` for each point, and the line BREAK behind each stroke; y
    grows upwards, and t, milliseconds, is not used. A drawing is centred and scaled, both ways alike, until the
    longer side of the box around it is 1.

    Args:
        source: A stroke file, a folder or .zip with such files anywhere in it, or several of these. Hidden files and
            files of other kinds are passed over; an archive is not unpacked to disk.
        spacing: Distance along a stroke from one step to the next, in sides of the box, so that neither the pen's
            speed nor the tablet's rate matters; the ends of a stroke stay where they are. None keeps the points as
            they were recorded.
        label_from: Where labels stand in names without suffix, as for `audio.read_audio`. None: the folders a file
            lies in, less those that all share; and what stands behind the last _ of its name is the `writer`.
        labelled: Whether names are asked for these at all.

    Returns:
        Per step numbers, float32: `x` and `y`, where the pen is; `dx` and `dy`, how far it came since the step before
        (0 at the first); `up`, 1 where it is lifted behind this point and otherwise 0, so that the next step is a
        move through the air. Per sequence: `file`, text; `label` and `writer`, categories, if names tell them.

    Raises:
        DataError: names the file and line that is damaged, or the archive that cannot be read.
        OptionError: a pattern without {label}, or a spacing that is not above 0.

    Source: the format of Lake, Salakhutdinov & Tenenbaum (2015), "Human-level concept learning through probabilistic
    program induction", Science 350 (Omniglot); positions beside movements: Zhang et al. (2018), IEEE TPAMI 40(4).
    """
    if label_from is not None:
        pattern_of(label_from)  # a wrong one should show before a thousand files are read
    if spacing is not None and not (math.isfinite(spacing) and spacing > 0):
        raise OptionError(f"spacing must be a number above 0, or None to keep all points, not {spacing!r:.60}")
    names: list[str] = []
    drawings: list[np.ndarray] = []
    for name, place, raw in _drawn(source):
        names.append(name)
        drawings.append(steps_of(_parsed(raw, place), spacing))
    columns = np.concatenate(drawings).astype(np.float32).T
    static = {"file": text_column("file", names)}
    if labelled:
        static |= columns_of(names, label_from) if label_from is not None else folders_and_suffix(names)
    return Sequences(
        offsets_of(map(len, drawings)),
        {name: Column(name, "number", values) for name, values in zip(COLUMNS, columns, strict=True)},
        static,
        name_of(source) if isinstance(source, str | os.PathLike) else ", ".join(map(name_of, source)),
    )


COLUMNS = ("x", "y", "dx", "dy", "up")


def steps_of(drawing: Drawing, spacing: float | None = SPACING) -> np.ndarray:
    """(T, 5) x, y, dx, dy and up of a drawing, as `read_strokes` says."""
    points = np.concatenate(drawing)
    low, high = points.min(0), points.max(0)
    side = float((high - low).max()) or 1.0  # a single dot has no size
    strokes = [(stroke - (low + high) / 2) / side for stroke in drawing]
    if spacing is not None:
        strokes = [_evenly(stroke, spacing) for stroke in strokes]
    place = np.concatenate(strokes)
    up = np.zeros((len(place), 1))
    up[np.cumsum([len(stroke) for stroke in strokes]) - 1] = 1
    return np.hstack([place, np.diff(place, axis=0, prepend=place[:1]), up])


def _evenly(stroke: np.ndarray, spacing: float) -> np.ndarray:
    """A stroke as points that lie evenly along it, its ends among them."""
    along = np.concatenate([[0], np.cumsum(np.hypot(*np.diff(stroke, axis=0).T))])
    if along[-1] == 0:
        return stroke[:1]
    places = np.linspace(0, along[-1], max(2, round(along[-1] / spacing) + 1))
    return np.column_stack([np.interp(places, along, axis) for axis in stroke.T])


def holds_strokes(data: Sequences) -> bool:
    """Whether sequences are drawings, as `read_strokes` makes them."""
    return data.steps.keys() >= set(COLUMNS)


def vary_strokes(
    data: Sequences, rng: np.random.Generator, strength: float = 1.0, *, in_order: bool = False
) -> Sequences:
    """Drawings as other hands might have made them.

    Each drawing is turned, slanted and stretched as a whole and bent a little, each of its strokes is also changed by
    itself, and now and then a stroke is drawn backwards, or before the one that it followed.

    Args:
        strength: 1 is the default.
        in_order: No stroke is drawn before the one that it followed, as several characters would change their order.

    Source: Simard, Steinkraus & Platt (2003), "Best practices for convolutional neural networks", ICDAR, for bending.
    """
    found = []
    for one in data:
        points = np.stack([one.steps[name].values for name in ("x", "y")], 1).astype(np.float64)
        strokes = np.split(points, np.flatnonzero(one.steps["up"].values[:-1]) + 1)
        found.append(steps_of(_by_another_hand(strokes, rng, strength, in_order), None))
    columns = np.concatenate(found).astype(np.float32).T
    steps = {name: Column(name, "number", values) for name, values in zip(COLUMNS, columns, strict=True)}
    return replace(data, steps={**data.steps, **steps})


def _by_another_hand(strokes: Drawing, rng: np.random.Generator, strength: float, in_order: bool) -> Drawing:
    count = len(strokes)
    order = list(range(count))
    for place in np.flatnonzero(rng.random(count - 1) < (0 if in_order else SWAPPED * strength)):
        order[place], order[place + 1] = order[place + 1], order[place]
    backwards = rng.random(count) < REVERSED * strength
    whole = _affine(rng, SLANT * strength)
    waves = rng.standard_normal((3, 2)) * 2  # radians per side
    phases, heights = rng.uniform(0, 2 * np.pi, 3), rng.standard_normal((3, 2)) * BEND * strength
    found = []
    for number in order:
        points = strokes[number][::-1] if backwards[number] else strokes[number]
        middle = points.mean(0)
        shifted = middle + SHIFT * strength * rng.standard_normal(2)
        points = (points - middle) @ _affine(rng, OWN * strength) + shifted
        found.append(points @ whole + np.sin(points @ waves.T + phases) @ heights)
    return found


def _affine(rng: np.random.Generator, spread: float) -> np.ndarray:
    return np.eye(2) + spread * rng.standard_normal((2, 2))


def _drawn(source: Source | Sequence[Source]) -> Iterator[NamedFile]:
    return named_files(source, (SUFFIX,), (ARCHIVE,), _unzipped, "pen strokes")


def _unzipped(archive: Path) -> Iterator[NamedFile]:
    """Stroke files in an archive, sorted by name like those of a folder."""
    place = name_of(archive)
    try:
        with open_bytes(archive) as packed, zipfile.ZipFile(packed) as file:
            unpacking = Unpacking(place, packed.seek(0, os.SEEK_END))
            for name in sorted(file.namelist(), key=lambda name: PurePosixPath(name).parts):
                parts = [part for part in PurePosixPath(name).parts if part != ".."]
                hidden = any(part.startswith((".", "__MACOSX")) for part in parts)
                if not hidden and name.lower().endswith(SUFFIX):
                    with file.open(name) as member:
                        yield name, f"{place}, {name}", unpacking.read(member)
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, NotImplementedError) as error:
        reason = str(error).partition(":")[0].rstrip(".")  # RuntimeError: it is encrypted
        raise DataError(
            f"{place} is not a zip file that can be read: {reason}. Fetch it again, or unpack it."
        ) from None


def _parsed(raw: bytes, place: str) -> Drawing:
    """The strokes of one file."""
    lines = [line.strip() for line in raw.decode("utf-8", "replace").removeprefix("\ufeff").split("\n")]
    while lines and not lines[-1]:
        lines.pop()
    if not lines or lines[0] != BEGIN:
        began = f"'{lines[0][:40]}'" if lines else "nothing"
        raise DataError(f"{place}, line 1: {began} where a stroke file says {BEGIN}. Leave the file out, or fix it.")
    strokes: Drawing = []
    points: list[tuple[float, float]] = []
    for number, line in enumerate(lines[1:], 2):
        if line == LIFT:
            if not points:
                raise DataError(f"{place}, line {number}: a {LIFT} without a point before it. Delete the line.")
            strokes.append(np.array(points))
            points = []
        else:
            points.append(_point(line, f"{place}, line {number}"))
    if points or not strokes:
        raise DataError(f"{place} is cut short: its last line, {len(lines)}, is not {LIFT}. Fetch it again.")
    return strokes


def _point(line: str, place: str) -> tuple[float, float]:
    try:
        x, y, _ = map(float, line.split(","))
    except ValueError:
        raise DataError(f"{place}: '{line[:40]}' is not a point x,y,t, nor {LIFT}. Fix the line.") from None
    if not (abs(x) <= FARTHEST and abs(y) <= FARTHEST):
        raise DataError(f"{place}: the point '{line[:40]}' lies outside {FARTHEST:,.0f} units. Fix the line.")
    return x, y
