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


@dataclass(frozen=True)
class Variation:
    """What is done to a sequence of the training data each time it is learned from.

    Attributes:
        frames: How sequences are read.
        medium: What they are; see `reading.medium_of`. Numbers of no known meaning are not varied.
        strength: How much they are varied at most, as what they are; 0 leaves them.
        hiding: What hides and warps the normalised frames, whatever they are.
    """

    frames: Frames
    medium: str
    strength: float
    hiding: SpecAugment

    @classmethod
    def of(cls, frames: Frames, data: Sequences, sizes: Sizing) -> Self:
        hiding = SpecAugment(sizes.time_warp, sizes.frequency_mask, sizes.time_mask)
        return cls(frames, medium_of(data), sizes.augmentation, hiding)

    def __call__(
        self, one: Sequences, scaled: np.ndarray, labels: np.ndarray, random: np.random.Generator
    ) -> np.ndarray:
        """Normalised frames (F', C) of one sequence, varied; always as many as its labels need.

        Args:
            one: The sequence.
            scaled: Its standardised frames, (F, C).
            labels: Of its text.
        """
        if self.strength:
            scaled = self._varied(one, scaled, labels.tolist(), random)
        return self.hiding(self.frames.normalised(scaled), random)

    def _varied(self, one: Sequences, scaled: np.ndarray, labels: list[int], random: np.random.Generator) -> np.ndarray:
        if self.medium == "numbers":
            return scaled
        # By anything from 0 up: among signals that are all changed by as much, CTC takes far longer to find alignments.
        strength = self.strength * random.random()
        if self.medium == "strokes":
            return self.frames.scaled(vary_strokes(one, random, strength, in_order=len(labels) > 1))
        mean, scale = np.array(self.frames.mean, np.float32), np.array(self.frames.scale, np.float32)
        least = min(len(scaled), steps_needed(labels) * self.frames.stack)
        if self.medium == "sound":
            return vary_speech(scaled, rng=random, strength=strength, mean=mean, scale=scale, least=least)
        pixels = vary_line(scaled * scale + mean, rng=random, strength=strength, least=least)
        return np.asarray((pixels - mean) / scale, np.float32)
