"""The network's share in forecasts, chosen by the losses of forecasts with it on held-out windows. Plain numpy."""

from __future__ import annotations

import numpy as np

from ...metrics.comparison import standard_error
from ..baselines import by_losses

SHARES = np.arange(21) / 20  # of the network that are tried
_POWER = 2  # of one over the losses, by which shares go
_CERTAIN = 2.0  # standard errors of another share's advantage from which on it is taken
_LARGER = 0.5  # what counts of what speaks for a larger one
_USUAL, _AS_MUCH = 1 / 3, 3  # a share, and of how many stretches of held-out time their losses count as much
_FEW_BLOCKS = 10  # of held-out time, at which a standard error counts 1.4 times
_LEAST = 0.05  # smaller shares are not worth a network


def chosen_share(losses: np.ndarray, blocks: np.ndarray) -> float:
    """The network's share by the losses of forecasts with it: all measures count alike, beside those of share 0.

    Two forecasts together are nearly always better than the better one, and which shares were best on one stretch of
    time says little of those that will be. So it is the share by the losses of each alone or, where few stretches were
    held out, near a third; or, as far as two standard errors speak for it, the one that was best. A larger share counts
    half, in standard errors and in the way to it: the network's weights were chosen on these very windows.

    Chosen on 13 data sets, among some 30 rules: by the mean of five measures it is within .2 % of the best, whichever
    set is left out. The third was chosen on 259 pieces of training parts (docs/forecasting.md).

    Args:
        losses: (shares, measures, N windows) with each of `SHARES`: squared and absolute errors, the pinball loss of
            quantiles and, where all values are above 0, relative errors.
        blocks: (N,) which windows belong to one stretch of time of one series.
    """
    if (total := _in_one(losses)) is None:
        return 0.0
    mean = total.mean(-1)
    few = _AS_MUCH / (_AS_MUCH + len(np.unique(blocks)))
    by_each = few * _USUAL + (1 - few) * float(by_losses(mean[[0, -1]], _POWER)[1])
    prior = int(np.round(by_each * (len(SHARES) - 1)))
    best = int(mean.argmin())
    # Weights were chosen on these windows, among those of all validations.
    counts = _LARGER if best > prior else 1.0
    return _moved(float(SHARES[prior]), best, counts * _trust(total[prior] - total[best], blocks, counts))


def own_shares(losses: np.ndarray, blocks: np.ndarray, series: np.ndarray, share: float) -> dict[int, float]:
    """Shares of series that are surely better off with another one than all together, by the numbers of the series.

    As far as two standard errors speak for it, the share is the one that was best for the series. One stretch of time
    has no standard error: two are the least. Of 16 rules, shrunk and by losses, it is the best of 9 data sets
    whichever is left out (docs/forecasting.md).

    Args:
        losses, blocks: As for `chosen_share`.
        series: (N,) which series a window is of.
        share: Of all.
    """
    total = _in_one(losses)
    if total is None or share == 0:
        return {}
    found = {}
    for one in np.unique(series):
        own, block = total[:, series == one], blocks[series == one]
        best, now = int(own.mean(-1).argmin()), int(np.round(share * (len(SHARES) - 1)))
        if block.min() < block.max() and best != now:
            moved = _moved(share, best, _trust(own[now] - own[best], block))
            if moved != share:
                found[int(one)] = moved
    return found


def _in_one(losses: np.ndarray) -> np.ndarray | None:
    """(shares, N) mean of all measures, each beside its mean with share 0; None where there is nothing to lose."""
    unit = losses[0].mean(-1) if losses.shape[-1] else np.zeros(1)
    return (losses / unit[:, None]).mean(1) if (unit > 0).all() else None


def _trust(gains: np.ndarray, blocks: np.ndarray, counts: float = 1.0) -> float:
    """From 0 to 1, how far these gains (N,) are to be believed in; so much counts of them."""
    others = len(np.unique(blocks)) - 1  # few tell little
    error = standard_error(gains, blocks) * np.sqrt((others + _FEW_BLOCKS) / max(1, others))
    return float(np.clip(counts * gains.mean() / error / _CERTAIN, 0.0, 1.0)) if error > 0 else 0.0


def _moved(share: float, best: int, way: float) -> float:
    """So much of the way from one share to the best."""
    found = float(np.round(share + way * (SHARES[best] - share), 2))
    return found if found >= _LEAST else 0.0
