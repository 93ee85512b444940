"""How good captions are, beside those of plain methods."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..data.captions import Captioned
from ..errors import MissingExtra

_FRAMES = 8  # of a clip that are compared
_AT_ONCE = 512  # images


def scores(said: Sequence[str], references: Sequence[Sequence[str]]) -> dict[str, Any]:
    """BLEU-4 and chrF of all captions together, each beside the several that people gave; and how many are word for
    word one of them.

    Returns:
        "bleu" and "chrf", from 0 to 100, "exact", from 0 to 1, "images", and the "signatures" of sacrebleu.

    Source: Papineni et al. (2002), ACL; Popović (2015), WMT; Post (2018), arXiv:1804.08771.
    """
    try:
        from sacrebleu.metrics import BLEU, CHRF
    except ImportError as error:
        raise MissingExtra("sacrebleu", "text") from error

    most = max(map(len, references))
    # Streams of references; where an image has fewer than others, None.
    streams = [[some[k] if k < len(some) else None for some in references] for k in range(most)]
    found: dict[str, Any] = {}
    signatures = {}
    for name, metric in (("bleu", BLEU()), ("chrf", CHRF())):
        found[name] = metric.corpus_score(list(said), streams).score
        signatures[name] = str(metric.get_signature())
    exact = sum(one in some for one, some in zip(said, references, strict=True))
    return {**found, "exact": exact / max(1, len(said)), "images": len(said), "signatures": signatures}


def most_frequent(captions: Sequence[Sequence[str]]) -> str:
    """The caption that is said of most images; of equals, the first by name."""
    counts = Counter(caption for some in captions for caption in set(some))
    return min(counts, key=lambda caption: (-counts[caption], caption))


def nearest(data: Captioned, train: Captioned) -> list[str]:
    """Of each image the first caption of the training image whose pixels differ least, squared and summed; clips are
    compared at moments spread evenly over each."""
    known = [i for i, some in enumerate(train.captions) if some]
    best = np.full(len(data), np.inf)
    found = np.zeros(len(data), np.int64)
    for start in range(0, len(known), _AT_ONCE):
        some = np.array(known[start : start + _AT_ONCE])
        theirs = _pixels(train, some)
        for first in range(0, len(data), _AT_ONCE):
            part = slice(first, min(first + _AT_ONCE, len(data)))
            ours = _pixels(data, np.arange(part.start, part.stop))
            distance = np.square(theirs).sum(1) - 2 * ours @ theirs.T  # and what is the same for all of a row
            near = distance.argmin(1)
            less = distance[np.arange(len(near)), near]
            closer = less < best[part]
            found[part] = np.where(closer, some[near], found[part])
            best[part] = np.where(closer, less, best[part])
    return [train.captions[i][0] for i in found]


def _pixels(data: Captioned, which: np.ndarray) -> np.ndarray:
    """(n, values) float32."""
    moments = np.linspace(0, 1, 1 if data.inputs != "clips" else _FRAMES)
    at = data.offsets[which][:, None] + np.round((data.lengths[which] - 1)[:, None] * moments).astype(np.int64)
    return data.values[at].reshape(len(which), -1).astype(np.float32)


def report(metrics: Mapping[str, Any]) -> str:
    """Figures as a table for the terminal: the parts, then the baselines."""
    parts = {name: some for name, some in metrics.items() if name != "baselines"}
    rows = {**parts, **{f"{name} (baseline)": some for name, some in metrics.get("baselines", {}).items()}}
    if not rows:
        return "nothing was measured"
    names = ("bleu", "chrf", "exact", "loss")
    lines = [f"{'':<36}" + "".join(f"{name:>10}" for name in names)]
    for row, some in rows.items():
        figures = (f"{some[n]:>10.{2 if n in ('bleu', 'chrf') else 4}f}" if n in some else "" for n in names)
        lines.append(f"{row[:36]:<36}" + "".join(figures))
    return "\n".join([*lines, "", *next(iter(rows.values()))["signatures"].values()])
