"""Baselines that several tasks share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from ..errors import ModelFileError
from ..metrics.text import bleu_difference_error, text_scores
from ..sharing import each
from .verdict import judged

MOST_FREQUENT = "most frequent"


def most_frequent(values: Iterable[str]) -> str:
    """The value that occurs most often; of equals, the first in alphabetical order."""
    counts = Counter(values)
    return min(counts, key=lambda value: (-counts[value], value))


def by_losses(losses: np.ndarray, power: float) -> np.ndarray:
    """(K,) shares of methods that lose so much: small for what loses much, without regard to how errors go together,
    which few windows cannot tell.

    Args:
        power: Of one over the losses, by which the shares go.

    Source: Bates & Granger (1969), "The combination of forecasts", Operational Research Quarterly 20.
    """
    least = max(float(losses.min()), 1e-300)  # one may be without error
    weights = (least / np.maximum(losses, least)) ** power
    return np.asarray(weights / weights.sum())


def judged_texts(
    part: str,
    own: float,
    predicted: Sequence[str] | None,
    plain: Mapping[str, Sequence[str]],
    references: Sequence[Sequence[str]],
    strongest: str | None,
    share: float = 1.0,
) -> dict[str, Any]:
    """Scores of the texts of plain methods, as "baselines", and what `judged` says of the strongest, by BLEU.

    Args:
        part: That all are measured on.
        own: BLEU of the model there.
        predicted: The model's texts; None without a network.
        plain: Those of each method, by name.
        references: The true texts of each item.
        strongest: None where validation could not tell.
        share: Of the texts that are by the network, if there is one.
    """
    scores = dict(zip(plain, each(lambda texts: text_scores(texts, references), [*plain.values()]), strict=True))
    if strongest is None:
        return {"baselines": scores}
    error = None if predicted is None else bleu_difference_error(predicted, plain[strongest], references)
    return {
        "baselines": scores,
        **judged(
            measure="bleu",
            part=part,
            model=own,
            plain={name: found["bleu"] for name, found in scores.items()},
            strongest=strongest,
            share=0.0 if predicted is None else share,
            standard_error=error,
        ),
    }


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
