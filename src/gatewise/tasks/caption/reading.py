"""Reads images and captions."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from ...data.paired.caption_files import is_image, names_in, read_arrays, read_captions, read_folder, read_names
from ...data.paired.captions import Captioned, from_arrays
from ...data.sources import describe_source
from ...data.tables.schema import ANY_CSV, CSVFormat
from ...errors import DataError, OptionError
from ..options import names

SIDE = 64  # default height and width of images from files, in pixels
_CHUNK = 256  # images of a chunk of `read_chunks`


def read(
    data: Any,
    y: Any = None,
    *,
    captions: Any = None,
    lists: Any = None,
    inputs: str | None = None,
    size: tuple[int, int] = (SIDE, SIDE),
    encoding: str = "utf-8",
    csv: CSVFormat = ANY_CSV,
) -> tuple[Captioned, list[int]]:
    """Images, clips or features with their captions; and how many there are in each list.

    Args:
        data: A `Captioned`, as it is; a folder of images, or one of them; an `.npz` or `.npy` file; arrays.
        y: Captions beside arrays.
        captions: File of captions, for a folder.
        lists: Comma-separated files of names, for a folder: only those images are read, in this order.
        inputs: What arrays hold; see `from_arrays`.
        size: Height and width to which images from files are scaled.
        encoding: Encoding of text files.
        csv: How a CSV file of captions is written.

    Raises:
        DataError: Something cannot be read, or has no caption.
        OptionError: What goes with a folder is given for something else, or the other way round.
    """
    path = isinstance(data, str | os.PathLike)
    folder = path and os.path.isdir(data)
    image = path and not folder and is_image(data)
    if path and not os.path.exists(data):
        raise DataError(f"there is no folder or file '{os.fspath(data)}'")
    for option, given in (("captions", captions), ("lists", lists)):
        if given is not None and not folder:
            raise OptionError(f"{option} goes with a folder of images, not with {describe_source(data)}. Leave it out")
    if (folder or image) and inputs == "features":
        raise OptionError("inputs='features' goes with arrays and .npz files, not with images. Leave it out")
    if y is not None and (path or isinstance(data, Captioned)):
        raise OptionError(f"y goes with arrays; {describe_source(data)} has captions of its own. Leave it out")
    if isinstance(data, Captioned):
        return data, []
    if not path:
        return from_arrays(data, y, inputs), []
    clips = None if inputs is None else inputs == "clips"
    if image:
        return read_folder(os.path.dirname(data), [os.path.basename(data)], None, size, clips), []
    if not folder:
        return read_arrays(data, inputs), []
    known = None if captions is None else read_captions(captions, encoding, csv)
    parts = [read_names(path, encoding) for path in names(lists)]
    wanted = [name for part in parts for name in part] or list(known or names_in(data))
    if len(set(wanted)) < len(wanted):
        twice = next(name for i, name in enumerate(wanted) if name in wanted[:i])
        raise DataError(f"'{twice}' is in two of the lists. An image belongs to one part.")
    return read_folder(data, wanted, known, size, clips), [len(part) for part in parts]


def read_chunks(data: Any, inputs: str, size: tuple[int, int]) -> Iterator[Captioned]:
    """What is to be captioned, some hundred at a time: however large a folder is, few of its images are in memory."""
    if not isinstance(data, str | os.PathLike) or not os.path.isdir(data):
        whole, _ = read(data, inputs=inputs, size=size)
        for start in range(0, len(whole), _CHUNK):
            yield whole.take(np.arange(start, min(start + _CHUNK, len(whole))))
        return
    found = iter(names_in(data))
    while some := list(islice(found, _CHUNK)):
        yield read_folder(Path(data), some, None, size, clips=inputs == "clips")
