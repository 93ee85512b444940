"""How good translations are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np

from ...data.paired.pairs import Pairs
from ...decoding.options import Decoding
from ...metrics.text import bleu, signatures, text_scores, token_nats
from ...sharing import each
from .. import attention_decoder
from ..baselines import judged_texts
from .architecture import encode
from .baselines import Plain, evaluate_baselines
from .choice import NETWORK, Candidates, Translation
from .examples import PairBatches
from .predictor import Predictor
from .texts import Texts

_MOST_TRAINING = 1000  # pairs of the training part that are evaluated: translating all would take an epoch
_BATCH_TOKENS = 4000  # of a batch with teacher forcing


def evaluate(
    predictor: Predictor,
    parts: Mapping[str, Pairs],
    decoding: Decoding,
    *,
    plain: Plain | None,
    first_words_count: int,
    with_baselines: bool,
    candidates: Mapping[str, Sequence[Candidates]] = MappingProxyType({}),
) -> dict[str, Any]:
    """Scores of each part, those of the network alone and of the plain methods on the last one, whether the network
    earned its place beside them, and the signatures; see `Translator.evaluate`.

    Args:
        plain: None of a model of before.
        first_words_count: See `evaluate_baselines`.
        candidates: Of parts whose candidates are known.
    """
    found: dict[str, Any] = {}
    last = list(parts)[-1]
    alone, predicted, share = list[str](), list[str](), 1.0  # of the last part
    for name, part in parts.items():
        if name == "train" and predictor.net is None:  # the plain methods know it by heart
            continue
        some = part.take(range(min(len(part), _MOST_TRAINING))) if name == "train" else part
        if predictor.net is None:
            predicted = best_texts(predictor.translate(some.sources, decoding))
        elif name == "train" or not predictor.asks_plain(decoding):  # every training source is in the memory
            predicted = best_texts(predictor.written(some.sources, decoding))
        else:
            both = candidates.get(name) or predictor.candidates(some.sources, decoding)
            answers = each(lambda one: one.ranked(predictor.weight)[0], both)
            alone, predicted = [one.written[0].text for one in both], [one.text for one in answers]
            share = sum(one.by == NETWORK for one in answers) / max(1, len(answers))
        found[name] = scores_of(predictor, some, predicted)
    references = [[target] for target in parts[last].targets or []]
    if with_baselines:
        train = parts["train"] if last not in ("train", "all") else None
        if plain is None or last == "train":  # which the others know by heart
            found["baselines"] = evaluate_baselines(parts[last], train, first_words_count)
        else:
            beside = plain.translations(parts[last].sources)
            own = None if predictor.net is None else predicted
            found |= judged_texts(last, found[last]["bleu"], own, beside, references, plain.strongest, share)
    if predictor.asks_plain(decoding) and last != "train":
        found["network"] = text_scores(alone, references)
    return {**found, "signatures": signatures(references)}


def best_texts(found: Sequence[Sequence[Translation]]) -> list[str]:
    """The best translation of each text."""
    return [best.text for best, *_ in found]


def scores_of(predictor: Predictor, pairs: Pairs, predicted: list[str]) -> dict[str, Any]:
    """All scores of pairs and what was predicted of them."""
    scores = text_scores(predicted, [[target] for target in pairs.targets or []])
    forced = {} if predictor.net is None else teacher_forced(predictor, pairs)
    return {**scores, **forced, "pairs": len(pairs)}


def teacher_forced(predictor: Predictor, pairs: Pairs) -> dict[str, float]:
    """With teacher forcing: "loss" in nats per token, and "token_accuracy", the share of tokens that score highest."""
    texts = predictor.texts
    sources, wanted = texts.sources(pairs.sources), texts.targets(pairs.targets or [])
    batches = PairBatches(sources, wanted, edge=texts.edge, batch_tokens=_BATCH_TOKENS)

    @np.errstate(all="ignore")  # damaged weights show in what comes out
    def sums(step: int) -> tuple[float, int, int]:
        scores, targets = attention_decoder.teacher_forced(predictor.net, batches.at(step), encode)
        right = int((scores.argmax(-1) == targets).sum())
        return float(token_nats(scores, targets).sum(dtype=np.float64)), right, len(targets)

    nats, right, count = map(sum, zip(*each(sums, range(len(batches))), strict=True))
    return {"loss": nats / count, "token_accuracy": right / count}


class BleuCriterion:
    """Validation by BLEU of greedy translations: one batch, whose loss is 1 - BLEU / 100.

    The batch holds the criterion itself, which `TranslationNetwork.validation_sums` calls. Of several processes each
    translates some of the texts.
    """

    def __init__(self, texts: Texts, pairs: Pairs):
        self.texts, self.pairs = texts, pairs

    def __len__(self) -> int:
        return 1

    def at(self, step: int) -> dict[str, Any]:
        return {"criterion": self}

    def __call__(self, net: Any) -> float:
        found = Predictor(net=net, texts=self.texts).translate(self.pairs.sources, Decoding(beam_size=1))
        references = [[target] for target in self.pairs.targets or []]
        return 1 - bleu(best_texts(found), references) / 100
