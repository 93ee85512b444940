"""Folders of images, and files of their captions: in Flickr8k's layout, or as tables."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import DataError
from ..readers.arrays import load_arrays
from ..readers.files import Source, name_of, read_lines
from ..readers.images import SUFFIXES, read_image, resized, size_of
from ..tables.session import RELATION, identifier
from ..tables.table import open_table
from .captions import Captioned, from_arrays

_JSON = (".jsonl", ".ndjson", ".json")
_TABLES = (".csv", ".tsv", ".parquet", *_JSON)
_IMAGE = ("image", "file", "file_name", "filename", "image_name", "image_path", "clip", "name")
_CAPTION = ("caption", "captions", "text", "sentence", "sentences", "comment")
_NUMBERED = re.compile(r"(.+)#\d+$")
_ARRAYS = ("x", "captions", "names")


def read_captions(source: Source, encoding: str = "utf-8") -> dict[str, list[str]]:
    """The captions of each image, by its name, in the order of the file.

    Args:
        source: Flickr8k's text, a line `image.jpg#0<tab>caption` for each caption, the number left out where each image
            has one; or .csv, .tsv, .parquet, .jsonl or .json with a column "image" (or the like) and a column "caption"
            (or "captions", where a row holds a list of them). A table of two columns may call them as it likes.

    Raises:
        DataError: names the line or row that has no image or no caption.
    """
    found: dict[str, list[str]] = {}
    reader = _from_table if _suffix(source) in _TABLES else _from_lines
    for where, image, caption in reader(source, encoding):
        captions = [
            " ".join(str(text).split()) for text in (caption if isinstance(caption, list) else [caption]) if text
        ]
        if not image or not captions or not all(captions):
            raise DataError(f"{where}: no {'caption' if image else 'name of an image'}. Each needs both.")
        found.setdefault(str(image), []).extend(captions)
    if not found:
        raise DataError(f"{name_of(source)} holds no caption.")
    return found


def read_names(source: Source, encoding: str = "utf-8") -> list[str]:
    """Names of images, one a line, such as Flickr8k's lists of training images."""
    name, lines = read_lines(source, encoding)
    found = list(dict.fromkeys(line.strip() for line in lines if line.strip()))
    if not found:
        raise DataError(f"{name} names no image.")
    return found


def is_image(source: Source) -> bool:
    """Whether a file is an image, and not a hidden one, by its name."""
    name = os.path.basename(source)
    return not name.startswith(".") and name.lower().endswith(SUFFIXES)


def names_in(folder: str | os.PathLike[str]) -> list[str]:
    """The images in a folder, and the folders in it that hold images, which are clips; by name. What is hidden, such as
    `.thumbnails`, is passed over."""
    with _listed(folder) as entries:
        shown = [entry for entry in entries if not entry.name.startswith(".")]
    found = [e.name for e in shown if (_frames_of(e.path) if e.is_dir() else is_image(e.name))]
    if not found:
        raise DataError(f"'{os.fspath(folder)}' holds no image ({', '.join(SUFFIXES)}).")
    return sorted(found)


def sizes_in(folder: str | os.PathLike[str], names: Sequence[str]) -> np.ndarray:
    """(N, 3) int64: of each image or clip its frames, and the height and width of the first, from the files' heads."""
    each = [_files(Path(folder), name) for name in names]
    return np.array([[len(files), *size_of(files[0])] for files in each], np.int64)


def read_folder(
    folder: str | os.PathLike[str],
    names: Sequence[str],
    captions: dict[str, list[str]] | None,
    size: tuple[int, int],
    clips: bool | None = None,
) -> Captioned:
    """Images in colour, all brought to one size.

    Args:
        folder: Where they are; the same name without its ending will do. A folder in it is a clip, its images the
            frames, by name.
        names: Of those to read.
        captions: By name; None for none.
        size: Height and width, in pixels.
        clips: Whether they are clips; if any of them is, if omitted.

    Raises:
        DataError: An image is missing or damaged; or it has no caption.
        MissingExtra: Pillow is not installed.
    """
    root = Path(folder)
    if captions is not None and (silent := [name for name in names if name not in captions]):
        raise DataError(f"'{silent[0]}' has no caption, nor have {len(silent) - 1} others. Leave them out.")
    frames, lengths = [], []
    for name in names:
        files = _files(root, name)
        for file in files:
            image = resized(read_image(file, colour=True), *size)
            frames.append((255 * image).round().astype(np.uint8))
        lengths.append(len(files))
    clips = max(lengths) > 1 if clips is None else clips
    if not clips and max(lengths) > 1:
        raise DataError(f"'{root / names[int(np.argmax(lengths))]}' is a clip, where images are expected.")
    texts = tuple(tuple(captions[name]) if captions is not None else () for name in names)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    return Captioned("clips" if clips else "images", np.stack(frames), offsets, texts, tuple(names), str(root))


def read_arrays(source: Source, inputs: str | None = None) -> Captioned:
    """A `.npy` or `.npz` file: `x` as `from_arrays` takes it, and in `.npz` also `captions`, (N,) or (N, R) strings of
    which empty ones count for none, and `names`, (N,).

    Raises:
        DataError: No such file; objects, which only pickle could read; names or shapes that do not fit.
    """
    name, held = name_of(source), load_arrays(source)
    unknown = [key for key in held if key not in _ARRAYS]
    if unknown or "x" not in held:
        has = f"holds '{unknown[0]}'" if unknown else "holds no 'x'"
        raise DataError(f"{name} {has}. The names it may have: {', '.join(_ARRAYS)}.")
    return from_arrays(held["x"], held.get("captions"), inputs, held.get("names"), name)


def _from_lines(source: Source, encoding: str) -> Iterator[tuple[str, str, str]]:
    name, lines = read_lines(source, encoding)
    for number, line in enumerate(lines, 1):
        if line.strip():
            image, _, caption = line.partition("\t")
            numbered = _NUMBERED.match(image.strip())
            yield f"{name}, line {number}", numbered[1] if numbered else image.strip(), caption


def _from_table(source: Source, encoding: str) -> Iterator[tuple[str, Any, Any]]:
    """Names and captions as they are written: 001 is not a number. Of lists in JSON that is their text."""
    with open_table(source, encoding=encoding, as_written=True) as table:
        lower = {name.lower(): name for name in table.columns}
        image = next((lower[name] for name in _IMAGE if name in lower), None)
        caption = next((lower[name] for name in _CAPTION if name in lower), None)
        if (image is None or caption is None) and len(table.columns) == 2:
            image, caption = table.columns
        if image is None or caption is None:
            raise DataError(
                f"{table.name} has no columns 'image' and 'caption', but {', '.join(table.columns)}. Name them so."
            )
        query = f"SELECT {identifier(image)}::VARCHAR, {identifier(caption)} FROM {RELATION}"
        for number, row in enumerate(table.session.rows(query), 1):
            cell = _list_or_text(row[1]) if _suffix(source) in _JSON else row[1]
            yield f"{table.name}, row {number}", row[0], cell


def _list_or_text(cell: str | None) -> Any:
    try:
        found = json.loads(cell or "")
    except ValueError:
        return cell
    return found if isinstance(found, list) else cell


def _suffix(source: Source) -> str:
    return Path(os.fspath(source).lower().removesuffix(".gz")).suffix


def _files(root: Path, name: str) -> list[Path]:
    """The frames of a clip, or the one file of an image."""
    path = root / name
    if path.is_dir():
        if files := _frames_of(path):
            return [path / file for file in files]
        raise DataError(f"'{path}' holds no image ({', '.join(SUFFIXES)}).")
    if not path.exists():
        found = [path.with_name(path.name + suffix) for suffix in SUFFIXES]
        path = next((other for other in found if other.exists()), path)
    return [path]


def _frames_of(folder: str | Path) -> list[str]:
    with _listed(folder) as entries:
        return sorted(entry.name for entry in entries if is_image(entry.name))


def _listed(folder: str | os.PathLike[str]) -> Any:
    try:
        return os.scandir(folder)
    except OSError as error:
        raise DataError(f"'{os.fspath(folder)}': {error.strerror or error}.") from None
