"""How signals are varied in training, so that other speakers, hands and recordings are read, too."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from ...data.augmentation import SpecAugment, vary_speech
from ...data.line_augmentation import vary_line
from ...data.readers.strokes import vary_strokes
from ...data.sequences import Sequences
from ...decoding.ctc import steps_needed
from .frames import Frames
from .reading import medium_of
from .sizing import Sizing

_RISING = 0.6  # share of the training in which recordings are varied more and more


@dataclass(frozen=True)
class Variation:
    """What is done to a sequence of the training data each time it is learned from.

    Attributes:
        frames: How sequences are read.
        medium: What they are; see `reading.medium_of`. Numbers of no known meaning are not varied.
        strength: How much they are varied at most, as what they are; 0 leaves them.
        hiding: What hides and warps the normalised frames, whatever they are.
        rising: Epochs until signals are varied by as much as that; before, it is the less the earlier it is.
    """

    frames: Frames
    medium: str
    strength: float
    hiding: SpecAugment
    rising: float = 0.0

    @classmethod
    def of(cls, frames: Frames, data: Sequences, sizes: Sizing) -> Self:
        hiding = SpecAugment(sizes.time_warp, sizes.frequency_mask, sizes.time_mask)
        medium = medium_of(data)
        # CTC has to find out first what of a recording is which character, which it does much sooner by plain ones.
        rising = _RISING * sizes.epochs if medium == "sound" else 0.0
        return cls(frames, medium, sizes.augmentation, hiding, rising)

    def __call__(
        self, one: Sequences, scaled: np.ndarray, labels: np.ndarray, epoch: int, random: np.random.Generator
    ) -> np.ndarray:
        """Normalised frames (F', C) of one sequence, varied; always as many as its labels need.

        Args:
            one: The sequence.
            scaled: Its standardised frames, (F, C).
            labels: Of its text.
            epoch: From 0.
        """
        strength = self.strength * min(1.0, epoch / self.rising if self.rising else 1.0)
        if strength:
            # By anything from 0 up: what is always changed by as much is learned far more slowly.
            scaled = self._varied(one, scaled, labels.tolist(), strength * random.random(), random)
        return self.hiding(self.frames.normalised(scaled), random)

    def _varied(
        self, one: Sequences, scaled: np.ndarray, labels: list[int], strength: float, random: np.random.Generator
    ) -> np.ndarray:
        if self.medium == "numbers":
            return scaled
        if self.medium == "strokes":
            return self.frames.scaled(vary_strokes(one, random, strength, in_order=len(labels) > 1))
        mean, scale = np.array(self.frames.mean, np.float32), np.array(self.frames.scale, np.float32)
        least = min(len(scaled), steps_needed(labels) * self.frames.stack)
        if self.medium == "sound":
            return vary_speech(scaled, rng=random, strength=strength, mean=mean, scale=scale, least=least)
        pixels = vary_line(scaled * scale + mean, rng=random, strength=strength, least=least)
        return np.asarray((pixels - mean) / scale, np.float32)
