"""How close texts come to those that were wanted: BLEU and chrF by sacrebleu, and exact matches."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from ..errors import MissingExtra

_CJK = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]")  # kana and Han: no spaces between words
_LONGEST = 4  # tokens in a row that BLEU compares


def sacrebleu() -> Any:
    """The library. MissingExtra if it is not installed, which should show before the work is done."""
    try:
        import sacrebleu.metrics as found
    except ImportError:
        raise MissingExtra("sacrebleu", "text") from None
    return found


def text_scores(said: Sequence[str], references: Sequence[Sequence[str]]) -> dict[str, float]:
    """Figures of a whole corpus.

    Args:
        said: N texts.
        references: Of each of them one or more texts that are right.

    Returns:
        "bleu" and "chrf", 0 .. 100, cased and detokenised; "exact_match", the share that is one of its references.

    Source: Papineni et al. (2002), ACL; Popović (2015), WMT; Post (2018), arXiv:1804.08771.
    """
    exact = sum(text in own for text, own in zip(said, references, strict=True))
    return {
        "bleu": bleu(said, references) if said else 0.0,
        "chrf": float(sacrebleu().CHRF().corpus_score(list(said), _columns(references)).score) if said else 0.0,
        "exact_match": exact / max(1, len(said)),
    }


def bleu(said: Sequence[str], references: Sequence[Sequence[str]]) -> float:
    """BLEU alone, 0 .. 100."""
    return float(_bleu(references).corpus_score(list(said), _columns(references)).score)


def signatures(references: Sequence[Sequence[str]]) -> dict[str, str]:
    """What sacrebleu calls the way in which it counts by such references; figures compare only where these agree."""
    found = {}
    for name, metric in (("bleu", _bleu(references)), ("chrf", sacrebleu().CHRF())):
        # It knows the number of references only then.
        metric.corpus_score(["a"], [["a"]] * max(map(len, references), default=1))
        found[name] = str(metric.get_signature())
    return found


def _bleu(references: Sequence[Sequence[str]]) -> Any:
    """As everybody counts it, unless that were 0 whatever was said: Chinese and Japanese are cut into characters, and
    where no reference has four tokens, no run of four is asked for."""
    texts = [text for own in references for text in own]
    signs = "".join("".join(texts).split())
    metric = sacrebleu().BLEU(tokenize="zh" if 2 * len(_CJK.findall(signs)) > len(signs) else "13a", force=True)
    metric.effective_order = not any(len(metric.tokenizer(text).split()) >= _LONGEST for text in texts)
    return metric


def _columns(references: Sequence[Sequence[str]]) -> list[list[str | None]]:
    """As sacrebleu takes them: the first references of all, the second of all, ...; None where there is none."""
    most = max(map(len, references), default=1)
    return [[own[place] if place < len(own) else None for own in references] for place in range(most)]
