"""Folders of clips, such as of actions, as sequences of their frames: each a folder of images, or an animation."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import numpy as np

from ...errors import DataError
from ..sequences import Column, Sequences, offsets_of, text_column
from .audio import ARCHIVES
from .audio import SUFFIXES as SOUNDS
from .file_names import columns_of, folder_or_prefix, pattern_of
from .files import Source, files_in, name_of
from .images import SUFFIXES, read_frames, read_image, resized

SIDE = 16  # pixels of a frame's height and width: enough to see where something is, and how it moves
ANIMATIONS = (".gif", ".webp")
FILMS = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".mpg", ".mpeg")  # which Pillow does not read


def holds_clips(folder: Source) -> bool:
    """Whether there are images, animations or films anywhere in a folder, and no sound."""
    names = [file.name.lower() for file in files_in(folder)]
    return any(n.endswith(SUFFIXES + FILMS) for n in names) and not any(n.endswith(SOUNDS + ARCHIVES) for n in names)


def read_clips(folder: Source, label_from: str | None = None, labelled: bool = True) -> Sequences:
    """Clips as sequences of frames in grey, each brought to `SIDE` x `SIDE` pixels.

    Args:
        folder: A clip in it, at any depth, is a folder that holds images, which are its frames, in the order of their
            names, 2 before 10; or a .gif or .webp of several frames.
        label_from: Where labels stand in names of clips, as for `audio.read_audio`. None: the folder that a clip lies
            in, or else what stands before the first _ of its name.
        labelled: Whether names are asked for labels at all.

    Returns:
        Per step: `pixels`, (steps, SIDE * SIDE) float32, 0 is black. Per sequence: `file`, text; `label`, a category,
        if there are any; and what else `label_from` names.

    Raises:
        DataError: An image is damaged; there is no clip; there are films, or a clip's name does not fit.
        MissingExtra: Pillow is not installed.
        OptionError: A pattern without {label}.
    """
    if label_from is not None:
        pattern_of(label_from)
    root, shown = Path(folder), name_of(folder)
    files = [file.relative_to(root).as_posix() for file in files_in(folder)]
    if film := next((name for name in files if name.lower().endswith(FILMS)), None):
        raise DataError(
            f"'{root / film}' is a film, of which frames are read. Take them out first: "
            "ffmpeg -i FILM -vf fps=10 CLASS/CLIP/%04d.png"
        )
    found: dict[str, list[str]] = {}  # clip -> its files
    for name in files:
        if name.lower().endswith(SUFFIXES):
            clip = name if name.lower().endswith(ANIMATIONS) else PurePosixPath(name).parent.as_posix()
            found.setdefault(clip, []).append(name)
    names = sorted(found)
    clips = [np.stack([*_frames(root, sorted(found[name], key=_counted))]) for name in names]
    if not any(len(clip) > 1 for clip in clips):
        raise DataError(f"{shown} holds no clip of two frames or more. Arrange it as CLASS/CLIP/FRAME.png")
    labels = {}
    if labelled:
        labels = folder_or_prefix(names) if label_from is None else columns_of(names, label_from)
    if "label" in labels and len(labels["label"].levels) == len(names) > 1:
        raise DataError(
            f"{shown}: no two clips have one label ('{names[0]}', '{names[1]}', ...). Arrange it as "
            "CLASS/CLIP/FRAME.png, or say where labels stand with label_from"
        )
    pixels = Column("pixels", "number", np.concatenate(clips))
    static = {"file": text_column("file", names), **labels}
    return Sequences(offsets_of(map(len, clips)), {"pixels": pixels}, static, shown)


def _counted(name: str) -> list[str | int]:
    """The order in which people number files: 2 before 10."""
    return [int(piece) if piece.isdecimal() else piece for piece in re.split(r"(\d+)", name)]


def _frames(root: Path, names: list[str]) -> Iterator[np.ndarray]:
    """(SIDE * SIDE,) of each frame in these files."""
    for name in names:
        path = os.fspath(root / name)
        images = read_frames(path) if name.lower().endswith(ANIMATIONS) else [read_image(path)]
        for image in images:
            yield resized(image, SIDE, SIDE).ravel()
