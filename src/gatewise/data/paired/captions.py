"""Images, clips or features of image regions, and their captions."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ...errors import DataError, OptionError, ShapeError, suggest

INPUTS = ("images", "clips", "features")
NUMBERS = ("uint8", "float32")  # uint8 counts to 255, and all else is what it is
_SHAPES = {"images": "(N, H, W) or (N, H, W, C)", "clips": "(N, T, H, W) or (N, T, H, W, C)", "features": "(N, P, D)"}
_LEAST = 4  # pixels of a side
_COLOURS = (1, 3, 4)  # channels by which the last axis is known for one of colour


@dataclass(frozen=True)
class Captioned:
    """N images, clips or sets of features, one after the other.

    Attributes:
        inputs: "images", "clips" or "features".
        values: (F, H, W, C) uint8 or float32, the frames of all; or (F, P, D) float32, the D features of P places.
        offsets: (N + 1,) int64, rising from 0: number i has the frames offsets[i] : offsets[i + 1]; an image has one.
        captions: The captions of each, one or several; none where they are not known.
        names: Of each its file, or its number from 0.
        name: Where they came from, for people.
    """

    inputs: str
    values: np.ndarray
    offsets: np.ndarray
    captions: tuple[tuple[str, ...], ...]
    names: tuple[str, ...]
    name: str = "arrays"

    def __post_init__(self) -> None:
        if not len(self.captions) == len(self.names) == len(self) or int(self.offsets[-1]) != len(self.values):
            raise ShapeError(
                f"{len(self)} {self.inputs} of {len(self.values)} frames cannot have {len(self.names)} names and "
                f"{len(self.captions)} sets of captions"
            )

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> np.ndarray:
        """(N,) frames of each."""
        return np.diff(self.offsets)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of a frame: (H, W, C) or (P, D)."""
        return self.values.shape[1:]

    @property
    def numbers(self) -> str:
        """One of `NUMBERS`: how the values are kept, which tells the range that they are in."""
        return self.values.dtype.name

    def take(self, which: Sequence[int] | np.ndarray) -> Captioned:
        """These, in this order."""
        index = np.asarray(which, np.int64)
        lengths = self.lengths[index]
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        frames = np.arange(offsets[-1]) + np.repeat(self.offsets[:-1][index] - offsets[:-1], lengths)
        captions, names = tuple(self.captions[i] for i in index), tuple(self.names[i] for i in index)
        return replace(self, values=self.values[frames], offsets=offsets, captions=captions, names=names)

    def fingerprint(self) -> str:
        """sha256 of everything but the name."""
        digest = hashlib.sha256(f"{self.inputs}\0{self.values.dtype.str}\0{self.values.shape}".encode())
        digest.update(np.ascontiguousarray(self.offsets, "<i8").tobytes())
        for start in range(0, len(self.values), 1024):
            digest.update(np.ascontiguousarray(self.values[start : start + 1024]).tobytes())
        digest.update(repr((self.captions, self.names)).encode("utf-8", "surrogatepass"))
        return digest.hexdigest()


def from_arrays(
    x: Any, captions: Any = None, inputs: str | None = None, names: Any = None, name: str = "arrays"
) -> Captioned:
    """Images, clips or features in memory.

    Args:
        x: An array of numbers: images (N, H, W) or (N, H, W, C), clips (N, T, H, W) or (N, T, H, W, C), features
            (N, P, D). Or a list of clips (T, H, W) or (T, H, W, C) of different lengths. uint8 counts to 255.
        captions: Of each a string, or several in a list; None if there are none.
        inputs: "images", "clips" or "features". If omitted, 3 axes are images, 5 are clips, and 4 are images if the
            last has 1, 3 or 4 channels, else clips; a list holds clips.
        names: Of each; its number from 0, if omitted.
        name: For messages.

    Raises:
        DataError: Shapes, numbers or captions that do not fit; the message says which.
        OptionError: `inputs` is none of the three.
    """
    if inputs is not None and inputs not in INPUTS:
        raise OptionError(suggest("kind of inputs", str(inputs), INPUTS))
    if isinstance(x, list | tuple):
        if inputs not in (None, "clips"):
            raise DataError(f"{name}: a list holds clips, not {inputs}. Give one array of shape {_SHAPES[inputs]}")
        clips = [_frames(clip, f"{name}, clip {i}") for i, clip in enumerate(x)]
        for i, clip in enumerate(clips):
            if clip.shape[1:] != clips[0].shape[1:]:
                raise DataError(f"{name}, clip {i}: frames of {clip.shape[1:]}, but clip 0 has {clips[0].shape[1:]}.")
        values = np.concatenate(clips) if clips else np.zeros((0, 1, 1, 1), np.uint8)
        inputs, lengths = "clips", np.array([len(clip) for clip in clips], np.int64)
    else:
        values = _numbers(x, name)
        inputs = inputs or _guess(values, name)
        axes = {"images": (3, 4), "clips": (4, 5), "features": (3,)}[inputs]
        if values.ndim not in axes:
            raise DataError(f"{name}: {inputs} have the shape {_SHAPES[inputs]}, not {values.shape}.")
        length = values.shape[1] if inputs == "clips" else 1
        lengths = np.full(len(values), length, np.int64)
        if inputs == "clips":
            values = values.reshape(-1, *values.shape[2:])
        if inputs != "features" and values.ndim == 3:
            values = values[..., None]
    if not values.size:
        raise DataError(f"{name}: there are no {inputs}. Give at least one.")
    if inputs == "features":
        values = values.astype(np.float32, copy=False)
    elif min(values.shape[1:3]) < _LEAST:
        height, width = values.shape[1:3]
        raise DataError(f"{name}: {inputs} of {height} x {width} pixels. Give at least {_LEAST} x {_LEAST}.")
    count = len(lengths)
    given = _captions(captions, count, name)
    named = tuple(map(str, range(count))) if names is None else tuple(map(str, names))
    if len(named) != count:
        raise DataError(f"{name}: {count} {inputs}, but {len(named)} names. Each needs one.")
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    return Captioned(inputs, values, offsets, given, named, name)


def _numbers(x: Any, name: str) -> np.ndarray:
    """uint8 as it is, all else as float32."""
    try:
        array = np.asarray(x)
    except ValueError:
        raise DataError(f"{name}: rows of different lengths are not an array. Bring them to one length.") from None
    if array.dtype.kind not in "uifb":
        raise DataError(f"{name}: numbers are needed, not {array.dtype}.")
    if array.dtype == np.uint8:
        return array
    found = array.astype(np.float32)
    if not np.isfinite(found).all():
        raise DataError(f"{name}: number {np.argwhere(~np.isfinite(found))[0][0]} holds NaN or infinity.")
    return found


def _frames(clip: Any, name: str) -> np.ndarray:
    found = _numbers(clip, name)
    if found.ndim not in (3, 4) or not found.size:
        raise DataError(f"{name}: a clip has the shape (T, H, W) or (T, H, W, C), not {found.shape}.")
    return found if found.ndim == 4 else found[..., None]


def _guess(values: np.ndarray, name: str) -> str:
    if values.ndim == 3:
        return "images"
    if values.ndim == 4:
        return "images" if values.shape[-1] in _COLOURS else "clips"
    if values.ndim == 5:
        return "clips"
    shapes = ", ".join(f"{inputs} {shape}" for inputs, shape in _SHAPES.items())
    raise DataError(f"{name}: the shape {values.shape} is none of {shapes}.")


def _captions(captions: Any, count: int, name: str) -> tuple[tuple[str, ...], ...]:
    if captions is None:
        return ((),) * count
    given = captions.tolist() if isinstance(captions, np.ndarray) else captions
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise DataError(f"{name}: {given!r:.40} is not a list of captions. Give each of the inputs one, or several.")
    given = list(given)
    if len(given) != count:
        raise DataError(f"{name}: there are {count} inputs, but captions for {len(given)}. Each needs one or more.")
    found = []
    for number, entry in enumerate(given):
        several = [entry] if isinstance(entry, str) else entry
        if not isinstance(several, list | tuple) or not all(isinstance(text, str) for text in several):
            raise DataError(
                f"{name}, number {number}: {entry!r:.40} is not a caption. Give a string, or a list of them."
            )
        found.append(tuple(text for text in (" ".join(text.split()) for text in several) if text))
    return tuple(found)
