"""Baselines of captioning: the most frequent caption, and that of the most similar image."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...data.paired.captions import Captioned
from ...metrics.text import text_scores
from .. import baselines

_FRAMES = 8  # of a clip that are compared
_IMAGES = 512  # that are compared at a time


def most_frequent(captions: Sequence[Sequence[str]]) -> str:
    """The caption that most images have; of several, the first in alphabetical order."""
    return baselines.most_frequent([caption for some in captions for caption in set(some)])


def nearest(data: Captioned, train: Captioned) -> list[str]:
    """For each image the first caption of the training image whose pixels differ least, in squared distance; clips are
    compared at moments spread evenly over each."""
    known = [i for i, some in enumerate(train.captions) if some]
    best = np.full(len(data), np.inf)
    found = np.zeros(len(data), np.int64)
    for start in range(0, len(known), _IMAGES):
        some = np.array(known[start : start + _IMAGES])
        theirs = _pixels(train, some)
        for first in range(0, len(data), _IMAGES):
            part = slice(first, min(first + _IMAGES, len(data)))
            ours = _pixels(data, np.arange(part.start, part.stop))
            distance = np.square(theirs).sum(1) - 2 * ours @ theirs.T  # and what is the same for all of a row
            near = distance.argmin(1)
            less = distance[np.arange(len(near)), near]
            closer = less < best[part]
            found[part] = np.where(closer, some[near], found[part])
            best[part] = np.where(closer, less, best[part])
    return [train.captions[i][0] for i in found]


def evaluate_baselines(
    data: Captioned, train: Captioned | None, most_frequent_caption: str
) -> dict[str, dict[str, float]]:
    """Scores of the baselines.

    Args:
        data: Images with captions.
        train: For `nearest`, which is left out without it.
        most_frequent_caption: Of training.
    """
    predicted = {"most frequent": [most_frequent_caption] * len(data)}
    if train is not None:
        predicted["nearest image"] = nearest(data, train)
    return {name: text_scores(texts, data.captions) for name, texts in predicted.items()}


def _pixels(data: Captioned, which: np.ndarray) -> np.ndarray:
    """(n, values) float32."""
    moments = np.linspace(0, 1, 1 if data.inputs != "clips" else _FRAMES)
    at = data.offsets[which][:, None] + np.round((data.lengths[which] - 1)[:, None] * moments).astype(np.int64)
    return data.values[at].reshape(len(which), -1).astype(np.float32)
