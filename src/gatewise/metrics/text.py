"""BLEU, chrF (both by sacrebleu) and exact match of generated texts."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import MissingExtra

_CJK = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]")  # kana and Han: no spaces between words
_DRAWS = 300  # of texts, to find the error of a difference
_LONGEST = 4  # BLEU compares n-grams of up to so many tokens


def sacrebleu() -> Any:
    """The library's metrics. MissingExtra if it is not installed: ask before the work is done."""
    try:
        import sacrebleu.metrics as found
    except ImportError:
        raise MissingExtra("sacrebleu", "text") from None
    return found


def token_nats(scores: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Minus the log-probability of each token that came, (N,) float32: the cross-entropy in nats.

    Args:
        scores: (N, V) float32, unnormalised log-probabilities of each token. They are overwritten.
        targets: (N,) ids of those that came.
    """
    scores -= scores.max(-1, keepdims=True)
    own = scores[np.arange(len(targets)), targets]
    return np.asarray(np.log(np.exp(scores, out=scores).sum(-1)) - own)


def text_scores(predicted: Sequence[str], references: Sequence[Sequence[str]]) -> dict[str, float]:
    """Scores of a whole corpus.

    Args:
        predicted: N texts.
        references: For each of them one or more correct texts.

    Returns:
        "bleu" and "chrf", from 0 to 100, cased and detokenised; "exact_match", the share of texts that equal one of
        their references.

    Source: Papineni et al. (2002), ACL; Popović (2015), WMT; Post (2018), arXiv:1804.08771.
    """
    exact = sum(text in own for text, own in zip(predicted, references, strict=True))
    return {
        "bleu": bleu(predicted, references) if predicted else 0.0,
        "chrf": chrf(predicted, references) if predicted else 0.0,
        "exact_match": exact / max(1, len(predicted)),
    }


def bleu(predicted: Sequence[str], references: Sequence[Sequence[str]]) -> float:
    """BLEU, from 0 to 100 (Papineni et al. 2002)."""
    return float(_bleu(references).corpus_score(list(predicted), _columns(references)).score)


def bleu_difference_error(
    one: Sequence[str], other: Sequence[str], references: Sequence[Sequence[str]]
) -> float | None:
    """Standard error of the difference in BLEU between two systems on the same texts, by drawing the texts anew 300
    times; None if there are fewer than two.

    Source: Koehn (2004), "Statistical significance tests for machine translation evaluation", EMNLP: paired bootstrap.
    """
    if len(references) < 2:
        return None
    metric, draw = _bleu(references), np.random.default_rng(0)
    effective, metric.effective_order = metric.effective_order, True  # or sacrebleu warns of every text's own score
    counts = [
        np.array([_counts(metric.sentence_score(text, own)) for text, own in zip(texts, references, strict=True)])
        for texts in (one, other)
    ]
    metric.effective_order = effective
    differences = []
    for _ in range(_DRAWS):
        rows = draw.integers(0, len(references), len(references))
        mine, theirs = (_score_of(metric, some[rows].sum(0)) for some in counts)
        differences.append(mine - theirs)
    return float(np.std(differences))


def _counts(score: Any) -> list[int]:
    """What of a text the BLEU of a corpus is made of."""
    return [*score.counts, *score.totals, score.sys_len, score.ref_len]


def _score_of(metric: Any, sums: np.ndarray) -> float:
    numbers = sums.tolist()
    found = metric.compute_bleu(
        numbers[:_LONGEST],
        numbers[_LONGEST : 2 * _LONGEST],
        *numbers[2 * _LONGEST :],
        smooth_method=metric.smooth_method,
        effective_order=metric.effective_order,
        max_ngram_order=_LONGEST,
    )
    return float(found.score)


def chrf(predicted: Sequence[str], references: Sequence[Sequence[str]]) -> float:
    """chrF, from 0 to 100 (Popović 2015)."""
    return float(sacrebleu().CHRF().corpus_score(list(predicted), _columns(references)).score)


def signatures(references: Sequence[Sequence[str]]) -> dict[str, str]:
    """sacrebleu's signatures of both metrics for such references; scores are comparable only where they agree."""
    found = {}
    for name, metric in (("bleu", _bleu(references)), ("chrf", sacrebleu().CHRF())):
        # Only scoring tells it the number of references.
        metric.corpus_score(["a"], [["a"]] * max(map(len, references), default=1))
        found[name] = str(metric.get_signature())
    return found


def _bleu(references: Sequence[Sequence[str]]) -> Any:
    """Standard BLEU, except where that would always be 0: Chinese and Japanese are split into characters, and where no
    reference has four tokens, shorter n-grams suffice."""
    texts = [text for own in references for text in own]
    characters = "".join("".join(texts).split())
    mostly_cjk = 2 * len(_CJK.findall(characters)) > len(characters)
    metric = sacrebleu().BLEU(tokenize="zh" if mostly_cjk else "13a", force=True)
    metric.effective_order = not any(len(metric.tokenizer(text).split()) >= _LONGEST for text in texts)
    return metric


def _columns(references: Sequence[Sequence[str]]) -> list[list[str | None]]:
    """In sacrebleu's layout: the first reference of every text, the second of every text, ...; None where missing."""
    most = max(map(len, references), default=1)
    return [[own[i] if i < len(own) else None for own in references] for i in range(most)]
