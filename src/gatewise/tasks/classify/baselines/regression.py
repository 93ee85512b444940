"""Logistic regression of classes or labels, and linear regression of numbers, on simple features.

It reads which words and pairs of words (or runs of one to three characters) a text has, and of each number in a
sequence its mean, standard deviation, least, greatest, first and last value. It does not read the order of steps.

Letters: B sequences, n buckets, F other features, K outputs.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from ....data.sequences import Sequences
from ....runtime.products import by_row
from ..inputs import Inputs, Text, pieces
from ..targets import Targets
from .method import Shapes

BUCKETS = 1 << 17  # for hashed words and pairs: of some 100,000 in a small data set, most have a bucket of their own
_PIECE = 512

Features = tuple[np.ndarray, np.ndarray, np.ndarray]  # buckets (n,), how many per sequence (B,), others (B, F)


@dataclass(frozen=True)
class Regression:
    """The regression, learned.

    Every model has one. It is no `Method`, for model files hold it without a key, and older ones have no `buckets`.

    Attributes:
        buckets: (n,) the buckets of words and pairs that it reads, ascending.
        words: (n, K) their weights.
        rest: (F, K) weights of the other features.
        bias: (K,).
    """

    buckets: np.ndarray
    words: np.ndarray
    rest: np.ndarray
    bias: np.ndarray

    def outputs(self, inputs: Inputs, targets: Targets, data: Sequences, rows: np.ndarray) -> np.ndarray:
        """(B, K): probabilities, or standardised numbers, as the networks give them."""
        return targets.activated(self.scores(inputs, data, rows))

    def scores(self, inputs: Inputs, data: Sequences, rows: np.ndarray) -> np.ndarray:
        """(B, K), before they are probabilities."""
        parts = []
        for places, counts, rest in features_of(inputs, data, rows):
            total = by_row(rest, self.rest) + self.bias
            known, kept, weights = renumbered(places, counts, self.buckets)
            row = np.repeat(np.arange(len(kept)), kept)
            np.add.at(total, row, self.words[known] * weights[:, None])
            parts.append(total)
        return np.concatenate(parts)

    def tensors(self) -> dict[str, np.ndarray]:
        """For the model file."""
        return {**vars(self), "buckets": self.buckets.astype(np.int32)}

    @staticmethod
    def shapes(inputs: Inputs, targets: Targets, chosen: bool) -> Shapes:
        """Of what `tensors` gives.

        Args:
            chosen: Whether buckets are chosen; older files have all of them, and no list.
        """
        K, levels = targets.outputs, sum(len(column.levels) + 1 for column in inputs.categories)
        others = 1 + 6 * replace(inputs, stride=1).width + levels
        found: Shapes = {"rest": (others, K), "bias": (K,)}
        if chosen:
            return {**found, "buckets": (None,), "words": (None, K)}
        return {**found, "words": (BUCKETS if inputs.text is not None else 0, K)}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, np.ndarray]) -> Self:
        """What `tensors` gave. ValueError if it cannot be that."""
        words, rest, bias = (np.asarray(tensors[name], np.float32) for name in ("words", "rest", "bias"))
        buckets = tensors.get("buckets", np.arange(len(words)))  # older files have them all
        if len(buckets) != len(words) or not _rising(buckets):
            raise ValueError(f"the {len(words)} words of the regression do not have a bucket each")
        return cls(buckets, words, rest, bias)


def regression_name(kind: str) -> str:
    return "linear regression" if kind == "number" else "logistic regression"


def _rising(buckets: np.ndarray) -> bool:
    """Whether these are buckets, each one once and in order."""
    inside = not len(buckets) or (buckets[0] >= 0 and buckets[-1] < BUCKETS)
    return bool(inside and buckets.dtype.kind == "i" and (np.diff(buckets) > 0).all())


def features_of(inputs: Inputs, data: Sequences, rows: np.ndarray) -> Iterator[Features]:
    """Of these sequences, a piece of them at a time."""
    plain = replace(inputs, stride=1)
    for piece in pieces(data, rows, _PIECE):
        places, counts = np.zeros(0, np.int64), np.zeros(len(piece), np.int64)
        if inputs.text is not None:
            hashed = [_hashed(tokens, inputs.text) for tokens in inputs.text.cut(piece)]
            places = np.fromiter((place for each in hashed for place in each), np.int64)
            counts = np.array([len(each) for each in hashed], np.int64)
        arrays = plain.encode(piece)
        lengths = arrays["lengths"]
        rest = [np.log(lengths)[:, None]]
        inside = np.arange(int(lengths.max()))[:, None, None] < lengths[:, None]
        if "numbers" in arrays:
            rest += _summaries(arrays["numbers"], inside, lengths)
        if "categories" in arrays:
            for k, column in enumerate(inputs.categories):
                kinds = np.arange(len(column.levels) + 1)
                hits = (arrays["categories"][..., k, None] == kinds) & inside
                rest.append(hits.sum(0) / lengths[:, None])
        yield places, counts, np.concatenate(rest, 1)


def _summaries(x: np.ndarray, inside: np.ndarray, lengths: np.ndarray) -> list[np.ndarray]:
    """(B, D) each, of (T, B, D)."""
    n = lengths[:, None]
    mean = np.where(inside, x, 0).sum(0) / n
    deviation = np.sqrt(np.where(inside, np.square(x - mean), 0).sum(0) / n)
    least, most = np.where(inside, x, np.inf).min(0), np.where(inside, x, -np.inf).max(0)
    return [mean, deviation, least, most, x[0], x[lengths - 1, np.arange(len(lengths))]]


def _hashed(tokens: list[str], text: Text) -> list[int]:
    """The different words and pairs of words, or runs of one to three characters, each as a bucket."""
    plain = [token.lower() for token in tokens]
    runs = [plain, *(["\n".join(run) for run in zip(*(plain[i:] for i in range(n)), strict=False)] for n in (2, 3))]
    kept = runs if text.tokens == "characters" else runs[:2]
    return sorted({zlib.crc32(word.encode("utf-8", "surrogatepass")) % BUCKETS for each in kept for word in each})


def most_frequent(places: np.ndarray, most: int) -> np.ndarray:
    """The buckets that occur, ascending; of more than `most` those that most sequences have."""
    buckets, counts = np.unique(places, return_counts=True)
    return buckets if len(buckets) <= most else np.sort(buckets[np.argsort(-counts, kind="stable")[:most]])


def renumbered(places: np.ndarray, counts: np.ndarray, buckets: np.ndarray) -> tuple[np.ndarray, ...]:
    """Places among `buckets` of those that are there, how many each sequence has, and what each of them weighs."""
    row = np.repeat(np.arange(len(counts)), counts)
    weights = (1 / np.sqrt(counts[row])).astype(np.float32)
    found = np.searchsorted(buckets, places)
    known = buckets[np.minimum(found, len(buckets) - 1)] == places if len(buckets) else np.zeros(len(places), bool)
    return found[known], np.bincount(row[known], minlength=len(counts)), weights[known]
