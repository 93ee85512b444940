"""Translating with a trained network, and how good that is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from ...data.paired.pairs import Pairs
from ...data.text.vocabulary import Words
from ...decoding.beam_search import Hypothesis, decode, source_positions
from ...decoding.options import Decoding
from ...metrics.text import bleu, text_scores
from ..attention_decoder import Batch, Steps, together
from .network import TranslationNetwork
from .texts import PairBatches, Texts, padded

TOGETHER = 128  # sentences that are decoded side by side
_MEASURED_TOKENS = 4000  # of a batch that is only measured


def translated(
    model: TranslationNetwork,
    texts: Texts,
    sources: Sequence[np.ndarray],
    options: Decoding,
    begun: Sequence[list[int]] | None = None,
) -> list[list[Hypothesis]]:
    """Translations of each source, the best first; sources of about one length side by side.

    Args:
        begun: Tokens that each must begin with.
    """
    found: list[list[Hypothesis]] = [[] for _ in sources]
    order = sorted(range(len(sources)), key=lambda i: len(sources[i]))
    # A word that is not known can be copied only by who looks at the source.
    never = [Words.PAD] if isinstance(texts.target, Words) else []
    never += [Words.UNK] if isinstance(texts.target, Words) and model.attention is None else []
    was_training = model.training
    model.eval()
    for start in range(0, len(order), TOGETHER):
        some = order[start : start + TOGETHER]
        own = [sources[i] for i in some]
        results = decode(
            Steps(model, padded(own, together()), options.width),
            len(own),
            texts.edge,
            texts.edge,
            options,
            limits=texts.limits(own),
            forbidden=never,
            prefixes=None if begun is None else [begun[i] for i in some],
            lengths=[max(1, len(ids)) for ids in own],
        )
        for i, result in zip(some, results, strict=True):
            found[i] = result
    model.train(was_training)
    return found


def said(texts: Texts, text: str, source: np.ndarray, one: Hypothesis) -> str:
    """What a hypothesis says, unknown words copied from the place it looked at most."""
    places = source_positions(one, texts.unknown) if texts.unknown is not None else ()
    return texts.text(one.tokens, source, text, places)


def best_texts(model: TranslationNetwork, texts: Texts, sources: Sequence[str], options: Decoding) -> list[str]:
    """The best translation of each text."""
    ids = texts.sources(sources)
    every = translated(model, texts, ids, options)
    return [said(texts, text, own, some[0]) for text, own, some in zip(sources, ids, every, strict=True)]


@torch.no_grad()
def forced(model: TranslationNetwork, texts: Texts, pairs: Pairs) -> dict[str, float]:
    """With the target fed: "loss" in nats per token, and "token_accuracy", the share of tokens scored highest."""
    assert pairs.targets is not None
    batches = PairBatches(texts.sources(pairs.sources), texts.targets(pairs.targets), texts.edge, _MEASURED_TOKENS)
    nats = right = count = 0.0
    model.eval()
    for place in range(len(batches)):
        batch = batches.at(place)
        scores, targets = model.forced(batch)
        nats += float(torch.nn.functional.cross_entropy(scores, targets, reduction="sum"))
        right += int((scores.argmax(-1) == targets).sum())
        count += len(targets)
    return {"loss": nats / count, "token_accuracy": right / count}


def scores(model: TranslationNetwork, texts: Texts, pairs: Pairs, options: Decoding) -> dict[str, Any]:
    """All figures of pairs."""
    assert pairs.targets is not None
    found = best_texts(model, texts, pairs.sources, options)
    return {**text_scores(found, [[t] for t in pairs.targets]), **forced(model, texts, pairs), "pairs": len(pairs)}


class ByBleu:
    """Validation by BLEU of greedy translations: one batch, whose loss is 1 - BLEU / 100.

    It is what `validation_sums` of the network hands its batch to.
    """

    def __init__(self, model: Callable[[], TranslationNetwork], texts: Texts, pairs: Pairs):
        self.model, self.texts, self.pairs = model, texts, pairs

    def __len__(self) -> int:
        return 1

    def at(self, step: int) -> Batch:
        return {"judge": self}

    def __call__(self) -> float:
        assert self.pairs.targets is not None
        device = self.model().output.weight.device.type
        with torch.autocast(device, enabled=False):  # as it will translate, whatever it is trained in
            found = best_texts(self.model(), self.texts, self.pairs.sources, Decoding(beam_size=1))
        return 1 - bleu(found, [[target] for target in self.pairs.targets]) / 100
