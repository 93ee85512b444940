"""How close texts come to those that were wanted: BLEU and chrF by sacrebleu, and exact matches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..errors import MissingExtra


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
    columns = _columns(references)
    exact = sum(text in own for text, own in zip(said, references, strict=True))
    return {
        "bleu": float(sacrebleu().BLEU().corpus_score(list(said), columns).score) if said else 0.0,
        "chrf": float(sacrebleu().CHRF().corpus_score(list(said), columns).score) if said else 0.0,
        "exact_match": exact / max(1, len(said)),
    }


def bleu(said: Sequence[str], references: Sequence[Sequence[str]]) -> float:
    """BLEU alone, 0 .. 100."""
    return float(sacrebleu().BLEU().corpus_score(list(said), _columns(references)).score)


def signatures(references: int = 1) -> dict[str, str]:
    """What sacrebleu calls the way in which it counts; figures compare only where these agree."""
    found = {}
    for name, kind in (("bleu", "BLEU"), ("chrf", "CHRF")):
        metric = getattr(sacrebleu(), kind)()
        metric.corpus_score(["a b c d"], [["a b c d"]] * references)  # it knows the number of references only then
        found[name] = str(metric.get_signature())
    return found


def _columns(references: Sequence[Sequence[str]]) -> list[list[str | None]]:
    """As sacrebleu takes them: the first references of all, the second of all, ...; None where there is none."""
    most = max(map(len, references), default=1)
    return [[own[place] if place < len(own) else None for own in references] for place in range(most)]
