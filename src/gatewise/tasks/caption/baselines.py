"""Baselines of captioning: the most frequent caption, and that of the most similar image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Self

import numpy as np

from ...data.paired.captions import Captioned
from ...errors import ModelFileError
from ...metrics.text import text_scores
from .. import baselines
from ..baselines import MOST_FREQUENT, packed, unpacked

NEAREST = "nearest image"
_SIDE = 12  # pixels of the small pictures that are compared
_MOST_VALUES = 2_000_000  # in the pictures that a model's file holds; of more images, every so many
_MOST_CHOOSING = 500  # validation images that choose the strongest method

_FRAMES = 8  # of a clip that are compared
_IMAGES = 256  # that are compared at a time


def most_frequent(captions: Sequence[Sequence[str]]) -> str:
    """The caption that most images have; of several, the first in alphabetical order."""
    return baselines.most_frequent([caption for some in captions for caption in set(some)])


def nearest(data: Captioned, train: Captioned) -> list[str]:
    """For each image the first caption of the training image whose small picture differs least, in squared distance;
    see `pictures`."""
    known = np.array([i for i, some in enumerate(train.captions) if some], np.int64)
    rows = _nearest_rows(data, pictures(train, known))
    return [train.captions[known[row]][0] for row in rows]


def pictures(data: Captioned, which: np.ndarray) -> np.ndarray:
    """(n, values) float32: of each image means of at most `_SIDE` by `_SIDE` areas, of clips of moments spread evenly
    over each, of features their mean over the places."""
    found = [_pooled(data, which[start : start + _IMAGES]) for start in range(0, len(which), _IMAGES)]
    return np.concatenate(found) if found else np.zeros((0, 1), np.float32)


@dataclass(frozen=True)
class Plain:
    """What the plain methods know.

    Attributes:
        most_frequent: The most frequent caption.
        pictures: (n, values) of training images, see `pictures`; at most `_MOST_VALUES` in all.
        captions: The first caption of each.
        strongest: The method with the highest BLEU on the validation images; None if there were none.
        validated: That BLEU, where it was learned just now.
    """

    most_frequent: str
    pictures: np.ndarray = field(compare=False)
    captions: tuple[str, ...]
    strongest: str | None = None
    validated: float | None = field(default=None, compare=False)

    @classmethod
    def learn(cls, train: Captioned, held_out: Captioned | None) -> Self:
        """From training images; the strongest method chosen on held-out ones, if there are any."""
        known = np.array([i for i, some in enumerate(train.captions) if some], np.int64)
        values = pictures(train, known[:1]).shape[1]
        known = known[:: max(1, -(-len(known) * values // _MOST_VALUES))]
        captions = tuple(train.captions[i][0] for i in known)
        plain = cls(most_frequent(train.captions), pictures(train, known), captions)
        if held_out is None or not any(held_out.captions):
            return plain
        some = held_out.take(np.flatnonzero([bool(captions) for captions in held_out.captions])[:_MOST_CHOOSING])
        scores = {name: text_scores(texts, some.captions)["bleu"] for name, texts in plain.predictions(some).items()}
        best = max(scores, key=lambda name: scores[name])
        vars(plain).update(strongest=best, validated=scores[best])
        return plain

    def predict(self, data: Captioned, method: str | None = None) -> list[str]:
        """A caption of each image, by the strongest method if none is named."""
        if (method or self.strongest or NEAREST) == MOST_FREQUENT or not self.captions:
            return [self.most_frequent] * len(data)
        return [self.captions[row] for row in _nearest_rows(data, self.pictures)]

    def predictions(self, data: Captioned) -> dict[str, list[str]]:
        """Of each method."""
        return {name: self.predict(data, name) for name in (MOST_FREQUENT, NEAREST)}

    def tensors(self) -> dict[str, np.ndarray]:
        """What the model file holds of it, beside the most frequent caption and the name of the strongest."""
        return {"pictures": self.pictures, **packed(self.captions)}

    @classmethod
    def restore(cls, tensors: dict[str, np.ndarray], most_frequent_caption: str, strongest: str | None) -> Self:
        """Undo `tensors`. ModelFileError if they contradict each other."""
        captions, found = unpacked(tensors), tensors["pictures"]
        if len(captions) != len(found) or found.dtype != np.float32:
            raise ModelFileError(f"plain.pictures has {len(found)} pictures for {len(captions)} captions")
        if strongest not in (None, MOST_FREQUENT, NEAREST):
            raise ModelFileError(f"plain.strongest is {strongest!r:.40}, which is none of its methods")
        return cls(most_frequent_caption, found, captions, strongest)


def evaluate_baselines(
    data: Captioned, train: Captioned | None, most_frequent_caption: str
) -> dict[str, dict[str, float]]:
    """Scores of the plain methods beside a model of before, whose file does not hold them.

    Args:
        data: Images with captions.
        train: For `nearest`, which is left out without it.
        most_frequent_caption: Of training.
    """
    predicted = {MOST_FREQUENT: [most_frequent_caption] * len(data)}
    if train is not None:
        predicted[NEAREST] = nearest(data, train)
    return {name: text_scores(texts, data.captions) for name, texts in predicted.items()}


def _nearest_rows(data: Captioned, theirs: np.ndarray) -> np.ndarray:
    """(N,) the row of `theirs` that is nearest to each image."""
    found, lengths = np.zeros(len(data), np.int64), np.square(theirs).sum(1)
    for start in range(0, len(data), _IMAGES):
        part = np.arange(start, min(start + _IMAGES, len(data)))
        # Less what is the same for all of a row.
        found[part] = (lengths - 2 * pictures(data, part) @ theirs.T).argmin(1)
    return found


def _pooled(data: Captioned, which: np.ndarray) -> np.ndarray:
    moments = np.linspace(0, 1, 1 if data.inputs != "clips" else _FRAMES)
    at = data.offsets[which][:, None] + np.round((data.lengths[which] - 1)[:, None] * moments).astype(np.int64)
    values = data.values[at.ravel()].astype(np.float32)
    if data.inputs == "features":
        values = values.mean(1)
    else:
        for axis in (1, 2):
            size = values.shape[axis]
            edges = np.linspace(0, size, min(size, _SIDE) + 1).astype(np.int64)
            shape = [1] * values.ndim
            shape[axis] = -1
            values = np.add.reduceat(values, edges[:-1], axis) / np.diff(edges).reshape(shape).astype(np.float32)
    return values.reshape(len(which), -1)
