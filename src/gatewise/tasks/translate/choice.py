"""Which texts a plain method answers instead of the network, chosen by held-out pairs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...data.paired.pairs import Pairs
from ...metrics.text import chrf_of_each
from .baselines import MOST_CHOOSING, Plain

_CERTAIN = 1.0  # standard errors by which a threshold must be better than one of both alone


def least_alike(similar: np.ndarray, gains: np.ndarray) -> float | None:
    """How similar to a text a source of training must at least be for the plain method to answer; None: it never does.

    What is kept is the threshold whose answers gain most, if that is more than one standard error above the better one
    of network and plain method alone; else that one, as few pairs would find a threshold in what is chance.

    Args:
        similar: (N,) of each held-out pair, from 0 to 1; see `baselines.Plain.best`.
        gains: (N,) by how much the plain method's text is better than the network's.
    """
    order = np.argsort(-similar, kind="stable")
    alike, gained = similar[order], gains[order]
    N = len(alike)
    apart = np.concatenate([[True], alike[1:] < alike[:-1], [True]])  # equal ones are answered alike
    totals = np.where(apart, np.concatenate([[0.0], np.cumsum(gained)]), -np.inf)
    best, alone = int(totals.argmax()), N if totals[-1] > 0 else 0
    if best not in (0, N):
        changed = gained * ((np.arange(N) < best) if alone == 0 else -(np.arange(N) >= best).astype(float))
        if changed.sum() <= _CERTAIN * np.sqrt(N) * changed.std():
            best = alone
    if best == 0:
        return None
    return 0.0 if best == N else float(alike[best - 1] + alike[best]) / 2


def chosen(plain: Plain, held_out: Pairs, written: Sequence[str]) -> tuple[float | None, float]:
    """The same for the strongest plain method, by chrF of held-out pairs, of many by the first; and the share of these
    that it answers then.

    Args:
        written: What the network writes of each.
    """
    some = held_out.take(range(min(len(held_out), MOST_CHOOSING)))
    texts, alike = zip(*(plain.best(source, 1)[0] for source in some.sources), strict=True)
    similar, targets = np.array(alike), some.targets or []
    gains = chrf_of_each(texts, targets) - chrf_of_each(written[: len(some)], targets)
    found = least_alike(similar, gains)
    return found, 0.0 if found is None else float((similar >= found).mean())


def told(strongest: str, found: float | None, share: float, seconds: float) -> str:
    """What was chosen, as a sentence for the user.

    Args:
        share: Of the validation part that the plain method answers.
    """
    if found is None:
        who = f"The network answers all texts: {strongest} is not better for any that it knows to be similar"
    elif found == 0:
        who = f"{strongest} answers all texts: the network is not better"
    else:
        who = f"{strongest} answers texts that are at least {found:.2f} similar to one of training, {share:.0%} of the"
        who += " validation part; the network the others"
    return f"{who} (chosen by validation in {seconds:.1f} s)."
