"""How forecasts are weighed: shares that sum to 1, chosen by their errors on held-out windows. Plain numpy."""

from __future__ import annotations

import numpy as np

from ....metrics.comparison import standard_error

_ROUNDS, _STEPS = 8, 200
_LEAST = 0.02  # smaller shares are left out
_CERTAIN = 3.0  # standard errors of an advantage over the reference from which on it has no price
_BETTER = 2.0  # and of that of a mean over the best alone from which on it is believed
_TINY = 1e-3  # of the least mean error


def shares_of(
    errors: np.ndarray, blocks: np.ndarray, reference: int = 0, relative: np.ndarray | None = None
) -> np.ndarray:
    """(K,) shares of the forecasts with these errors (K, N, H), such that those of their weighted mean are least.

    Squared, absolute and relative errors count alike, each divided by its least value of a single forecast: shares for
    one alone are often poor by the others. Windows overlap and seasons come and go, so an advantage over the reference
    may be chance: a forecast pays for its share what the standard error of its advantage is, over blocks of windows,
    and the less, the surer its advantage is; from three standard errors on, nothing. And the mean itself, whose shares
    were fitted, counts beside the best forecast alone as far as it is better by two standard errors.

    Args:
        errors: In units in which they can be compared; 0 where there is nothing to compare with.
        blocks: (N,) which windows belong to one stretch of time, of all or of one series.
        reference: Of the K, the one that needs no evidence.
        relative: (N, H) factors that make them relative errors; None if those say nothing.

    Source: Breiman (1996), "Stacked regressions", Machine Learning 24.
    """
    K, N = errors.shape[:2]
    if K == 1 or not N:
        return np.eye(K)[reference]
    squares = np.square(errors).mean(-1)  # (K, N)
    square = squares.mean(-1).min()
    # What absolute errors count, and relative ones.
    factors = [np.ones(errors.shape[1:]), *([] if relative is None else [relative])]
    sizes = [np.abs(factor * errors).mean((1, 2)).min() for factor in factors]
    if not (square > 0 and min(sizes) > 0):  # one is without error
        return np.eye(K)[squares.mean(-1).argmin()]
    kinds = 1 + len(factors)
    weights = np.sum([factor / size for factor, size in zip(factors, sizes, strict=True)], axis=0)
    losses = _losses(errors, square, weights) / kinds
    price = _price(losses - losses[reference], blocks)
    flat = errors.reshape(K, -1)
    shares = np.full(K, 1 / K)
    for _ in range(_ROUNDS):
        # |e| is below (e^2 / |e0| + |e0|) / 2, which touches it at e0: so each round minimises squares alone.
        least = np.maximum(np.abs(shares @ flat), _TINY * sizes[0])
        weight = (1 / square + 0.5 * weights.ravel() / least) / kinds
        shares = _least((weight * flat) @ flat.T / flat.shape[1], price, shares)
    alone = np.eye(K)[int((losses.mean(-1) + price).argmin())]
    mean = np.tensordot(shares, errors, 1)
    gain = alone @ losses - _losses(mean, square, weights) / kinds
    error = standard_error(gain, blocks)
    trust = float(np.clip(gain.mean() / error / _BETTER, 0.0, 1.0)) if error > 0 else 0.0
    return without_small(trust * shares + (1 - trust) * alone)


def without_small(shares: np.ndarray) -> np.ndarray:
    """The same, without shares that are not worth a forecast."""
    kept = np.where(shares < min(_LEAST, shares.max()), 0.0, shares)
    return np.asarray(kept / kept.sum())


def losses_of(errors: np.ndarray, relative: np.ndarray | None = None) -> np.ndarray:
    """(K,) what `shares_of` minimises, of each of the forecasts alone; 1 is best by all measures."""
    kinds = [np.square(errors), np.abs(errors), *([] if relative is None else [relative * np.abs(errors)])]
    means = np.stack([kind.mean((1, 2)) for kind in kinds])
    return np.asarray((means / np.maximum(means.min(1, keepdims=True), 1e-300)).mean(0))


def _losses(errors: np.ndarray, square: float, weights: np.ndarray) -> np.ndarray:
    """(..., N) squared errors in units of `square`, and absolute ones times their weights (N, H)."""
    return np.asarray((np.square(errors) / square + weights * np.abs(errors)).mean(-1))


def _price(differences: np.ndarray, blocks: np.ndarray) -> np.ndarray:
    """(K,) of a share, given the differences (K, N) between each forecast's losses and the reference's."""
    found = np.zeros(len(differences))
    for k, own in enumerate(differences):
        error = standard_error(own, blocks)
        if error > 0:
            found[k] = error * np.clip(1 + own.mean() / error / _CERTAIN, 0.0, 1.0)
    return found


def _least(products: np.ndarray, price: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Shares s of least s @ products @ s + price @ s, by exponentiated gradients (Kivinen & Warmuth 1997)."""
    rate = 1 / np.abs(products).max()
    shares = 0.9 * shares + 0.1 / len(shares)
    for _ in range(_STEPS):
        gradient = 2 * products @ shares + price
        shares = shares * np.exp(rate * (gradient.min() - gradient))
        shares /= shares.sum()
    return shares
