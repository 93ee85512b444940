"""Plain ways to caption an image, for a captioner to be measured beside."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...data.paired.captions import Captioned
from .. import baselines

_FRAMES = 8  # of a clip that are compared
_AT_ONCE = 512  # images


def most_frequent(captions: Sequence[Sequence[str]]) -> str:
    """The caption that most images have; of equals, the first in alphabetical order."""
    return baselines.most_frequent([caption for some in captions for caption in set(some)])


def nearest(data: Captioned, train: Captioned) -> list[str]:
    """Of each image the first caption of the training image whose pixels differ least, squared and summed; clips are
    compared at moments spread evenly over each."""
    known = [i for i, some in enumerate(train.captions) if some]
    best = np.full(len(data), np.inf)
    found = np.zeros(len(data), np.int64)
    for start in range(0, len(known), _AT_ONCE):
        some = np.array(known[start : start + _AT_ONCE])
        theirs = _pixels(train, some)
        for first in range(0, len(data), _AT_ONCE):
            part = slice(first, min(first + _AT_ONCE, len(data)))
            ours = _pixels(data, np.arange(part.start, part.stop))
            distance = np.square(theirs).sum(1) - 2 * ours @ theirs.T  # and what is the same for all of a row
            near = distance.argmin(1)
            less = distance[np.arange(len(near)), near]
            closer = less < best[part]
            found[part] = np.where(closer, some[near], found[part])
            best[part] = np.where(closer, less, best[part])
    return [train.captions[i][0] for i in found]


def _pixels(data: Captioned, which: np.ndarray) -> np.ndarray:
    """(n, values) float32."""
    moments = np.linspace(0, 1, 1 if data.inputs != "clips" else _FRAMES)
    at = data.offsets[which][:, None] + np.round((data.lengths[which] - 1)[:, None] * moments).astype(np.int64)
    return data.values[at].reshape(len(which), -1).astype(np.float32)
