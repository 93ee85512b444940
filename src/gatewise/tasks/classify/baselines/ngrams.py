"""Texts as weighted counts of runs of words or characters (TF-IDF), and a linear model of them.

Letters: N texts, V runs that are known, n entries of all texts, K outputs.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from ....data.sequences import Sequences, offsets_of
from ..inputs import Inputs, Text, pieces
from ..targets import Targets
from .method import Method, Shapes

LONGEST = {"words": 2, "characters": 5}  # runs of so many words, or characters, and of fewer
UNITS = {"words": "words", "characters": "characters", "vectors": "words"}  # by what the model file calls the method
MOST_CHARACTERS = 4000  # of a text that are read as characters, so that no text costs more than a page or two
_PIECE = 512
_PRIME, _ODD = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xC2B2AE3D27D4EB4F)

Entries = tuple[np.ndarray, np.ndarray, np.ndarray]  # places (n,), how many per text (N,), weights (n,)


@dataclass(frozen=True)
class NGrams(Method):
    """A linear model of the runs of words, or of characters, that texts have.

    A run weighs (1 + log of how often the text has it) times log((1 + N) / (1 + texts that have it)) + 1, and all runs
    of a text together have length 1.

    Attributes:
        unit: "words" or "characters".
        keys: (V,) int64 numbers of 32 bits that runs are hashed to, ascending.
        idf: (V,) how much each says.
        weights: (V, K).
        bias: (K,).

    Source: Sparck Jones (1972), "A statistical interpretation of term specificity", Journal of Documentation 28(1).
    """

    unit: str
    keys: np.ndarray
    idf: np.ndarray
    weights: np.ndarray
    bias: np.ndarray

    def outputs(self, inputs: Inputs, targets: Targets, data: Sequences, rows: np.ndarray) -> np.ndarray:
        """(len(rows), K): probabilities, or standardised numbers."""
        assert inputs.text is not None
        found = [np.empty((0, len(self.bias)))]
        for piece in pieces(data, rows, _PIECE):
            places, counts, weights = weighted(counted(inputs.text, self.unit, piece), self.keys, self.idf)
            found.append(targets.activated(linear((places, counts, weights), self.weights, self.bias)))
        return np.concatenate(found)

    def tensors(self) -> dict[str, np.ndarray]:
        return {
            "keys": self.keys.astype(np.uint32).view(np.int32),
            "idf": self.idf.astype(np.float32),
            "weights": self.weights.astype(np.float32),
            "bias": self.bias.astype(np.float32),
        }

    @staticmethod
    def shapes(inputs: Inputs, targets: Targets) -> Shapes:
        K = targets.outputs
        return {"keys": (None,), "idf": (None,), "weights": (None, K), "bias": (K,)}

    @classmethod
    def from_tensors(cls, key: str, tensors: Mapping[str, np.ndarray], targets: Targets) -> Self:
        unit, keys = UNITS[key], tensors["keys"]
        if keys.dtype != np.int32 or not len(keys) == len(tensors["idf"]) == len(tensors["weights"]):
            raise ValueError(f"the {len(keys)} runs of {unit} do not have a weight each")
        keys = keys.view(np.uint32).astype(np.int64)
        if (np.diff(keys) <= 0).any():
            raise ValueError(f"the runs of {unit} are not in order")
        return cls(unit, keys, tensors["idf"], tensors["weights"], tensors["bias"])


def counted(text: Text, unit: str, data: Sequences) -> Entries:
    """The different runs of each text, by their numbers, and how often each text has them."""
    if unit == "words":
        tokens = [[token.lower() for token in own] for own in text.cut(data)]
        known = {word: zlib.crc32(word.encode("utf-8", "surrogatepass")) for own in tokens for word in own}
        symbols = np.array([known[word] for own in tokens for word in own], np.uint64)
    else:
        tokens = [list(" ".join(whole.lower().split())[:MOST_CHARACTERS]) for whole in text.wholes(data)]
        symbols = np.array([ord(letter) for own in tokens for letter in own], np.uint64)
    return _runs(symbols, offsets_of(map(len, tokens)), LONGEST[unit])


def _runs(symbols: np.ndarray, offsets: np.ndarray, longest: int) -> Entries:
    """Counts of all runs of one to `longest` symbols, each within one text."""
    N, lengths = len(offsets) - 1, np.diff(offsets)
    row = np.repeat(np.arange(N), lengths)
    left = offsets[1:][row] - np.arange(len(symbols))  # symbols from here to the end of the text
    texts, keys, run = [], [], np.zeros(len(symbols), np.uint64)
    for n in range(1, min(longest, int(lengths.max(initial=0))) + 1):
        fits = left >= n
        run = run[: len(symbols) - n + 1] * _PRIME + symbols[n - 1 :] + np.uint64(n)
        mixed = (run ^ (run >> np.uint64(29))) * _ODD
        keys.append((mixed >> np.uint64(32))[fits[: len(run)]].astype(np.int64))
        texts.append(row[: len(run)][fits[: len(run)]])
    if not keys:
        return np.zeros(0, np.int64), np.zeros(N, np.int64), np.zeros(0)
    entries, counts = np.unique((np.concatenate(texts) << 32) | np.concatenate(keys), return_counts=True)
    return entries & 0xFFFFFFFF, np.bincount(entries >> 32, minlength=N), counts.astype(np.float64)


def keys_of(words: Sequence[str]) -> np.ndarray:
    """(len(words),) the numbers of runs of one word each, which are lower-cased."""
    symbols = np.array([zlib.crc32(word.encode("utf-8", "surrogatepass")) for word in words], np.uint64)
    return _runs(symbols, np.arange(len(words) + 1), 1)[0]


def chosen_runs(pieces_of: Sequence[Entries], most: int, least: int) -> tuple[np.ndarray, np.ndarray]:
    """The runs that most texts have, ascending, and how much each says.

    Args:
        most: So many at most.
        least: Texts that must have one.
    """
    total = sum(len(counts) for _, counts, _ in pieces_of)
    keys, having = np.unique(np.concatenate([places for places, _, _ in pieces_of]), return_counts=True)
    keys, having = keys[having >= least], having[having >= least]
    if len(keys) > most:
        kept = np.sort(np.argsort(-having, kind="stable")[:most])
        keys, having = keys[kept], having[kept]
    return keys, rarity(having, total)


def rarity(having: np.ndarray, texts: int) -> np.ndarray:
    """(K,) float32: how much a run says that so many of these texts have, the inverse document frequency."""
    return np.asarray(np.log((1 + texts) / (1 + having)) + 1, np.float32)


def weighted(entries: Entries, keys: np.ndarray, idf: np.ndarray) -> Entries:
    """Of what `counted` gives: places among the known runs, how many each text has, and their weights."""
    found, counts, often = entries
    row = np.repeat(np.arange(len(counts)), counts)
    places = np.searchsorted(keys, found)
    known = keys[np.minimum(places, len(keys) - 1)] == found if len(keys) else np.zeros(len(found), bool)
    row, places = row[known], places[known]
    weights = (1 + np.log(often[known])) * idf[places]
    length = np.sqrt(np.bincount(row, np.square(weights), minlength=len(counts)))
    return (
        places,
        np.bincount(row, minlength=len(counts)),
        (weights / np.maximum(length[row], 1e-30)).astype(np.float32),
    )


def linear(entries: Entries, weights: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """(N, K) float64 scores of what `weighted` gives."""
    places, counts, shares = entries
    scores = np.broadcast_to(bias, (len(counts), len(bias))).astype(np.float64)
    row = np.repeat(np.arange(len(counts)), counts)
    for k, column in enumerate(weights.T):  # word vectors have hundreds of columns, too many at once for long texts
        scores[:, k] += np.bincount(row, column[places] * shares, minlength=len(counts))
    return scores
