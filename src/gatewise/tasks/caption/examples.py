"""Images and their captions side by side, as a network reads them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...data.batches import Epochs, in_batches
from ...data.paired.captions import Captioned


def frames(data: Captioned, images: np.ndarray) -> dict[str, np.ndarray]:
    """What `architecture.encode` reads of these images."""
    some = data.take(images)
    return {"frames": some.values, "lengths": some.lengths}


class CaptionedBatches:
    """Images and the tokens of their captions, batch by batch.

    Args:
        data: Images; those without captions are left out.
        captions: The tokens of each caption of each image, without start and end.
        start, end: Tokens before and after a caption.
        batch_size: Images side by side.
        seed: Of the order; every epoch then trains on one caption of each image, drawn at random. None: images in their
            order, each with all of its captions.
    """

    def __init__(
        self,
        data: Captioned,
        captions: Sequence[Sequence[np.ndarray]],
        *,
        start: int,
        end: int,
        batch_size: int,
        seed: int | None = None,
    ):
        self.data, self.captions, self.start, self.end = data, captions, start, end
        self.batch_size, self.seed = batch_size, seed
        self._captioned = np.array([i for i, some in enumerate(captions) if some], np.int64)
        self._epochs = Epochs(-(-len(self._captioned) // batch_size), self._draw, seed)

    def __len__(self) -> int:
        return len(self._epochs)

    def at(self, step: int) -> dict[str, np.ndarray]:
        images, draws = self._epochs.at(step)
        if draws is None:
            rows = np.repeat(np.arange(len(images)), [len(self.captions[i]) for i in images])
            return self.batch(images, rows, [some for i in images for some in self.captions[i]])
        which = [int(draw * len(self.captions[i])) for i, draw in zip(images, draws, strict=True)]
        captions = [self.captions[i][k] for i, k in zip(images, which, strict=True)]
        return self.batch(images, np.arange(len(images)), captions)

    def _draw(self, random: np.random.Generator | None) -> list[tuple[np.ndarray, np.ndarray | None]]:
        """The images of each batch, and for each a number from 0 to 1 that chooses its caption; None: all of them."""
        if random is None:
            return [(images, None) for images in in_batches(self._captioned, self.batch_size)]
        order, draws = random.permutation(self._captioned), random.random(len(self._captioned))
        return list(zip(*(in_batches(some, self.batch_size) for some in (order, draws)), strict=True))

    def batch(self, images: np.ndarray, rows: np.ndarray, captions: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
        """Arrays of these images, and of captions (R of them) of the images at `rows`."""
        lengths = np.array([len(caption) + 1 for caption in captions])
        inputs = np.full((lengths.max(), len(captions)), self.end, np.int64)
        targets = np.full((lengths.max(), len(captions)), -1, np.int64)
        for row, caption in enumerate(captions):
            inputs[: len(caption) + 1, row] = [self.start, *caption]
            targets[: len(caption) + 1, row] = [*caption, self.end]
        arrays = {"rows": rows, "inputs": inputs, "targets": targets, "target_lengths": lengths}
        return {**frames(self.data, images), **arrays}
