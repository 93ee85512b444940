"""SpecAugment: features varied in training, as if time ran unevenly and bands or moments were not heard.

Source: Park et al. (2019), "SpecAugment", Interspeech, section 2; its mask sizes, there in frames and bands of one
corpus, are shares here. Two masks of either kind, as in its policies LD and SM.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_MASKS = 2


@dataclass(frozen=True)
class SpecAugment:
    """Attributes:
    warp: Largest share of the frames by which a moment is moved forward or back, what lies around it stretched.
    bands: Largest share of the bands that a mask hides.
    time: Largest share of the frames that a mask hides.
    """

    warp: float
    bands: float
    time: float

    def __call__(self, frames: np.ndarray, random: np.random.Generator) -> np.ndarray:
        """Frames (F, C) varied; where nothing is heard they are 0, the mean of normalised ones."""
        F, C = frames.shape
        if self.warp and F > 2:
            frames = _warped(frames, self.warp, random)
        found = frames.copy()
        for axis, size, share in ((1, C, self.bands), (0, F, self.time)):
            for _ in range(_MASKS if share else 0):
                width = int(random.integers(0, int(share * size) + 1))
                first = int(random.integers(0, size - width + 1))
                found[(slice(None),) * axis + (slice(first, first + width),)] = 0
        return found


def _warped(frames: np.ndarray, share: float, random: np.random.Generator) -> np.ndarray:
    """As many frames, read from other places: a moment near the middle is moved, the ends stay where they are."""
    last = len(frames) - 1
    moment = random.uniform(share, 1 - share) * last
    moved = moment + random.uniform(-share, share) * last
    places = np.interp(np.arange(len(frames)), [0, moved, last], [0, moment, last])
    before = np.minimum(places.astype(np.int64), last - 1)
    part = (places - before).astype(np.float32)[:, None]
    return np.asarray(frames[before] * (1 - part) + frames[before + 1] * part)
