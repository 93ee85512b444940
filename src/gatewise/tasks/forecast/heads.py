"""What is forecast of each value: quantiles, or a distribution. One class per head.

A network gives each value P outputs, in the units of its normalised window. The linear part of the network is added to
those whose `location_mask` is 1. What is learned by is in `losses`.
"""

from __future__ import annotations

from collections.abc import Sequence
from zlib import crc32

import numpy as np

from ...errors import ModelFileError

LEAST = 1e-4  # of a scale, so that no likelihood is infinite
SHARPNESS = 10  # of the softplus of a mean of counts: nearly the identity above 0.3

_MOST_COUNT = 1e18  # beyond it there is no Poisson distribution to draw from


class Quantiles:
    """Quantiles at given levels; the point forecast is the median."""

    def __init__(self, levels: Sequence[float]):
        self.levels = tuple(levels)
        self.location_mask = (1.0,) * len(levels)
        self._median = list(levels).index(0.5)

    def start(self, residuals: np.ndarray) -> np.ndarray:
        """(H, P) outputs that fit the residuals of the linear part, (N, H)."""
        return np.quantile(residuals, np.array(self.levels, np.float32).astype(np.float64), axis=0).T

    def point(self, out: np.ndarray, scale: np.ndarray) -> np.ndarray:
        """The point forecast (...), of outputs (..., P), in normalised units; `scale` (...) is the window's."""
        return self.quantiles(out)[..., self._median]

    def quantiles(self, out: np.ndarray) -> np.ndarray:
        # Sorted, so that they never cross; each stays at least as good (Chernozhukov et al. 2010).
        return np.sort(out, -1)


class Gaussian:
    """Normal distribution."""

    location_mask = (1.0, 0.0)

    def start(self, residuals: np.ndarray) -> np.ndarray:
        return np.stack([residuals.mean(0), _unsoft(residuals.std(0))], -1)

    def point(self, out: np.ndarray, scale: np.ndarray) -> np.ndarray:
        return out[..., 0]

    def draw(self, out: np.ndarray, scale: np.ndarray, rng: Draws) -> np.ndarray:
        """A sample of each value, in normalised units."""
        return out[..., 0] + (softplus(out[..., 1]) + LEAST) * _normal(out, rng)


class StudentT:
    """Student's t: heavy tails, with degrees of freedom above 2 so that the variance is finite."""

    location_mask = (1.0, 0.0, 0.0)

    def start(self, residuals: np.ndarray) -> np.ndarray:
        middle = np.median(residuals, axis=0)
        std = 1.4 * np.median(np.abs(residuals - middle), axis=0)
        return np.stack([middle, _unsoft(std), np.full_like(middle, 3.0)], -1)

    def point(self, out: np.ndarray, scale: np.ndarray) -> np.ndarray:
        return out[..., 0]

    def draw(self, out: np.ndarray, scale: np.ndarray, rng: Draws) -> np.ndarray:
        sigma, df = softplus(out[..., 1]) + LEAST, 2 + softplus(out[..., 2])
        normal = _normal(out, rng)
        return out[..., 0] + sigma * normal * np.sqrt(df / (2 * rng.standard_gamma(df / 2))).astype(out.dtype)


class NegativeBinomial:
    """Counts, whose variance mu + alpha mu^2 is above their mean (Salinas et al. 2020, DeepAR, section 3.1)."""

    location_mask = (1.0, 0.0)

    def start(self, residuals: np.ndarray) -> np.ndarray:
        return np.stack([residuals.mean(0), np.full(residuals.shape[1], -1.0)], -1)

    def point(self, out: np.ndarray, scale: np.ndarray) -> np.ndarray:
        return self._shape(out, scale)[0] / scale

    def draw(self, out: np.ndarray, scale: np.ndarray, rng: Draws) -> np.ndarray:
        with np.errstate(over="ignore", invalid="ignore"):
            mu, alpha = self._shape(out, scale)
            rate = rng.standard_gamma(1 / alpha) * alpha * mu
        if not (rate < _MOST_COUNT).all():
            raise ModelFileError("the model's forecasts are not numbers: its weights are too large. Train it again")
        return (rng.poisson(rate) / scale).astype(out.dtype)

    @staticmethod
    def _shape(out: np.ndarray, scale: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return (softplus(out[..., 0], SHARPNESS) + LEAST) * scale, softplus(out[..., 1]) + LEAST


Head = Quantiles | Gaussian | StudentT | NegativeBinomial
DISTRIBUTIONS: dict[str, type[Gaussian] | type[StudentT] | type[NegativeBinomial]] = {
    "gaussian": Gaussian,
    "student-t": StudentT,
    "negative-binomial": NegativeBinomial,
}


class Draws:
    """What heads draw with: a generator for each window, seeded by what it holds.

    So what is drawn for a window does not depend on the windows beside it, nor on where it stands among them.

    Args:
        windows: (B, ...).
        seed: Of all of them.
    """

    def __init__(self, windows: np.ndarray, seed: list[int]):
        self._each = [np.random.default_rng([*seed, crc32(own.tobytes())]) for own in windows]

    # As numpy's generators, of which each draws for as many rows as there are for a window: (B * rows, ...).

    def standard_normal(self, shape: Sequence[int]) -> np.ndarray:
        own = (shape[0] // len(self._each), *shape[1:])
        return np.concatenate([rng.standard_normal(own) for rng in self._each])

    def standard_gamma(self, shape: np.ndarray) -> np.ndarray:
        return self._of_rows("standard_gamma", shape)

    def poisson(self, rate: np.ndarray) -> np.ndarray:
        return self._of_rows("poisson", rate)

    def permuted(self, paths: np.ndarray) -> np.ndarray:
        """(S, B, ...), each window's along the first axis."""
        return np.stack([rng.permuted(paths[:, b], axis=0) for b, rng in enumerate(self._each)], 1)

    def _of_rows(self, name: str, values: np.ndarray) -> np.ndarray:
        parts = np.split(values, len(self._each))
        return np.concatenate([getattr(rng, name)(own) for rng, own in zip(self._each, parts, strict=True)])


def head_of(name: str, levels: Sequence[float]) -> Head:
    """The head of a name; `levels` are of its quantiles, if it has them."""
    return Quantiles(levels) if name == "quantiles" else DISTRIBUTIONS[name]()


def softplus(x: np.ndarray, sharpness: float = 1.0) -> np.ndarray:
    """log(1 + exp(sharpness x)) / sharpness."""
    return np.asarray(np.logaddexp(sharpness * x, np.zeros((), x.dtype)) / sharpness)


def _unsoft(value: np.ndarray) -> np.ndarray:
    """Inverse of softplus, for standard deviations no larger than those of a window."""
    return np.log(np.expm1(np.clip(value, 1e-3, 20.0)))


def _normal(out: np.ndarray, rng: Draws) -> np.ndarray:
    """A standard normal number for each value of outputs (..., P)."""
    return rng.standard_normal(out.shape[:-1]).astype(out.dtype)
