"""What is forecast of each value: quantiles, or a distribution. One class per head.

A network gives each value P outputs, in the units of its normalised window. The linear part of the network is added to
those whose `location_mask` is 1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import softplus

from ...errors import ModelFileError

_LEAST = 1e-4  # of a scale, so that no likelihood is infinite


class Quantiles:
    """Quantiles at given levels, by the pinball loss (Koenker & Bassett 1978); the point forecast is the median."""

    def __init__(self, levels: Sequence[float]):
        self.levels = torch.tensor(list(levels))
        self.location_mask = (1.0,) * len(levels)
        self._median = list(levels).index(0.5)

    def start(self, residuals: np.ndarray) -> np.ndarray:
        """(H, P) outputs that fit the residuals of the linear part, (N, H)."""
        return np.quantile(residuals, self.levels.double().numpy(), axis=0).T

    def loss(self, out: Tensor, target: Tensor, scale: Tensor) -> Tensor:
        """Of each value, given outputs (..., P), targets (...) in normalised units, and the window's scale (...)."""
        above = target[..., None] - out
        levels = self.levels.to(out.device)
        # Twice the pinball loss: for the median alone, the absolute error.
        return 2 * torch.maximum(levels * above, (levels - 1) * above).mean(-1)

    def point(self, out: Tensor, scale: Tensor) -> Tensor:
        return self.quantiles(out)[..., self._median]

    def quantiles(self, out: Tensor) -> Tensor:
        # Sorted, so that they never cross; each stays at least as good (Chernozhukov et al. 2010).
        return out.sort(-1).values


class Gaussian:
    """Normal distribution, by its likelihood."""

    location_mask = (1.0, 0.0)

    def start(self, residuals: np.ndarray) -> np.ndarray:
        return np.stack([residuals.mean(0), _unsoft(residuals.std(0))], -1)

    def loss(self, out: Tensor, target: Tensor, scale: Tensor) -> Tensor:
        sigma = softplus(out[..., 1]) + _LEAST
        return 0.5 * ((target - out[..., 0]) / sigma) ** 2 + sigma.log() + 0.5 * math.log(2 * math.pi)

    def point(self, out: Tensor, scale: Tensor) -> Tensor:
        return out[..., 0]

    def draw(self, out: Tensor, scale: Tensor, noise: torch.Generator) -> Tensor:
        """A sample of each value, in normalised units."""
        normal = torch.empty_like(out[..., 0]).normal_(generator=noise)
        return out[..., 0] + (softplus(out[..., 1]) + _LEAST) * normal


class StudentT:
    """Student's t: heavy tails, with degrees of freedom above 2 so that the variance is finite."""

    location_mask = (1.0, 0.0, 0.0)

    def start(self, residuals: np.ndarray) -> np.ndarray:
        middle = np.median(residuals, axis=0)
        std = 1.4 * np.median(np.abs(residuals - middle), axis=0)
        return np.stack([middle, _unsoft(std), np.full_like(middle, 3.0)], -1)

    def loss(self, out: Tensor, target: Tensor, scale: Tensor) -> Tensor:
        sigma, df = self._shape(out)
        z = (target - out[..., 0]) / sigma
        norm = torch.lgamma(df / 2) - torch.lgamma((df + 1) / 2) + 0.5 * (df * math.pi).log() + sigma.log()
        return norm + (df + 1) / 2 * torch.log1p(z**2 / df)

    def point(self, out: Tensor, scale: Tensor) -> Tensor:
        return out[..., 0]

    def draw(self, out: Tensor, scale: Tensor, noise: torch.Generator) -> Tensor:
        sigma, df = self._shape(out)
        normal = torch.empty_like(sigma).normal_(generator=noise)
        return out[..., 0] + sigma * normal * (df / (2 * _gamma(df / 2, noise))).sqrt()

    @staticmethod
    def _shape(out: Tensor) -> tuple[Tensor, Tensor]:
        return softplus(out[..., 1]) + _LEAST, 2 + softplus(out[..., 2])


class NegativeBinomial:
    """Counts, whose variance mu + alpha mu^2 is above their mean (Salinas et al. 2020, DeepAR, section 3.1)."""

    location_mask = (1.0, 0.0)

    def start(self, residuals: np.ndarray) -> np.ndarray:
        return np.stack([residuals.mean(0), np.full(residuals.shape[1], -1.0)], -1)

    def loss(self, out: Tensor, target: Tensor, scale: Tensor) -> Tensor:
        mu, alpha = self._shape(out, scale)
        count, size = target * scale, 1 / alpha
        chosen = torch.lgamma(count + size) - torch.lgamma(count + 1) - torch.lgamma(size)
        return -(chosen - size * torch.log1p(alpha * mu) + count * (alpha * mu / (1 + alpha * mu)).log())

    def point(self, out: Tensor, scale: Tensor) -> Tensor:
        return self._shape(out, scale)[0] / scale

    def draw(self, out: Tensor, scale: Tensor, noise: torch.Generator) -> Tensor:
        mu, alpha = self._shape(out, scale)
        rate = _gamma(1 / alpha, noise) * alpha * mu
        if not rate.isfinite().all():
            raise ModelFileError("the model's forecasts are not numbers: its weights are too large. Train it again")
        return torch.poisson(rate, generator=noise) / scale

    @staticmethod
    def _shape(out: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
        # beta=10: nearly the identity above 0.3, so that what the linear part predicts is the mean.
        return (softplus(out[..., 0], beta=10) + _LEAST) * scale, softplus(out[..., 1]) + _LEAST


Head = Quantiles | Gaussian | StudentT | NegativeBinomial
DISTRIBUTIONS: dict[str, type[Gaussian] | type[StudentT] | type[NegativeBinomial]] = {
    "gaussian": Gaussian,
    "student-t": StudentT,
    "negative-binomial": NegativeBinomial,
}


def head_of(name: str, levels: Sequence[float]) -> Head:
    """The head of a name; `levels` are of its quantiles, if it has them."""
    return Quantiles(levels) if name == "quantiles" else DISTRIBUTIONS[name]()


def _unsoft(value: np.ndarray) -> np.ndarray:
    """Inverse of softplus, for standard deviations no larger than those of a window."""
    return np.log(np.expm1(np.clip(value, 1e-3, 20.0)))


def _gamma(shape: Tensor, noise: torch.Generator) -> Tensor:
    """Samples of the gamma distribution with rate 1; PyTorch's public functions take no generator of one's own."""
    return torch._standard_gamma(shape, generator=noise)
