"""Image files as grey levels or colours, by Pillow; and images of a line of text as sequences of their columns."""

from __future__ import annotations

import os
import struct
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import DataError, MissingExtra
from ..sequences import Column, Sequences, offsets_of, text_column
from .files import Source, name_of, open_bytes

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".pgm")
FORMATS = ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP", "PPM")  # others that Pillow knows run programs, such as EPS
LEAST_PIXELS = 40_000_000  # that any file may hold: a page at 600 dots per inch, which may be blank and so a few kB
MOST_RATIO = 100  # of pixels to bytes in a file with more
HIGHEST = 32  # pixels of a line's height, at which print and handwriting can still be read
_ORIENTATION = 0x0112  # EXIF's tag of how the camera was held
_UPRIGHT = {  # its values, and what Pillow calls the way back
    2: "FLIP_LEFT_RIGHT",
    3: "ROTATE_180",
    4: "FLIP_TOP_BOTTOM",
    5: "TRANSPOSE",
    6: "ROTATE_270",
    7: "TRANSVERSE",
    8: "ROTATE_90",
}
_SIDEWAYS = (5, 6, 7, 8)
_OTHERWISE = "Save it in grey levels or colours, of 8 or 16 bits."


def read_image(source: Source, colour: bool = False) -> np.ndarray:
    """One image file: (height, width) float32 from 0, black, to 1, white; in colour (height, width, 3), red first.

    What is transparent is seen on white; of an animation the first image is read; a photograph stands upright, as its
    EXIF data say.

    Raises:
        DataError: The file is missing, damaged or no image, or its numbers are no grey levels; names it.
        MissingExtra: Pillow is not installed.
    """
    with _opened(source) as image:
        from PIL import Image

        image.load()
        if (held := _orientation(image)) in _UPRIGHT:
            image = image.transpose(Image.Transpose[_UPRIGHT[held]])
        if image.mode == "F":
            raise DataError(f"{name_of(source)} holds floating-point numbers, of which none is white. {_OTHERWISE}")
        if image.mode.startswith("I"):  # which Pillow would cut off at 255
            levels = np.asarray(image)
            for level in (levels.min(), levels.max()):
                if not 0 <= level <= 65535:
                    raise DataError(f"{name_of(source)} holds {level}, but 16 bits end at 65535. {_OTHERWISE}")
            grey = levels.astype(np.float32) / np.float32(65535)
            return np.repeat(grey[..., None], 3, 2) if colour else grey
        if image.has_transparency_data:
            image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA"))
        levels = np.asarray(image.convert("RGB" if colour else "L"), np.float32)
        levels /= np.float32(255)  # in place, for a photograph has hundreds of megabytes in float32
        return levels


def read_frames(source: Source) -> Iterator[np.ndarray]:
    """The frames of an animation, (height, width) float32 each, as of `read_image`; errors too."""
    with _opened(source) as image:
        from PIL import ImageSequence

        for frame in ImageSequence.Iterator(image):
            yield np.asarray(frame.convert("L"), np.float32) / np.float32(255)


def resized(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """An image as `read_image` gives it, at another size: each new pixel the mean of those that it covers, where it
    gets smaller, and in between its neighbours where it gets larger."""
    from PIL import Image

    if image.ndim == 3:
        return np.stack([resized(image[..., c], height, width) for c in range(image.shape[2])], 2)
    if image.shape == (height, width):
        return image
    return np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR), np.float32)


def size_of(source: Source) -> tuple[int, int]:
    """Height and width of an image as `read_image` gives it, of which only the head is read; errors too."""
    with _opened(source) as image:
        width, height = image.size[::-1] if _orientation(image) in _SIDEWAYS else image.size
        return height, width


def read_line_images(files: Sequence[Source], height: int | None = None) -> Sequences:
    """Images of a line of text each, as sequences of their columns from left to right.

    Args:
        files: Image files.
        height: Every image is brought to this height, in pixels, and its width by the same factor. None: `height_for`.

    Returns:
        Per step: `pixels`, (steps, height) float32, from the top; 0 is black. Per sequence: `file`, text.
    """
    height = height or height_for(files)
    columns = []
    for file in files:
        image = read_image(file)
        width = max(1, round(image.shape[1] * height / image.shape[0]))
        if width * height > LEAST_PIXELS:
            raise DataError(
                f"{name_of(file)} is {image.shape[0]} pixels high and {image.shape[1]} wide, which is no line of text. "
                "Leave it out."
            )
        columns.append(resized(image, height, width).T)
    return Sequences(
        offsets_of(map(len, columns)),
        {"pixels": Column("pixels", "number", np.concatenate(columns))},
        {"file": text_column("file", [Path(file).name for file in files])},
        ", ".join(map(name_of, files)) if len(files) < 4 else f"{len(files)} images",
    )


def height_for(files: Sequence[Source]) -> int:
    """The lowest height among the images, for more pixels would only be guessed; but at most 32."""
    return min(HIGHEST, *(size_of(file)[0] for file in files))


@contextmanager
def _opened(source: Source) -> Iterator[Any]:
    """Pillow's image, of which only the head is read yet. Any failure while it is open counts as damage."""
    try:
        from PIL import Image
    except ImportError:
        raise MissingExtra("pillow", "image") from None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what is odd, but does not keep the image from being read
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            # A file rather than its name, for of that Pillow maps the pixels, and scrambles those of a turned TIFF.
            with open_bytes(source) as file:
                most = max(LEAST_PIXELS, MOST_RATIO * file.seek(0, os.SEEK_END))
                with Image.open(file, formats=FORMATS) as image:
                    if image.width * image.height > most:
                        raise DataError(
                            f"{name_of(source)} has {image.width} x {image.height} pixels in a small file; at most "
                            f"{most:,} are read from one of this size. Save it smaller, or leave it out."
                        )
                    yield image
    except DataError:
        raise
    # Decoders of damaged files raise whatever they stumble over.
    except (OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, Warning) as error:
        raise _damaged(source, error) from None
    except Image.DecompressionBombError as error:
        raise _damaged(source, error) from None


def _orientation(image: Any) -> int:
    """How the camera was held, from 1 to 8; 1, upright, where no EXIF data say so. Of TIFF Pillow sees to it itself."""
    from PIL import Image

    exif = Image.Exif()
    try:
        exif.load(image.info.get("exif"))
        return int(exif.get(_ORIENTATION, 1))
    # An image may be intact where its EXIF data are not.
    except (SyntaxError, ValueError, TypeError, KeyError, OSError, struct.error):
        return 1


def _damaged(source: Source, error: BaseException) -> DataError:
    reason = str(error).split("\n")[0].rsplit("'", 1)[-1].strip(" .>") or "it ends too early"
    return DataError(f"{name_of(source)} is not an image that can be read: {reason}. Leave it out, or fetch it again.")
