"""Short clips of a digit that moves, with captions that need time: "a three moves left, then up"."""

from __future__ import annotations

import re
from itertools import permutations

import numpy as np

from ..paired.captions import Captioned, from_arrays

SIDE, FRAMES = 24, 12
DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
DIRECTIONS = {"left": (-1, 0), "right": (1, 0), "up": (0, -1), "down": (0, 1)}  # in x and y, which grows downwards
_ONE = ("a {0} moves {1}", "the digit {0} goes {1}", "a {0} that moves {1} all the time")
_TWO = (
    "a {0} moves {1}, then {2}",
    "the digit {0} goes {1} and then {2}",
    "a {0} moves first {1}, then {2}",
    "first a {0} moves {1}, then it moves {2}",
)
_WORDS = re.compile(rf"\b({'|'.join([*DIGITS, *DIRECTIONS])})\b")

Attributes = dict[str, str]


def moving_digits(images: np.ndarray, labels: np.ndarray, count: int, seed: int = 0, references: int = 3) -> Captioned:
    """Clips with their captions, (count, FRAMES, SIDE, SIDE) uint8.

    Half of them change direction, somewhere in the middle of the clip.

    Args:
        images: (n, h, w) of single digits, from 0 (ground) to their largest value.
        labels: (n,) which digits they are.
        references: Captions of each, at most; all different.
    """
    random = np.random.default_rng(seed)
    clips, captions = np.empty((count, FRAMES, SIDE, SIDE), np.uint8), []
    paths: list[list[tuple[str, ...]]] = [[(way,) for way in DIRECTIONS], list(permutations(DIRECTIONS, 2))]
    for number in range(count):
        which = random.integers(len(images))
        some = paths[random.integers(2)]
        path = some[random.integers(len(some))]
        clips[number] = _moved(images[which] / images.max(), path, random)
        forms = _ONE if len(path) == 1 else _TWO
        chosen = random.permutation(len(forms))[:references]
        captions.append([forms[i].format(DIGITS[labels[which]], *path) for i in chosen])
    return from_arrays(clips, captions, inputs="clips", name="moving digits")


def attributes(caption: str) -> Attributes:
    """What a caption says: the "digit", and its "first" and "second" direction, "none" for no second one."""
    words = _WORDS.findall(caption)
    digits, ways = ([word for word in words if word in known] for known in (DIGITS, DIRECTIONS))
    found = {"digit": digits[0]} if len(digits) == 1 else {}
    return found | ({"first": ways[0], "second": ways[1] if len(ways) == 2 else "none"} if 1 <= len(ways) <= 2 else {})


def _moved(digit: np.ndarray, path: tuple[str, ...], random: np.random.Generator) -> np.ndarray:
    """(FRAMES, SIDE, SIDE) uint8: the digit along the path, from a place where it stays in the picture."""
    turn = FRAMES if len(path) == 1 else random.integers(FRAMES // 2 - 1, FRAMES // 2 + 2)
    ways = np.array([DIRECTIONS[path[0 if frame < turn else -1]] for frame in range(1, FRAMES)])
    steps = np.cumsum(np.concatenate([np.zeros((1, 2)), random.uniform(0.9, 1.3) * ways]), 0)
    room = np.array([SIDE - digit.shape[1], SIDE - digit.shape[0]])
    least, most = -steps.min(0), room - steps.max(0)
    places = np.round(random.uniform(least, most) + steps).astype(int)
    frames = np.abs(random.normal(0, 0.05, (FRAMES, SIDE, SIDE)))
    for frame, (x, y) in zip(frames, places, strict=True):
        frame[y : y + digit.shape[0], x : x + digit.shape[1]] += digit
    return (255 * frames.clip(0, 1)).round().astype(np.uint8)
