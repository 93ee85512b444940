"""The plain regression beside a tagger's network: linear in what `Windows` reads, with scores for neighbouring labels
where steps ahead may be read.

Letters: n steps, K outputs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Self

import numpy as np

from ...decoding.viterbi import FORBIDDEN, Chain, viterbi
from ..fields import real
from .features import Encoded, Features
from .targets import Targets
from .windows import Windows

MOST_WEIGHTS = 1 << 22  # 16 MB in the model file


@dataclass(frozen=True)
class Linear:
    """A learned regression.

    Attributes:
        windows: What it reads.
        buckets: (m,) uint32, ascending: the hashed values that it knows.
        table: (m, K) their weights.
        rest: (F, K) weights of the numbers.
        bias: (K,).
        chain: Scores of neighbouring labels; None where each step is decided alone.
    """

    windows: Windows
    buckets: np.ndarray
    table: np.ndarray
    rest: np.ndarray
    bias: np.ndarray
    chain: Chain | None

    def name(self, targets: Targets) -> str:
        """In reports."""
        if not targets.classes:
            return "linear regression"
        return "linear CRF" if self.chain is not None else "logistic regression"

    def scores(self, data: Encoded, features: Features, rows: np.ndarray | None = None) -> np.ndarray:
        """(n, K) of each label at each step, or at these steps, ascending; or standardised numbers.

        Sums run over one feature after another, whatever the number of steps, so that a stream gets the same bits.
        """
        total = np.tile(self.bias.astype(np.float64), (int(data.offsets[-1]) if rows is None else len(rows), 1))
        if len(self.buckets):
            weights = np.concatenate([self.table, np.zeros((1, len(self.bias)), np.float32)])
            hashes = self.windows.hashes(data)
            for place in self.numbered(hashes if rows is None else hashes[rows]).T:
                total += weights[place]
        if len(self.rest):
            first = 0
            for some in self.windows.numbers(data, features, rows):
                own = total[first : first + len(some)]
                for column, weights in zip(some.T, self.rest, strict=True):
                    own += column[:, None] * weights
                first += len(some)
        return total

    def numbered(self, hashes: np.ndarray) -> np.ndarray:
        """The places of hashed values among those that it knows; m of one that it does not know."""
        return numbered(hashes, self.buckets)

    # The model file.

    def tensors(self) -> dict[str, np.ndarray]:
        found = {
            "buckets": self.buckets.astype(np.int64),
            "table": self.table,
            "rest": self.rest,
            "bias": self.bias,
        }
        chain = self.chain
        if chain is not None:
            found |= {"start": chain.start, "transitions": chain.transitions, "end": chain.end}
        return {
            name: np.ascontiguousarray(array, None if name == "buckets" else np.float32)
            for name, array in found.items()
        }

    @staticmethod
    def shapes(windows: Windows, features: Features, targets: Targets) -> dict[str, tuple[int | None, ...]]:
        """Of what `tensors` gives."""
        K = targets.outputs
        found: dict[str, tuple[int | None, ...]] = {
            "buckets": (None,),
            "table": (None, K),
            "rest": (windows.width(features), K),
            "bias": (K,),
        }
        return found | ({"start": (K,), "transitions": (K, K), "end": (K,)} if windows.chained else {})

    @classmethod
    def from_tensors(cls, windows: Windows, tensors: Mapping[str, np.ndarray]) -> Self:
        """What `tensors` gave. ValueError if it cannot be that."""
        given: dict[str, Any] = dict(tensors)
        buckets = given["buckets"]
        if len(buckets) != len(given["table"]) or buckets.dtype.kind != "i" or not _rising(buckets):
            raise ValueError(f"the {len(given['table'])} hashed values of its regression do not have a place each")
        chain = Chain(given.pop("start"), given.pop("transitions"), given.pop("end")) if "start" in given else None
        return cls(windows, **{**given, "buckets": buckets.astype(np.uint32)}, chain=chain)


def numbered(hashes: np.ndarray, buckets: np.ndarray) -> np.ndarray:
    """See `Linear.numbered`."""
    found = np.searchsorted(buckets, hashes)
    known = buckets[np.minimum(found, len(buckets) - 1)] == hashes
    return np.where(known, found, len(buckets))


def _rising(buckets: np.ndarray) -> bool:
    inside = not len(buckets) or (buckets[0] >= 0 and buckets[-1] < 1 << 32)
    return bool(inside and (np.diff(buckets) > 0).all())


@dataclass(frozen=True)
class Blend:
    """How network and regression predict together: their scores are added, each with its share, and so are those that a
    CRF gives to neighbouring labels. With a share of 0 or 1, one of them predicts alone.

    Attributes:
        share: Of the network.
        bias: What is subtracted from the sum for "outside", the label outside all spans. With a share of 1, the network
            has its own.
        plain_bias: The same for the regression alone.
    """

    share: Annotated[float, real("from 0 to 1", lambda v: 0 <= v <= 1)] = 1.0
    bias: float = 0.0
    plain_bias: float = 0.0


def decided(
    scores: np.ndarray, offsets: np.ndarray, chain: Chain | None, targets: Targets, bias: float = 0.0
) -> np.ndarray:
    """(n,) the index of the best label of each step; or the numbers, (n,) or (n, K), as they are.

    Args:
        scores: (n, K).
        bias: What is subtracted from the score of the label outside all spans.
    """
    if not targets.classes:
        return scores if targets.columns else scores[:, 0]
    if targets.outside is not None and bias:
        scores = scores.copy()
        scores[:, targets.outside] -= bias
    return scores.argmax(1) if chain is None else viterbi(scores, offsets, chain)


def blended(network: np.ndarray | None, plain: np.ndarray | None, share: float) -> np.ndarray:
    """(n, K) scores of which `share` is the network's; whose share is 0 may be None."""
    if network is None or plain is None or share in (0.0, 1.0):
        found = plain if network is None or share == 0 else network
        assert found is not None
        return found
    return share * network + (1 - share) * plain


def mixed(one: Chain | None, other: Chain | None, share: float, outputs: int) -> Chain | None:
    """Scores of neighbours of which `share` is those of `one`, and the rest those of `other`."""
    if (one is None and other is None) or share in (0.0, 1.0):
        return one if share else other
    none = Chain(np.zeros(outputs), np.zeros((outputs, outputs)), np.zeros(outputs))
    a, b = one or none, other or none
    both = ((a.start, b.start), (a.transitions, b.transitions), (a.end, b.end))
    return Chain(*(_mean(x, y, share) for x, y in both))


def _mean(x: np.ndarray, y: np.ndarray, share: float) -> np.ndarray:
    forbidden = np.minimum(x, y) <= FORBIDDEN
    found: np.ndarray = np.where(forbidden, FORBIDDEN, share * x.astype(np.float64) + (1 - share) * y)
    return found
