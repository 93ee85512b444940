"""Folders of images, and files of their captions: in the layouts of Flickr8k and COCO, or as tables."""

from __future__ import annotations

import csv
import json
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import DataError
from ..readers.arrays import load_arrays
from ..readers.files import Source, name_of, read_lines, read_text
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
            has one; the same with a comma, or under a head that names the columns, as Kaggle has it; .csv, .tsv,
            .parquet, .jsonl or .json with a column "image" (or the like) and a column "caption" (or "captions", where a
            row holds a list of them); or COCO's .json of "images" and "annotations". A table of two columns may call
            them as it likes. Captions in the last column may hold commas without quotes.

    Raises:
        DataError: names the line or row that has no image or no caption.
    """
    found: dict[str, list[str]] = {}
    suffix = _suffix(source)
    rows = _from_json(source, encoding) if suffix == ".json" else None
    if rows is None and suffix not in (".parquet", *_JSON):
        rows = _from_lines(source, encoding, table=suffix in _TABLES)
    for where, image, caption in _from_table(source, encoding) if rows is None else rows:
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
    each = [_files(root, name) for name in names]
    if absent := [name for name, files in zip(names, each, strict=True) if not files[0].exists()]:
        others = f", nor are {len(absent) - 1:,} others that are named" if len(absent) > 1 else ""
        raise DataError(
            f"'{absent[0]}' is not in '{root}'{others}. Add them, or leave them out of the captions or lists."
        )
    frames, lengths = [], []
    for files in each:
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


def _from_lines(source: Source, encoding: str, table: bool) -> Iterator[tuple[str, str, str]] | None:
    """Names and captions of a text file, or of a table whose last column has captions; None for other tables.

    A line that names the columns may be missing where it is no table. Commas in captions need no quotes.
    """
    name, lines = read_lines(source, encoding)
    separator = next((sign for sign in ("\t", "|", ",") if sign in lines[0]), "\t")
    columns = [cell.strip(' "').lower() for cell in lines[0].strip().split(separator)]
    image = next((columns.index(known) for known in _IMAGE if known in columns), None)
    named = image is not None and columns[-1] in _CAPTION and image < len(columns) - 1
    if table and (not named or separator == "\t"):
        return None
    image, last, start = (image or 0, len(columns) - 1, 1) if named else (0, 1, 0)

    def rows() -> Iterator[tuple[str, str, str]]:
        cells: Iterator[list[str]]
        if separator != ",":
            cells = (line.split(separator, last) for line in lines[start:])
        elif table:  # whose cells may go on in the next line
            cells = csv.reader((f"{line}\n" for line in lines[start:]), strict=True)
        else:
            cells = (next(csv.reader([line]), []) for line in lines[start:])
        number = 0
        try:
            for number, row in enumerate(cells, 1):
                if any(cell.strip() for cell in row):
                    found = row[image].strip() if image < len(row) else ""
                    numbered = _NUMBERED.match(found)
                    where = f"{name}, row {number}" if table else f"{name}, line {start + number}"
                    yield where, numbered[1] if numbered else found, separator.join(row[last:])
        except csv.Error as error:
            raise DataError(f"{name}, row {number + 1}: its quotes do not match ({error}). Mend them.") from None

    return rows()


def _from_json(source: Source, encoding: str) -> Iterator[tuple[str, Any, Any]] | None:
    """Names and captions as COCO has them, or as Karpathy and Fei-Fei do, whose images hold their sentences; None for
    other JSON."""
    name, text = name_of(source), read_text(source, encoding)
    if not text.lstrip().startswith("{"):
        return None
    try:
        held = json.loads(text)
    except (ValueError, RecursionError):
        return None  # which may be JSON lines
    images, annotations = held.get("images"), held.get("annotations")
    if not isinstance(images, list) or not all(isinstance(image, dict) for image in images):
        return None
    if annotations is None:
        return (
            (f"{name}, image {n}", _file_of(image), [one.get("raw") for one in image.get("sentences", ())])
            for n, image in enumerate(images)
        )
    if not isinstance(annotations, list) or not all(isinstance(one, dict) for one in annotations):
        raise DataError(f"{name}: its 'annotations' are no list of captions. COCO's files of captions have one.")
    files = {image.get("id"): _file_of(image) for image in images}
    return (
        (f"{name}, annotation {n} of image {one.get('image_id')}", files.get(one.get("image_id")), one.get("caption"))
        for n, one in enumerate(annotations)
    )


def _file_of(image: dict[str, Any]) -> Any:
    return next((image[known] for known in _IMAGE if known in image), None)


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
