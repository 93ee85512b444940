"""Baselines that several tasks share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from ..errors import ModelFileError

MOST_FREQUENT = "most frequent"


def most_frequent(values: Iterable[str]) -> str:
    """The value that occurs most often; of equals, the first in alphabetical order."""
    counts = Counter(values)
    return min(counts, key=lambda value: (-counts[value], value))


def packed(texts: Sequence[str]) -> dict[str, np.ndarray]:
    """Texts as tensors of a model file: all as UTF-8, one after the other, and how many bytes each has."""
    encoded = [text.encode("utf-8", "surrogatepass") for text in texts]
    return {
        "texts": np.frombuffer(b"".join(encoded), np.uint8),
        "lengths": np.array([len(text) for text in encoded], np.int32),
    }


def unpacked(tensors: Mapping[str, np.ndarray]) -> tuple[str, ...]:
    """Undo `packed`. ModelFileError if the two contradict each other."""
    texts, lengths = tensors["texts"], tensors["lengths"]
    if texts.dtype != np.uint8 or lengths.dtype != np.int32 or (len(lengths) and lengths.min() < 0):
        raise ModelFileError("plain.texts and plain.lengths are no texts")
    ends, data = np.cumsum(lengths, dtype=np.int64), texts.tobytes()
    if (ends[-1] if len(ends) else 0) != len(data):
        raise ModelFileError(f"plain.lengths adds up to {int(lengths.sum())} bytes, and plain.texts has {len(data)}")
    pairs = zip(ends.tolist(), lengths.tolist(), strict=True)
    return tuple(data[end - length : end].decode("utf-8", "surrogatepass") for end, length in pairs)
