"""How well a language model predicts a text, and how well plain methods do."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ....data.batches import Rows
from ....data.split import PARTS
from ....data.text.vocabulary import Vocabulary, Words
from ....errors import DataError
from ....metrics.text import token_nats
from ....runtime.sequence_model import forward
from ...verdict import judged
from .baselines import KNESER_NEY, Plain, xz_bits
from .corpus import Corpus

MOST_TRAINING_TEXT = 100_000  # characters at the end of a training text that are evaluated where nothing is held out


def learn_plain(vocabulary: Vocabulary, corpus: Corpus) -> Plain:
    """The plain methods of a training text, the strongest chosen on the validation part."""
    held_out = corpus.texts["validation"]
    # Words do not tell all of a text, which xz does.
    texts = None if isinstance(vocabulary, Words) else (corpus.texts["train"], held_out)
    return Plain.learn(corpus.ids["train"], len(vocabulary), corpus.ids["validation"], texts)


def evaluate_parts(
    net: Any, plain: Plain, vocabulary: Vocabulary, corpus: Corpus, with_baselines: bool
) -> dict[str, Any]:
    """Losses by part, and those of the plain methods on the test part (the validation part, if there is none); where
    nothing was held out, there is nothing to compare.

    Args:
        net: See `runtime.sequence_model`; None measures the n-grams in its place, on what they were not counted in.
    """
    metrics: dict[str, Any] = {}
    for part in PARTS:
        text, ids = corpus.texts[part], corpus.ids[part]
        if part == "train":  # as much of its end as there is held-out text: all of it would take an epoch
            if net is None:
                continue
            held_out = max(len(corpus.texts["validation"]), len(corpus.texts["test"]))
            text = text[-max(held_out or MOST_TRAINING_TEXT, 1000) :]
            ids = vocabulary.encode(text)
        if len(ids) > 1:
            metrics[part] = _scores(net, plain, vocabulary, text, ids, follows=True)
    compared = next((part for part in ("test", "validation") if part in metrics), None)
    if with_baselines and compared is not None:
        text, ids = corpus.texts[compared], corpus.ids[compared]
        metrics |= _beside_plain(net, plain, vocabulary, text, ids, metrics[compared], compared, corpus.texts["train"])
    return metrics


def evaluate_text(
    net: Any,
    plain: Plain | None,
    vocabulary: Vocabulary,
    text: str,
    name: str,
    unknown: str,
    with_baselines: bool = True,
) -> dict[str, Any]:
    """Loss on a whole text, and those of the plain methods.

    Args:
        plain: None of models of before, which did not keep it: then xz, which knows nothing but the text, compares.
        name: What messages call the text.
        unknown: "error", or "skip" to leave out characters that the vocabulary lacks.
    """
    known = known_part(vocabulary, text, unknown)
    ids = vocabulary.encode(known, unknown=unknown)
    if len(ids) < 2:
        raise DataError(f"{name} has {len(ids)} tokens that the model knows; at least 2 are needed")
    found = _scores(net, plain, vocabulary, known, ids, follows=False)
    if len(known) < len(text):
        found["skipped_characters"] = len(text) - len(known)
    if not with_baselines:
        return {"all": found}
    if plain is None:
        xz = _per_unit(xz_bits("", known), known, found["tokens"])
        if "unknown_tokens" in found:  # which xz does tell apart
            xz["bits_per_token"] = None
        return {"all": found, "baselines": {"xz": xz}}
    train_text = "" if isinstance(vocabulary, Words) else vocabulary.decode(plain.ids.astype(np.int64))
    return {"all": found, **_beside_plain(net, plain, vocabulary, known, ids, found, "all", train_text)}


def known_part(vocabulary: Vocabulary, text: str, unknown: str) -> str:
    """The text without what the vocabulary lacks, if that is to be skipped. Words are never skipped."""
    if unknown != "skip" or isinstance(vocabulary, Words):
        return text
    return text.translate(dict.fromkeys(map(ord, vocabulary.unseen(text))))


def _scores(
    net: Any, plain: Plain | None, vocabulary: Vocabulary, text: str, ids: np.ndarray, follows: bool
) -> dict[str, Any]:
    """Loss in nats per token, and the figures derived from it: of the network, or where there is none, the n-grams."""
    if net is not None:
        return loss_of(net, vocabulary, text, ids)
    assert plain is not None
    nats = float(plain.bits(ids, follows)[KNESER_NEY].sum()) * math.log(2)
    return _figures(nats, len(ids), vocabulary, text, ids)


def loss_of(net: Any, vocabulary: Vocabulary, text: str, ids: np.ndarray) -> dict[str, Any]:
    """Loss in nats per token, and the figures derived from it."""
    nats, count = total_loss(net, ids, rows_for(ids))
    return _figures(nats, count, vocabulary, text, ids)


def _figures(nats: float, count: int, vocabulary: Vocabulary, text: str, ids: np.ndarray) -> dict[str, Any]:
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


def total_loss(net: Any, ids: np.ndarray, batch_size: int, chunk_length: int | None = None) -> tuple[float, int]:
    """Summed loss in nats over one contiguous text, and the number of tokens predicted."""
    sums, targets = chunk_losses(net, ids, batch_size, chunk_length)
    return float(sums.sum()), sum(map(len, targets))


@np.errstate(all="ignore")  # damaged weights show in what comes out
def chunk_losses(
    net: Any, ids: np.ndarray, batch_size: int, chunk_length: int | None = None
) -> tuple[np.ndarray, list[np.ndarray]]:
    """Summed loss in nats of each chunk of one contiguous text, and the places in it of the tokens predicted there."""
    length = chunk_length or evaluation_chunk_length(batch_size, len(net.output.weight))
    rows, state, sums = Rows(ids, batch_size, length), None, []
    for step in range(len(rows)):
        inputs, targets = rows[step]
        scores, state = forward(net, inputs, state)
        sums.append(float(token_nats(scores.reshape(-1, scores.shape[-1]), targets.ravel()).sum(dtype=np.float64)))
    places = Rows(np.arange(len(ids)), batch_size, length)
    return np.array(sums), [places[step][1].ravel() for step in range(len(rows))]


def evaluation_chunk_length(batch_size: int, vocabulary_size: int) -> int:
    """Steps of a chunk when no gradient is needed: at most 256, and with a large vocabulary so few that the scores of a
    chunk stay below some 30 MB."""
    return max(1, min(256, 2**23 // (batch_size * vocabulary_size)))


def _beside_plain(
    net: Any,
    plain: Plain,
    vocabulary: Vocabulary,
    text: str,
    ids: np.ndarray,
    own: dict[str, Any],
    part: str,
    train_text: str,
) -> dict[str, Any]:
    """The "baselines" on a text, and whether the network earned its place beside the strongest.

    Args:
        own: The figures of the model there.
        train_text: What xz knows before it.
    """
    bits = plain.bits(ids, follows=part != "all")
    found = {name: _per_unit(float(each.sum()), text, len(ids)) for name, each in bits.items()}
    found["xz"] = _per_unit(xz_bits(train_text, text), text, len(ids))
    if _unknown(vocabulary, ids):
        # N-grams do not say which word an unknown token is, as the model does not (see `loss_of`); xz does.
        for name, scores in found.items():
            scores["bits_per_token" if name == "xz" else "bits_per_character"] = None
    judgement = {}
    strongest = KNESER_NEY if net is None else plain.strongest
    measure = "bits_per_token" if own["bits_per_character"] is None else "bits_per_character"
    figures = {name: figure for name, scores in found.items() if (figure := scores[measure]) is not None}
    if strongest in figures:
        judgement = judged(
            measure=measure,
            part=part,
            model=own[measure],
            plain=figures,
            strongest=str(strongest),
            share=0.0 if net is None else 1.0,
            standard_error=_standard_error(net, ids, bits.get(str(strongest)), len(text)),
        )
    return {"baselines": found, **judgement}


def _standard_error(net: Any, ids: np.ndarray, bits: np.ndarray | None, characters: int) -> float | None:
    """Of the difference in bits per character between a model and a plain method, over chunks of the text, for tokens
    beside each other are not independent; None if it is not known.

    Args:
        bits: Of each token, by the plain method.
    """
    if net is None or bits is None:
        return None
    nats, places = chunk_losses(net, ids, rows_for(ids))
    if len(nats) < 5:
        return None
    counts = np.array([len(where) for where in places])
    differences = nats / math.log(2) - [bits[where].sum() for where in places]
    # Of a ratio of sums, as the last chunk may be shorter.
    residuals = differences - differences.sum() / counts.sum() * counts
    error = math.sqrt(len(nats) * float(residuals.var(ddof=1))) / counts.sum()
    return error * len(ids) / characters


def _per_unit(bits: float, text: str, tokens: int) -> dict[str, float | None]:
    return {"bits_per_character": bits / len(text), "bits_per_token": bits / max(1, tokens)}
