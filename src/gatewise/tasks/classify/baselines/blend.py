"""In which shares methods predict together, chosen on sequences that none of them learned from.

Letters: N sequences, K outputs.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ...baselines import by_losses
from ..targets import Targets

# Evidence, in sequences, for each method, and nats that one more sequence would cost, before any is seen. Few held-out
# sequences are then no reason to trust one method alone.
_EVIDENCE = 0.5
_LEAST = 0.05  # share, below which a method is left out
_ROUNDS = 200
_SHARES = tuple(k / 20 for k in range(21))  # of the networks, that are tried
_CERTAIN = 2.0  # standard errors of an advantage from which on it is believed
_FEW = 10  # sequences, of which a standard error counts 1.4 times
_TEMPERATURES = (1.0, 0.85, 0.7, 0.6, 0.5, 1.2, 1.5, 2.0)  # that are tried; the first of equally good ones counts


def plain_shares(
    targets: Targets, truth: np.ndarray, found: Mapping[str, np.ndarray], weights: np.ndarray | None = None
) -> dict[str, float]:
    """Shares by name, 1 in all, with which these predictions (N, K) lose least together, or the best one's alone if
    that is as good.

    Probabilities are mixed by expectation maximisation; for numbers, methods are added one at a time, as often as each
    helps.

    Args:
        truth: (N,) or (N, L), as `Targets.encode` gives it.
        found: By name; those with predictions that are not finite have no share.
        weights: (N,) of the sequences; all equal, if omitted.

    Source: Caruana et al. (2004), "Ensemble selection from libraries of models", ICML.
    """
    names = [name for name, values in found.items() if np.isfinite(values).all()]
    losses = {name: _loss(targets, truth, found[name], weights) for name in names}
    best = min(names, key=lambda name: losses[name])
    shares = _mixed(targets, truth, {name: found[name] for name in names}, weights)
    kept = {name: share for name, share in shares.items() if share >= _LEAST}
    total = sum(kept.values())
    shares = {name: share / total for name, share in kept.items()}
    together = _loss(targets, truth, mixture(found, shares), weights)
    return shares if together < losses[best] else {best: 1.0}


def _mixed(
    targets: Targets, truth: np.ndarray, found: Mapping[str, np.ndarray], weights: np.ndarray | None
) -> dict[str, float]:
    stacked = np.stack([*found.values()])
    if targets.kind == "number":
        chosen, total = np.full(len(stacked), _EVIDENCE), stacked.sum(0) * _EVIDENCE
        for _ in range(_ROUNDS // 4):
            losses = [targets.loss(truth, (total + each) / (chosen.sum() + 1)) for each in stacked]
            at = int(np.argmin(losses))
            chosen[at] += 1
            total = total + stacked[at]
        return dict(zip(found, chosen / chosen.sum(), strict=True))
    right = np.maximum(_of_truth(targets, truth, stacked), 1e-7)  # (methods, N) or (methods, N * L)
    cells = right.shape[1] // len(truth)
    weight = np.ones(len(truth)) if weights is None else weights / weights.mean()
    weight = np.repeat(weight, cells) / cells
    shares = np.full(len(right), 1 / len(right))
    for _ in range(_ROUNDS):
        each = shares[:, None] * right
        counts = (each / each.sum(0)) @ weight + _EVIDENCE
        shares = counts / counts.sum()
    return dict(zip(found, shares.tolist(), strict=True))


def _of_truth(targets: Targets, truth: np.ndarray, stacked: np.ndarray) -> np.ndarray:
    """Probabilities of what is true."""
    if targets.kind == "category":
        return np.asarray(stacked[:, np.arange(len(truth)), truth])
    return np.where(truth > 0, stacked, 1 - stacked).reshape(len(stacked), -1)


def _loss(targets: Targets, truth: np.ndarray, scores: np.ndarray, weights: np.ndarray | None) -> float:
    if weights is None:
        return targets.loss(truth, scores)
    logs = np.log(np.maximum(scores[np.arange(len(truth)), truth], 1e-7))
    return float(-(logs * weights).sum() / weights.sum())


def mixture(found: Mapping[str, np.ndarray], shares: Mapping[str, float]) -> np.ndarray:
    """(N, K): these predictions in these shares."""
    return np.asarray(sum(share * found[name] for name, share in shares.items()))


def network_share(
    targets: Targets,
    truth: np.ndarray,
    networks: np.ndarray,
    plain: np.ndarray,
    *,
    share: float | None = None,
    weights: np.ndarray | None = None,
) -> tuple[float, float]:
    """The networks' share, and the temperature with which they lose least alone.

    Training with smoothed labels makes networks look less sure than they are. Without a temperature, a plain method
    that is sure of itself would get too large a share.

    Shares that were best on a few sequences are often poor on others. So it is the share by the losses of each alone
    or, where the best one is better than that by two standard errors, the nearest to it that the best is not.

    Args:
        networks, plain: (N, K) predictions.
        share: Given by the user.
        weights: (N,) of the sequences; all equal, if omitted.
    """
    temperatures = _TEMPERATURES if targets.kind != "number" else (1.0,)
    temperature = min(temperatures, key=lambda t: _loss(targets, truth, targets.tempered(networks, t), weights))
    if share is not None:
        return share, temperature
    tempered = targets.tempered(networks, temperature)
    losses = np.stack([targets.losses(truth, own * tempered + (1 - own) * plain) for own in _SHARES])
    if weights is not None:
        losses = losses * (weights / weights.mean())
    mean = losses.mean(1)
    first, best = round(_by_losses(targets, mean, len(truth)) * (len(_SHARES) - 1)), int(mean.argmin())
    between = range(first, best, 1 if best > first else -1)
    chosen = next((at for at in between if not _surely_less(losses[best], losses[at])), best)
    return _SHARES[chosen] if _SHARES[chosen] > _LEAST else 0.0, temperature


def _by_losses(targets: Targets, mean: np.ndarray, count: int) -> float:
    """The networks' share by the losses of each method alone, the first and the last of these."""
    alone = mean[[0, -1]]
    if targets.kind == "number":
        return float(by_losses(alone, 1)[1])
    # Not a single mistake among few sequences is no certainty.
    return float(by_losses((alone * count + _EVIDENCE) / (count + 1), 2)[1])


def _surely_less(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether the mean of the losses (N,) of one is less than that of the other by two standard errors."""
    gain = other - one
    error = gain.std() / np.sqrt(len(gain)) * np.sqrt(1 + _FEW / len(gain))
    return bool(gain.mean() > _CERTAIN * error)
