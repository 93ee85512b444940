"""The networks of `detect`: one predicts each step from those before it, one is an autoencoder of windows."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from ...algebra import Cell
from ...nn import Recurrent
from ..network import Network
from .predictor import FREEDOM, LEAST_SCALE, predict_steps, reconstruct

_LOG_NORM_STUDENT = math.lgamma(FREEDOM / 2) - math.lgamma((FREEDOM + 1) / 2) + 0.5 * math.log(FREEDOM * math.pi)
_LOG_NORM_GAUSSIAN = 0.5 * math.log(2 * math.pi)


class Detection(Network):
    """Predicts steps, reconstructs windows, or both; each gives a location and a scale for every value.

    Args:
        method: "prediction", "reconstruction" or "both".
        distribution: Error distribution, "gaussian" or "student".
        cell: The recurrent cell.
        channels: Values per step, D.
        hidden_size: Units per layer, H.
        num_layers: Recurrent layers of each network.
        window: Steps of a window, L.
        regularisation: Dropout and the like of the layers; see `Recurrent`.

    Shape:
        values: (T, B, D), standardised; a missing one repeats the last observed one.
        observed: (T, B, D), 1 or 0.
    """

    def __init__(
        self,
        *,
        method: str,
        distribution: str,
        cell: Cell,
        channels: int,
        hidden_size: int,
        num_layers: int,
        window: int,
        **regularisation: Any,
    ):
        super().__init__()
        self.distribution, self.window = distribution, window
        sizes = {"channels": channels, "hidden_size": hidden_size, "num_layers": num_layers, **regularisation}
        self.predictor = StepPredictor(cell, **sizes) if method != "reconstruction" else None
        self.autoencoder = Autoencoder(cell, **sizes) if method != "prediction" else None

    @property
    def layers(self) -> Recurrent:
        """Recurrent layers; where there are several networks, all run the same cell."""
        if self.predictor is not None:
            return self.predictor.layers
        assert self.autoencoder is not None
        return self.autoencoder.encoder

    # Parts of the forward pass; see `predictor`.

    @staticmethod
    def features(values: Tensor, observed: Tensor) -> Tensor:
        """(T, B, 2 D) what the layers read: values, with outliers squashed, and which of them are observed."""
        return torch.cat([torch.asinh(values), observed], -1)

    def heads(self) -> dict[str, Any]:
        """Weight (2 D, H) and bias (2 D,) of each network's output layer, as arrays."""
        parts = {"predictor": self.predictor, "autoencoder": self.autoencoder}
        return {
            name: (part.head.weight.detach().numpy(), part.head.bias.detach().numpy())
            for name, part in parts.items()
            if part is not None
        }

    def predicted(self, values: Tensor, observed: Tensor) -> tuple[Tensor, Tensor]:
        """Location and scale (T, B, D) of the step after each."""
        assert self.predictor is not None
        y, _ = predict_steps(self, {"values": values, "observed": observed, "state": None})
        change, scale = self.predictor.head(y).chunk(2, -1)
        return values + change, softplus(scale) + LEAST_SCALE

    def reconstructed(self, values: Tensor, observed: Tensor) -> tuple[Tensor, Tensor]:
        """Location and scale (T, B, D) of each step of the windows."""
        assert self.autoencoder is not None
        backwards = reconstruct(self, {"values": values, "observed": observed})
        location, scale = self.autoencoder.head(backwards.flip(0)).chunk(2, -1)
        return location, softplus(scale) + LEAST_SCALE

    # What the training loop asks for: `training.Trainable`.

    def training_loss(self, batch: tuple[Tensor, Tensor]) -> Tensor:
        total, count = self._sums(*batch)
        return total / max(count, 1)

    def validation_sums(self, batch: tuple[Tensor, Tensor]) -> tuple[Tensor, int]:
        return self._sums(*batch)

    def _sums(self, values: Tensor, observed: Tensor) -> tuple[Tensor, int]:
        total: Any = 0.0
        count = 0
        targets, wanted = values[1:], observed[1:]
        if self.predictor is not None:
            total = total + self._nats(self.predicted(values[:-1], observed[:-1]), targets, wanted)
            count += int(wanted.sum())
        if self.autoencoder is not None:
            total = total + self._nats(self.reconstructed(targets, wanted), targets, wanted)
            count += int(wanted.sum())
        return total, count

    def _nats(self, given: tuple[Tensor, Tensor], values: Tensor, observed: Tensor) -> Tensor:
        """Summed negative log-likelihood of the observed values."""
        location, scale = given
        z = (values - location) / scale
        if self.distribution == "student":
            energy = (FREEDOM + 1) / 2 * torch.log1p(z * z / FREEDOM) + _LOG_NORM_STUDENT
        else:
            energy = 0.5 * z * z + _LOG_NORM_GAUSSIAN
        return ((energy + scale.log()) * observed).sum()


class StepPredictor(nn.Module):
    """Predicts the step after each: location, counted from that step's own value, and scale.

    Where that value is missing, the last observed one counts instead, or 0, the mean.
    """

    def __init__(self, cell: Cell, *, channels: int, hidden_size: int, num_layers: int, **regularisation: Any):
        super().__init__()
        self.layers = Recurrent(cell, 2 * channels, hidden_size, num_layers, **regularisation)
        self.head = nn.Linear(hidden_size, 2 * channels)
        nn.init.zeros_(self.head.weight)  # at first it predicts no change
        nn.init.zeros_(self.head.bias)


class Autoencoder(nn.Module):
    """Reconstructs a window from a short code, in reverse order.

    Source: Malhotra et al. (2016), "LSTM-based encoder-decoder for multi-sensor anomaly detection", arXiv:1607.00148.
    """

    def __init__(self, cell: Cell, *, channels: int, hidden_size: int, num_layers: int, **regularisation: Any):
        super().__init__()
        code = max(1, hidden_size // 4)
        self.encoder = Recurrent(cell, 2 * channels, hidden_size, num_layers, **regularisation)
        self.code = nn.Linear(hidden_size, code)
        self.decoder = Recurrent(cell, code, hidden_size, num_layers, **regularisation)
        self.head = nn.Linear(hidden_size, 2 * channels)

    def compress(self, last: Tensor) -> Tensor:
        """(B, H / 4) code of windows, from the encoder's last output (B, H)."""
        return torch.tanh(self.code(last))

    @staticmethod
    def repeat(code: Tensor, steps: int) -> Tensor:
        """The code as the decoder reads it, once for each step."""
        return code.expand(steps, *code.shape)
