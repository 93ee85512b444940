"""How good captions are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ...data.paired.captions import Captioned
from ...decoding.options import Decoding
from ...errors import DataError
from ...metrics.text import signatures, text_scores, token_nats
from ...sharing import each
from ..attention_decoder import teacher_forced
from ..baselines import judged_texts
from .architecture import encode
from .baselines import Plain, evaluate_baselines
from .examples import CaptionedBatches
from .predictor import Predictor

_MOST_TRAINING = 500  # images of the training part that are captioned


def evaluate(
    predictor: Predictor,
    parts: Mapping[str, Captioned],
    decoding: Decoding | None = None,
    *,
    batch_size: int,
    most_frequent: str,
    plain: Plain | None,
    with_baselines: bool,
) -> dict[str, Any]:
    """Scores of each part, those of the plain methods on the last one, whether the network earned its place beside
    them, and the signatures; see `Captioner.evaluate`.

    Args:
        plain: None of a model of before.
        batch_size: Images that the loss is computed of at a time.
        most_frequent: The most frequent caption of training.
    """
    parts = {name: with_captions(part) for name, part in parts.items() if any(part.captions)}
    found: dict[str, Any] = {}
    predicted: list[str] = []  # of the last part
    for name, part in parts.items():
        if name == "train" and predictor.net is None:  # the plain methods know it by heart
            continue
        some = part.take(np.arange(min(len(part), _MOST_TRAINING))) if name == "train" else part
        predicted = predictor.texts(some, decoding)
        found[name] = {**text_scores(predicted, some.captions), "images": len(some)}
        if predictor.net is not None:
            found[name]["loss"] = loss(predictor, some, batch_size)
    if with_baselines:
        last = list(parts)[-1]
        train = parts["train"] if last not in ("train", "all") else None
        if plain is None or last == "train":  # which the others know by heart
            found["baselines"] = evaluate_baselines(parts[last], train, most_frequent)
        else:
            beside, captions = plain.predictions(parts[last]), parts[last].captions
            own = None if predictor.net is None else predicted
            found |= judged_texts(last, found[last]["bleu"], own, beside, captions, plain.strongest)
    references = [captions for part in parts.values() for captions in part.captions]
    return {**found, "signatures": signatures(references)}


def evaluate_captions(predictor: Predictor, data: Captioned, decoding: Decoding | None = None) -> dict[str, Any]:
    """Scores of the captions of images, each of which has some."""
    predicted = predictor.texts(data, decoding)
    return {**text_scores(predicted, data.captions), "images": len(data)}


def loss(predictor: Predictor, data: Captioned, batch_size: int) -> float:
    """Nats per word with teacher forcing."""
    tokens, captions = predictor.tokens, predictor.tokens.encode(data.captions)
    batches = CaptionedBatches(data, captions, start=tokens.start, end=tokens.end, batch_size=batch_size)

    @np.errstate(all="ignore")  # damaged weights show in what comes out
    def nats(step: int) -> np.ndarray:
        return token_nats(*teacher_forced(predictor.net, batches.at(step), encode))

    return float(np.concatenate(each(nats, range(len(batches)))).mean(dtype=np.float64))


def with_captions(data: Captioned) -> Captioned:
    """The images that have captions. DataError if none has."""
    which = np.flatnonzero([bool(captions) for captions in data.captions])
    if not len(which):
        raise DataError(f"{data.name} has no captions to evaluate against. Give them: y, or a file of captions")
    return data if len(which) == len(data) else data.take(which)
