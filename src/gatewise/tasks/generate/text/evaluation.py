"""How well a language model knows a text, and how well plain methods do."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ....data.split import PARTS
from ....data.text.vocabulary import Vocabulary, Words
from ....errors import DataError
from . import baselines
from .corpus import Corpus
from .network import LanguageModel, total_loss

# Characters of training text that baselines learn from, at its end: xz looks back no further, and the 5-gram takes
# a hundred bytes of memory for each.
BASELINE_TEXT = 20_000_000


def measure(model: LanguageModel, vocabulary: Vocabulary, corpus: Corpus, with_baselines: bool) -> dict[str, Any]:
    """Losses per split, and of the baselines on the test part (the validation part, if there is none)."""
    metrics: dict[str, Any] = {}
    for part in PARTS:
        text, ids = corpus.texts[part], corpus.ids[part]
        if part == "train":  # as much of its end as there is held-out text: all of it would take an epoch
            text = text[-max(len(corpus.texts["validation"]), len(corpus.texts["test"]), 1000) :]
            ids = vocabulary.encode(text)
        if len(ids) > 1:
            metrics[part] = loss_of(model, vocabulary, text, ids)
    if with_baselines:
        metrics["baselines"] = _baselines(vocabulary, corpus, "test" if "test" in metrics else "validation")
    return metrics


def measure_all(model: LanguageModel, vocabulary: Vocabulary, text: str, name: str, unknown: str) -> dict[str, Any]:
    """Loss on a whole text of its own."""
    known = known_part(vocabulary, text, unknown)
    ids = vocabulary.encode(known, unknown=unknown)
    if len(ids) < 2:
        raise DataError(f"{name} has {len(ids)} tokens that the model knows; at least 2 are needed")
    skipped = {"skipped_characters": len(text) - len(known)} if len(known) < len(text) else {}
    return loss_of(model, vocabulary, known, ids) | skipped


def known_part(vocabulary: Vocabulary, text: str, unknown: str) -> str:
    """The text without what the vocabulary lacks, if that is to be skipped. Words are never skipped."""
    if unknown != "skip" or isinstance(vocabulary, Words):
        return text
    return text.translate(dict.fromkeys(map(ord, vocabulary.unseen(text))))


def loss_of(model: LanguageModel, vocabulary: Vocabulary, text: str, ids: np.ndarray) -> dict[str, Any]:
    """Loss in nats per token, and what follows from it."""
    nats, count = total_loss(model, ids, rows_for(ids))
    unknown = int((ids == vocabulary.UNK).sum()) if isinstance(vocabulary, Words) else 0
    loss = nats / count
    return {
        "loss": loss,
        "bits_per_token": loss / math.log(2),
        # Where a token stands for many words, its bits do not tell which: there is no such figure then.
        "bits_per_character": None if unknown else loss / math.log(2) * len(ids) / len(text),
        "perplexity": math.exp(min(loss, 700)),
        "tokens": count,
        "characters": len(text),
        **({"unknown_tokens": unknown} if unknown else {}),
    }


def rows_for(ids: np.ndarray) -> int:
    """Rows to read side by side when measuring: few enough that each is long, for each starts knowing nothing."""
    return max(1, min(32, len(ids) // 5_000))


def xz_alone(text: str, tokens: int) -> dict[str, float]:
    """xz on a text of its own, which it learned nothing for."""
    return _per_unit(baselines.xz_bits("", text), text, tokens)


def _baselines(vocabulary: Vocabulary, corpus: Corpus, part: str) -> dict[str, Any]:
    """The same held-out text by plain methods that learned from the same training text."""
    train_text, train_ids = corpus.texts["train"][-BASELINE_TEXT:], corpus.ids["train"][-BASELINE_TEXT:]
    text, ids, size = corpus.texts[part], corpus.ids[part], len(vocabulary)
    bits = {
        "frequencies": baselines.unigram_bits(train_ids, ids, size) * len(ids),
        "5-gram": baselines.ngram_bits(train_ids, ids, size, order=5) * len(ids),
        "xz": baselines.xz_bits(train_text, text),
    }
    return {name: _per_unit(total, text, len(ids)) for name, total in bits.items()}


def _per_unit(bits: float, text: str, tokens: int) -> dict[str, float]:
    return {"bits_per_character": bits / len(text), "bits_per_token": bits / max(1, tokens)}
