"""What `transcribe` learns from: signals and their texts."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ...data.log_mel import LogMel
from ...data.paired.transcripts import holds_sound, is_media, read_transcripts
from ...data.readers.audio import settings_for
from ...data.readers.sklearn_arrays import in_memory
from ...data.readers.strokes import holds_strokes
from ...data.sequences import Sequences
from ...data.sources import Roles, kind_of, read
from ...decoding.ctc import steps_needed
from ...errors import DataError, OptionError
from ..options import names
from .frames import Frames

if TYPE_CHECKING:
    from .options import TranscribeOptions

TEXT = "text"  # the column of texts, if none is named
_MEDIA = {"log_mel": "sound", "pixels": "images"}  # column that a reader makes -> what was read


def read_signals(
    data: Any,
    y: Any,
    options: TranscribeOptions,
    *,
    query: str | None = None,
    encoding: str = "utf-8",
    labelled: bool = True,
    sound: LogMel | None = None,
    height: int | None = None,
) -> tuple[Sequences, LogMel | None]:
    """Signals as sequences of numbers, and how sound was read.

    Args:
        data, y, query, encoding: As for `Transcriber.fit`.
        options: What columns and file names mean.
        labelled: Whether there must be texts.
        sound, height: How a trained model reads sound and images; None where the data decide.

    Raises:
        DataError: The data cannot be read, or a sequence has no steps.
        OptionError: An option does not go with such data.
    """
    if isinstance(data, str) and data == "-":
        raise DataError("standard input cannot hold signals. Name a file or folder")
    if _names_files(data, y, options, labelled):
        found, sound = read_transcripts(
            data,
            options.target or TEXT,
            query=query,
            encoding=encoding,
            csv=options.csv_format(),
            texts=labelled,
            columns=names(options.group) if labelled else (),
            sound=sound,
            height=height,
        )
    else:
        label_from = options.label_from if labelled else None
        if label_from and isinstance(data, str | os.PathLike) and is_media(data) and not holds_sound(data):
            raise OptionError(
                f"label_from is for sound and pen strokes, and '{os.fspath(data)}' holds images. Write what NAME.png "
                "says in NAME.txt beside it, or name files and texts in a table"
            )
        roles = Roles(
            target=(options.target or TEXT,) if labelled and not label_from else (),
            key=names(options.key),
            time=options.time,
            columns=None if options.columns is None else names(options.columns),
            group=names(options.group) if labelled else (),
            label_from=label_from,
        )
        found = read(data, y, roles, query=query, encoding=encoding, sound=sound)
        if "log_mel" in found.steps and not isinstance(data, Sequences):
            sound = sound or settings_for(data)
    if not len(found) or (found.lengths == 0).any():
        what = (
            f"{name_of(found, int((found.lengths == 0).argmax()))} has no steps" if len(found) else "there is nothing"
        )
        raise DataError(f"{found.name}: {what}. Leave it out")
    return found, sound


def _names_files(data: Any, y: Any, options: TranscribeOptions, labelled: bool) -> bool:
    """Whether the data are files with their texts, rather than steps."""
    if isinstance(data, Sequences) or y is not None or options.key or options.time:
        return False
    if options.label_from and labelled:
        return False
    if isinstance(data, str | os.PathLike):
        return is_media(data) or kind_of(data) in ("table", "text")
    return not in_memory(data)


def medium_of(data: Sequences) -> str:
    """What the signals are: "sound", "images", pen "strokes" or other "numbers"."""
    if holds_strokes(data):
        return "strokes"
    return next((medium for column, medium in _MEDIA.items() if column in data.steps), "numbers")


def height_of(data: Sequences) -> int | None:
    """The height of images in pixels; None if the data are no images."""
    return data.steps["pixels"].values.shape[1] if "pixels" in data.steps else None


def columns_of(data: Sequences, options: TranscribeOptions) -> list[str]:
    """The columns to learn from. DataError if there is none."""
    if options.columns is not None:
        return list(names(options.columns))
    found = [name for name, column in data.steps.items() if column.kind == "number" and name not in names(options.time)]
    if not found:
        there = ", ".join(f"{name} ({column.kind})" for name, column in data.steps.items()) or "none"
        raise DataError(f"{data.name}: no column of numbers per step to learn from. Columns per step: {there}")
    return found


def texts_of(data: Sequences, target: str | None) -> list[str]:
    """The text of each sequence, with single spaces between its words. DataError if there is none."""
    name = next((name for name in (target or TEXT, "label") if name in data.static), None)
    if name is None:
        there = ", ".join(data.static) or "none"
        raise DataError(
            f"{data.name}: no column '{target or TEXT}' with a text per sequence. Columns per sequence: {there}. Name "
            "it with target"
        )
    column = data.static[name]
    if column.kind not in ("text", "category"):
        raise DataError(f"{data.name}: column '{name}' holds {column.kind}s, not texts")
    texts = column.strings()
    if None in texts:
        raise DataError(f"{data.name}: {name_of(data, texts.index(None))} has no text. Fill it in, or leave it out")
    return [" ".join(str(text).split()) for text in texts]


def check_room(data: Sequences, targets: Sequence[np.ndarray], frames: Frames) -> None:
    """DataError if a sequence has fewer steps than its text needs; it names the first."""
    for place, (labels, steps) in enumerate(zip(targets, frames.steps(data.lengths), strict=True)):
        if (needed := steps_needed(labels.tolist())) > steps:
            raise DataError(
                f"{data.name}: {name_of(data, place)} has {steps} steps of {frames.stack} frames, but its text of "
                f"{len(labels)} characters needs {needed}. Leave it out, or lower frame_stacking"
            )


def name_of(data: Sequences, place: int) -> str:
    """What messages call a sequence."""
    return f"'{data.static['file'].values[place]}'" if "file" in data.static else f"sequence {place}"
