"""Which images train, validate and test."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePosixPath

import numpy as np

from ...data.groups import numbered
from ...data.paired.captions import Captioned
from ...data.split import PARTS, shuffled_split, split
from ...errors import DataError, OptionError


def part_sizes(data: Captioned, listed: Sequence[int], shares: Sequence[float], validated_apart: bool) -> list[int]:
    """How many images train, validate and test.

    Args:
        listed: Images of each list that was given; empty if there were none.
        shares: Of the parts, without lists.
        validated_apart: Whether validation data was given beside these, which then train all.
    """
    if len(listed) > 3:
        raise OptionError(f"lists names {len(listed)} files, but there are three parts: training, validation, test")
    if listed:
        return [*listed, 0, 0][:3]
    if validated_apart:
        return [len(data), 0, 0]
    return [part.stop - part.start for part in split(len(data), shares)]


def split_images(
    data: Captioned, sizes: Sequence[int], listed: bool, seed: int, group: Sequence[str] = ()
) -> dict[str, Captioned]:
    """The parts that are not empty, by name: one after the other where lists were given, else drawn at random.

    Args:
        group: The option: "folder" keeps the images of a folder in one part.

    Raises:
        DataError: There is nothing to learn from.
        OptionError: The group is another one, or there are too few folders.
    """
    if group:
        return _by_folder(data, sizes, listed, seed, group)
    order = np.random.default_rng(seed).permutation(len(data))
    if listed or sizes[0] == len(data):
        order = np.arange(len(data))
    pieces = np.split(order[: sum(sizes)], np.cumsum(sizes)[:-1])
    parts = {name: data.take(piece) for name, piece in zip(PARTS, pieces, strict=True) if len(piece)}
    if "train" not in parts:
        raise DataError(f"{data.name}: no image is left to learn from. Give more, or a larger share in split")
    return parts


def _by_folder(
    data: Captioned, sizes: Sequence[int], listed: bool, seed: int, group: Sequence[str]
) -> dict[str, Captioned]:
    if tuple(group) != ("folder",) or listed:
        why = "lists say already what is in which part" if listed else "images have no columns"
        raise OptionError(
            f"group='{','.join(group)}': {why}. group='folder', without lists, keeps the images of a folder together"
        )
    folders = [PurePosixPath(name).parent.as_posix() for name in data.names]
    groups = numbered(folders, "folder", data.name, sizes)
    places = shuffled_split(len(data), [size / sum(sizes) for size in sizes], seed, groups=groups)
    return {name: data.take(some) for name, some in places.items() if len(some)}
