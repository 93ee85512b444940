"""Images with captions as batches of tensors, and captions written for them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from ...data.batches import Epochs, in_batches
from ...data.paired.captions import Captioned
from ...decoding.beam_search import Hypothesis, decode
from ...decoding.options import Decoding
from ..attention_decoder import Batch, Steps, together
from .network import CaptionNetwork


class Pictures:
    """Images and the tokens of their captions, batch by batch.

    Args:
        data: What is looked at.
        tokens: Of each image, of each of its captions, the tokens between start and end.
        start, end: Tokens around a caption.
        batch_size: Images side by side.
        seed: Of the order; every pass then learns from one caption of each image, drawn at random. None: images in
            their order, each with all of its captions.
    """

    def __init__(
        self,
        data: Captioned,
        tokens: Sequence[Sequence[np.ndarray]],
        start: int,
        end: int,
        batch_size: int,
        seed: int | None = None,
    ):
        self.data, self.tokens, self.start, self.end = data, tokens, start, end
        self.batch_size, self.seed = batch_size, seed
        self._with = np.array([i for i, some in enumerate(tokens) if some], np.int64)  # captions, that is
        self._epochs = Epochs(-(-len(self._with) // batch_size), self._drawn, seed)

    def __len__(self) -> int:
        return len(self._epochs)

    def at(self, step: int) -> Batch:
        images, draws = self._epochs.at(step)
        if draws is None:
            rows = np.repeat(np.arange(len(images)), [len(self.tokens[i]) for i in images])
            return self.batch(images, rows, [some for i in images for some in self.tokens[i]])
        which = [int(draw * len(self.tokens[i])) for i, draw in zip(images, draws, strict=True)]
        captions = [self.tokens[i][k] for i, k in zip(images, which, strict=True)]
        return self.batch(images, np.arange(len(images)), captions)

    def _drawn(self, random: np.random.Generator | None) -> list[tuple[np.ndarray, np.ndarray | None]]:
        """The images of each batch, and for each a number from 0 to 1 that chooses its caption; None: all of them."""
        if random is None:
            return [(images, None) for images in in_batches(self._with, self.batch_size)]
        order, draws = random.permutation(self._with), random.random(len(self._with))
        return list(zip(*(in_batches(some, self.batch_size) for some in (order, draws)), strict=True))

    def batch(self, images: np.ndarray, rows: np.ndarray, captions: Sequence[np.ndarray]) -> Batch:
        """Tensors of these images, and of captions (R of them) of the images at `rows`."""
        lengths = np.array([len(caption) + 1 for caption in captions])
        inputs = np.full((lengths.max(), len(captions)), self.end, np.int64)
        targets = np.full((lengths.max(), len(captions)), -1, np.int64)
        for row, caption in enumerate(captions):
            inputs[: len(caption) + 1, row] = [self.start, *caption]
            targets[: len(caption) + 1, row] = [*caption, self.end]
        return {
            **frames(self.data, images),
            "rows": torch.from_numpy(rows),
            "inputs": torch.from_numpy(inputs),
            "targets": torch.from_numpy(targets),
            "target_lengths": torch.from_numpy(lengths),
        }


def frames(data: Captioned, images: np.ndarray) -> Batch:
    """Tensors of these images, without captions."""
    some = data.take(images)
    return {"frames": torch.from_numpy(some.values), "lengths": torch.from_numpy(some.lengths)}


@torch.no_grad()
def written(
    network: CaptionNetwork,
    data: Captioned,
    start: int,
    end: int,
    options: Decoding,
    longest: int,
    forbidden: Sequence[int],
    batch_size: int = 64,
) -> list[list[Hypothesis]]:
    """Captions of each image, the best first.

    Args:
        longest: Most words of a caption.
    """
    found: list[list[Hypothesis]] = []
    for first in range(0, len(data), batch_size):
        images = np.arange(first, min(first + batch_size, len(data)))
        filled = np.resize(images, -(-len(images) // together()) * together())  # see `Steps`
        found += decode(
            Steps(network, frames(data, filled), options.width),
            len(images),
            start,
            end,
            options,
            limits=np.full(len(images), longest),
            forbidden=[start, *forbidden],
            lengths=data.lengths[images] * int(np.prod(network.eye.map)),
        )
    return found
