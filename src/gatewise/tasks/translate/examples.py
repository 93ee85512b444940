"""Pairs of texts side by side, as a network reads them.

S tokens of the longest source, T of the longest target with its end, B pairs side by side.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from ...data.batches import Epochs
from ...errors import DataError
from .texts import padded


class PairBatches:
    """Pairs as batches of arrays, those of about one length together.

    Every epoch shuffles the pairs of the same target length and takes the batches in another order; how many pairs of
    each length a batch holds stays, so that all epochs have as many batches.

    Args:
        sources, targets: Ids of each pair.
        edge: As of `Texts`.
        batch_tokens: Target tokens of a batch, padding included; at least one pair.
        seed: Of the order; None for the same each time.
    """

    def __init__(
        self,
        sources: Sequence[np.ndarray],
        targets: Sequence[np.ndarray],
        *,
        edge: int,
        batch_tokens: int,
        seed: int | None = None,
    ):
        if not sources:
            raise DataError("there is no pair to learn from")
        self.sources, self.targets, self.edge, self.seed = sources, targets, edge, seed
        self._lengths = np.array([len(target) + 1 for target in targets])
        self._source_lengths = np.array([len(source) for source in sources])
        ordered = np.sort(self._lengths)
        self._cuts = [0]
        for place, length in enumerate(ordered):
            if length * (place + 1 - self._cuts[-1]) > batch_tokens and place > self._cuts[-1]:
                self._cuts.append(place)
        self._cuts.append(len(ordered))
        self._epochs = Epochs(len(self._cuts) - 1, self._draw, seed)

    def __len__(self) -> int:
        return len(self._epochs)

    def at(self, step: int) -> dict[str, np.ndarray]:
        return self.batch(self._epochs.at(step))

    def _draw(self, random: np.random.Generator | None) -> list[np.ndarray]:
        """The pairs of each batch."""
        among_equals = self._source_lengths if random is None else random.random(len(self._lengths))
        order = np.lexsort((among_equals, self._lengths))
        batches = [order[start:stop] for start, stop in pairwise(self._cuts)]
        return batches if random is None else [batches[i] for i in random.permutation(len(batches))]

    def batch(self, which: np.ndarray) -> dict[str, np.ndarray]:
        """Arrays of these pairs, time-major: "source" (S, B) and "lengths" (B,); "inputs" and "targets" (T, B), the
        latter -1 after the end, and "target_lengths" (B,) including the end."""
        lengths = self._lengths[which]
        inputs = np.full((int(lengths.max()), len(which)), self.edge)
        targets = np.full(inputs.shape, -1)
        for column, ids in enumerate(self.targets[i] for i in which):
            inputs[1 : len(ids) + 1, column] = ids
            targets[: len(ids), column] = ids
            targets[len(ids), column] = self.edge
        sources = padded([self.sources[i] for i in which])
        return {**sources, "inputs": inputs, "targets": targets, "target_lengths": lengths}
