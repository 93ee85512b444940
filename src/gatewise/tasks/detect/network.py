"""How the networks of `detect` are trained: they predict steps, reconstruct windows, or both."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from ...ranks import total
from ...runtime.network import Block
from ..network import Network
from .architecture import FREEDOM, LEAST_SCALE, predict_steps, reconstruct

_LOG_NORM_STUDENT = math.lgamma(FREEDOM / 2) - math.lgamma((FREEDOM + 1) / 2) + 0.5 * math.log(FREEDOM * math.pi)
_LOG_NORM_GAUSSIAN = 0.5 * math.log(2 * math.pi)


class Detection(Network):
    """Each part gives a location and a scale for every value.

    Args:
        parts: See `architecture`.
        distribution: Error distribution, "gaussian" or "student".

    Shape:
        values: (T, B, D), standardised; a missing one repeats the last observed one.
        observed: (T, B, D), 1 or 0.
    """

    def __init__(self, parts: Block, *, distribution: str):
        super().__init__(parts)
        self.distribution = distribution
        if self.predictor is not None:  # at first it predicts no change
            nn.init.zeros_(self.predictor.head.weight)
            nn.init.zeros_(self.predictor.head.bias)

    def predicted(self, values: Tensor, observed: Tensor) -> tuple[Tensor, Tensor]:
        """Location and scale (T, B, D) of the step after each."""
        y, _ = predict_steps(self, {"values": values, "observed": observed, "state": None})
        change, scale = self.predictor.head(y).chunk(2, -1)
        return values + change, softplus(scale) + LEAST_SCALE

    def reconstructed(self, values: Tensor, observed: Tensor) -> tuple[Tensor, Tensor]:
        """Location and scale (T, B, D) of each step of the windows."""
        backwards = reconstruct(self, {"values": values, "observed": observed})
        location, scale = self.autoencoder.head(backwards.flip(0)).chunk(2, -1)
        return location, softplus(scale) + LEAST_SCALE

    # What the training loop asks for: `training.Trainable`.

    def training_loss(self, batch: tuple[Tensor, Tensor]) -> Tensor:
        nats, count = self._sums(*batch)
        return nats / max(total(count), 1)

    def validation_sums(self, batch: tuple[Tensor, Tensor]) -> tuple[Tensor, int]:
        return self._sums(*batch)

    def work(self, batch: tuple[Tensor, Tensor]) -> list[float]:
        return [1.0] * batch[0].shape[1]

    def rows(self, batch: tuple[Tensor, Tensor], places: Tensor) -> tuple[Tensor, Tensor]:
        values, observed = batch
        return values[:, places], observed[:, places]

    def _sums(self, values: Tensor, observed: Tensor) -> tuple[Tensor, int]:
        nats: Any = 0.0
        count = 0
        targets, wanted = values[1:], observed[1:]
        if self.predictor is not None:
            nats = nats + self._nats(self.predicted(values[:-1], observed[:-1]), targets, wanted)
            count += int(wanted.sum())
        if self.autoencoder is not None:
            nats = nats + self._nats(self.reconstructed(targets, wanted), targets, wanted)
            count += int(wanted.sum())
        return nats, count

    def _nats(self, given: tuple[Tensor, Tensor], values: Tensor, observed: Tensor) -> Tensor:
        """Summed negative log-likelihood of the observed values."""
        location, scale = given
        z = (values - location) / scale
        if self.distribution == "student":
            energy = (FREEDOM + 1) / 2 * torch.log1p(z * z / FREEDOM) + _LOG_NORM_STUDENT
        else:
            energy = 0.5 * z * z + _LOG_NORM_GAUSSIAN
        return ((energy + scale.log()) * observed).sum()
