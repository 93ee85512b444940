"""How well a language model predicts a text, and how well plain methods do."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from ....data.batches import Rows
from ....data.split import PARTS
from ....data.text.vocabulary import Vocabulary, Words
from ....errors import DataError
from . import baselines
from .corpus import Corpus

if TYPE_CHECKING:
    from .network import LanguageModel

# Characters at the end of the training text that baselines learn from: xz looks back no further, and the 5-gram takes
# a hundred bytes of memory for each.
BASELINE_TEXT = 20_000_000
MOST_TRAINING_TEXT = 100_000  # characters at the end of a training text that are evaluated where nothing is held out


def evaluate_parts(
    model: LanguageModel, vocabulary: Vocabulary, corpus: Corpus, with_baselines: bool
) -> dict[str, Any]:
    """Losses by part, and those of the baselines on the test part (the validation part, if there is none); where
    nothing was held out, there is nothing to compare."""
    metrics: dict[str, Any] = {}
    for part in PARTS:
        text, ids = corpus.texts[part], corpus.ids[part]
        if part == "train":  # as much of its end as there is held-out text: all of it would take an epoch
            held_out = max(len(corpus.texts["validation"]), len(corpus.texts["test"]))
            text = text[-max(held_out or MOST_TRAINING_TEXT, 1000) :]
            ids = vocabulary.encode(text)
        if len(ids) > 1:
            metrics[part] = loss_of(model, vocabulary, text, ids)
    compared = next((part for part in ("test", "validation") if part in metrics), None)
    if with_baselines and compared is not None:
        metrics["baselines"] = _baselines(vocabulary, corpus, compared)
    return metrics


def evaluate_text(model: LanguageModel, vocabulary: Vocabulary, text: str, name: str, unknown: str) -> dict[str, Any]:
    """Loss on a whole text.

    Args:
        name: What messages call the text.
        unknown: "error", or "skip" to leave out characters that the vocabulary lacks.
    """
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
    """Loss in nats per token, and the figures derived from it."""
    nats, count = total_loss(model, ids, rows_for(ids))
    unknown = _unknown(vocabulary, ids)
    loss = nats / count
    return {
        "loss": loss,
        "bits_per_token": loss / math.log(2),
        # An unknown token stands for many words, and its bits do not say which: then this is not defined.
        "bits_per_character": None if unknown else loss / math.log(2) * len(ids) / len(text),
        "perplexity": math.exp(min(loss, 700)),
        "tokens": count,
        "characters": len(text),
        **({"unknown_tokens": unknown} if unknown else {}),
    }


def _unknown(vocabulary: Vocabulary, ids: np.ndarray) -> int:
    """How many of the tokens stand for words that the vocabulary lacks."""
    return int((ids == vocabulary.UNK).sum()) if isinstance(vocabulary, Words) else 0


def rows_for(ids: np.ndarray) -> int:
    """Rows to read side by side in evaluation: few, so that each is long, as each starts without any context."""
    return max(1, min(32, len(ids) // 5_000))


def total_loss(
    model: LanguageModel, ids: np.ndarray, batch_size: int, chunk_length: int | None = None
) -> tuple[float, int]:
    """Summed loss in nats over one contiguous text, and the number of tokens predicted."""
    from .batches import Chunks, evaluation_chunk_length

    length = chunk_length or evaluation_chunk_length(batch_size, model.output.out_features)
    chunks, carried = Chunks(Rows(ids, batch_size, length)), model.carried
    model.begin("test")
    nats, count = 0.0, 0
    with model.predicting():
        for step in range(len(chunks)):
            total, targets = model.validation_sums(chunks.at(step))
            nats, count = nats + float(total), count + targets
    model.carried = carried
    return nats, count


def xz_alone(text: str, tokens: int) -> dict[str, float | None]:
    """xz on a text, without any training text."""
    return _per_unit(baselines.xz_bits("", text), text, tokens)


def _baselines(vocabulary: Vocabulary, corpus: Corpus, part: str) -> dict[str, Any]:
    """Plain methods that learned from the same training text, on the same held-out text."""
    train_text, train_ids = corpus.texts["train"][-BASELINE_TEXT:], corpus.ids["train"][-BASELINE_TEXT:]
    text, ids, size = corpus.texts[part], corpus.ids[part], len(vocabulary)
    tokens = {
        "frequencies": baselines.unigram_bits(train_ids, ids, size),
        "5-gram": baselines.ngram_bits(train_ids, ids, size, order=5),
    }
    found = {name: _per_unit(bits * len(ids), text, len(ids)) for name, bits in tokens.items()}
    found["xz"] = _per_unit(baselines.xz_bits(train_text, text), text, len(ids))
    if _unknown(vocabulary, ids):
        # The first two do not say which word an unknown token is, as the model does not (see `loss_of`); xz does.
        for name, scores in found.items():
            scores["bits_per_token" if name == "xz" else "bits_per_character"] = None
    return found


def _per_unit(bits: float, text: str, tokens: int) -> dict[str, float | None]:
    return {"bits_per_character": bits / len(text), "bits_per_token": bits / max(1, tokens)}
