"""The networks of `forecast`: a recurrent part that corrects a linear one, all steps at once or one after the other.

B windows, C target columns, T steps of past, H of future, R rows of the recurrent layers: B where they read all columns
together, B * C where each column is a row of its own; G columns in each row. P outputs of the head for each value.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from ...algebra import Cell
from ...nn import Recurrent
from ...randomness import Dropout
from ..network import Network
from .batches import tensors
from .heads import Quantiles, head_of
from .predictor import forward_direct, forward_steps

_KNOWN_AHEAD = 32  # units that join what is known ahead of a step to what was read
_LINEAR_RATE = 0.1  # factor of the learning rate of the solved weights, which are nearly right


@dataclass(frozen=True, kw_only=True)
class Shape:
    """Sizes of a network.

    Attributes:
        columns: Target columns, C.
        joint: Whether they are read together.
        context_length, horizon: T and H.
        patch: Steps of past that make one step of the recurrent layers.
        covariates, ahead, static: Features per step of past, per step of future, per series.
        learn_variance: Whether all outputs of the head are learned. Else only the location is, and the rest stays as
            held-out windows show it: a network that knows a few windows by heart would be too sure of itself.
        others: As in `Forecaster`.
    """

    columns: int
    joint: bool
    context_length: int
    horizon: int
    patch: int
    covariates: int
    ahead: int
    static: int
    learn_variance: bool
    hidden_size: int
    num_layers: int
    dropout: float


class _Network(Network):
    """What both have in common: the head, its loss over the values that are there, the linear part.

    Args:
        shape: Sizes.
        head: Name of the head.
        quantiles: Its levels, if it has some.
        cell: Cell of the recurrent layers.
        regularisation: Further options of them; see `Recurrent`.
        linear: (steps, T) weights of the linear part, which training moves a little; zeros if omitted.
        residuals: (N, steps) of the linear part, which the head fits at first.
    """

    # Weight of what was learned beyond the linear part: below 1 in older models, which had no shares.
    blend_weight: Tensor
    location_mask: Tensor  # (P,) 1 where the linear part is added to an output
    linear: Tensor
    start: Tensor

    def __init__(
        self,
        *,
        shape: Shape,
        head: str,
        quantiles: tuple[float, ...],
        cell: Cell,
        regularisation: Mapping[str, Any],
        linear: np.ndarray | None = None,
        residuals: np.ndarray | None = None,
    ):
        super().__init__()
        self.shape, self.head = shape, head_of(head, quantiles)
        T, P = shape.context_length, len(self.head.location_mask)
        self.register_buffer("location_mask", torch.tensor(self.head.location_mask), persistent=False)
        self.register_buffer("blend_weight", torch.ones(()))
        # There may be only one layer, and so nothing in between.
        between = shape.dropout if shape.num_layers > 1 else 0.0
        sizes = (self.width, shape.hidden_size, shape.num_layers)
        self.layers = Recurrent(cell, *sizes, dropout=between, **regularisation)
        self.dropout = Dropout(shape.dropout)
        self.output = nn.Linear(shape.hidden_size, self.columns * self.steps * self.learned_outputs)
        nn.init.zeros_(self.output.weight)  # the network starts as its linear part
        nn.init.zeros_(self.output.bias)
        self._add_parts()
        self.register_buffer("linear", torch.zeros(self.steps, T) if linear is None else torch.tensor(linear).float())
        start = torch.zeros(self.steps, P)
        if residuals is not None and len(residuals):
            # Around zero: the average error of held-out windows says little of that of others.
            start = torch.tensor(self.head.start(residuals - np.median(residuals, axis=0))).float()
        self.register_buffer("start", start)
        self.moved = nn.Parameter(torch.zeros(self.steps, T))

    def _add_parts(self) -> None:
        """Make further layers, which stand before the linear part in the order of parameters."""

    @property
    def width(self) -> int:
        """Features that the recurrent layers read at each of their steps."""
        raise NotImplementedError

    @property
    def steps(self) -> int:
        """Steps of the horizon that are predicted at once."""
        raise NotImplementedError

    @property
    def columns(self) -> int:
        """Columns that a row of the recurrent layers reads, G."""
        return self.shape.columns if self.shape.joint else 1

    @property
    def learned_outputs(self) -> int:
        """What is learned of each value: all outputs of the head, or one that moves its location."""
        return len(self.location_mask) if self.shape.learn_variance else 1

    # Parts of the forward pass; see `predictor`.

    @property
    def linear_weights(self) -> Tensor:
        """(steps, T)."""
        return self.linear + _LINEAR_RATE * self.blend_weight * self.moved

    def combine(self, learned: Tensor, base: Tensor) -> Tensor:
        """(R, G, n, P) outputs of the head: its start, what was learned (R, G, n, ...), the linear part (R, G, n)."""
        moved = learned if self.shape.learn_variance else learned * self.location_mask
        return self.blend_weight * moved + self.start + base[..., None] * self.location_mask

    def rows(self, values: Tensor) -> Tensor:
        """(B, C, n) as (R, G, n)."""
        return values if self.shape.joint else values.reshape(-1, 1, values.shape[-1])

    def per_row(self, values: Tensor) -> Tensor:
        """(B, ...) of each window as (R, ...)."""
        return values if self.shape.joint else values.repeat_interleave(self.shape.columns, 0)

    # Forecasts.

    def forecast(
        self, arrays: dict[str, np.ndarray], samples: int, seed: int
    ) -> tuple[np.ndarray, np.ndarray | None, np.ndarray | None]:
        """Forecasts of a batch in normalised units, float64.

        Args:
            arrays: A `Batch`, by the names of its fields.
            samples: How many to draw of a distribution, S.
            seed: Of these draws.

        Returns:
            The point forecast (B, C, H); quantiles (B, C, H, Q), or None; samples (S, B, C, H), or None.
        """
        with self.predicting():
            point, quantiles, drawn = self.drawn(tensors(arrays), samples, torch.Generator().manual_seed(seed))
        return (
            point.double().numpy(),
            None if quantiles is None else quantiles.double().numpy(),
            None if drawn is None else drawn.double().numpy(),
        )

    def drawn(
        self, batch: dict[str, Tensor], samples: int, noise: torch.Generator
    ) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """The same, of tensors."""
        raise NotImplementedError

    # Training.

    # What the training loop asks for: `training.Trainable`.

    def training_loss(self, batch: dict[str, Tensor]) -> Tensor:
        total, count = self._sums(batch)
        return total / count.clamp_min(1)

    def validation_sums(self, batch: dict[str, Tensor]) -> tuple[Tensor, int]:
        total, count = self._sums(batch)
        return total, int(count)

    def _sums(self, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        out, target, wanted = self.outputs_and_targets(batch)
        scale = batch["scale"].to(out.dtype)[..., None].expand_as(target)
        losses = self.head.loss(out, target, scale)
        return torch.where(wanted > 0, losses, torch.zeros_like(losses)).sum(), wanted.sum()

    def outputs_and_targets(self, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Outputs (B, C, n, P) of the head, its targets (B, C, n), and which of them are there."""
        raise NotImplementedError


class Direct(_Network):
    """All steps of the horizon at once.

    Shape:
        batch: As `Batch`, of tensors.
        returns: (B, C, H, P).
    """

    @property
    def width(self) -> int:
        return self.shape.patch * (2 * self.columns + self.shape.covariates) + self.shape.static

    @property
    def steps(self) -> int:
        return self.shape.horizon

    def _add_parts(self) -> None:
        if self.shape.ahead:
            self.known = nn.Linear(self.shape.ahead + self.shape.hidden_size, _KNOWN_AHEAD)
            self.joined = nn.Linear(_KNOWN_AHEAD, self.columns * self.learned_outputs)
            nn.init.zeros_(self.joined.weight)
            nn.init.zeros_(self.joined.bias)

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        return forward_direct(self, batch)

    def patches(self, batch: dict[str, Tensor]) -> Tensor:
        """(T / patch, R, width) what the layers read."""
        past, seen = self.rows(batch["past"]), self.rows(batch["seen"])
        parts = [self._patched(past.transpose(1, 2)), self._patched(seen.transpose(1, 2))]
        if self.shape.covariates:
            parts.append(self.per_row(self._patched(batch["covariates"]).transpose(0, 1)).transpose(0, 1))
        if self.shape.static:
            parts.append(self.per_row(batch["static"]).expand(len(parts[0]), len(past), -1))
        return torch.cat(parts, -1)

    def _patched(self, values: Tensor) -> Tensor:
        """(R, T, n) as (T / patch, R, patch * n); if the first patch is not full, it is padded with zeros."""
        R, T, n = values.shape
        padded = pad(values, (0, 0, -T % self.shape.patch, 0))
        return padded.reshape(R, -1, self.shape.patch * n).transpose(0, 1)

    def of_all_steps(self, h: Tensor) -> Tensor:
        """(R, G, H, learned outputs) from what was read of the past, (R, hidden)."""
        return self.output(h).view(len(h), self.columns, self.shape.horizon, self.learned_outputs)

    def of_known_ahead(self, h: Tensor, ahead: Tensor) -> Tensor:
        """The same from what is known ahead, (B, H, F), too."""
        H = self.shape.horizon
        both = torch.cat([self.per_row(ahead), h[:, None].expand(-1, H, -1)], -1)
        learned = self.joined(self.known(both).tanh())
        return learned.view(len(h), H, self.columns, self.learned_outputs).transpose(1, 2)

    def per_window(self, out: Tensor) -> Tensor:
        """(R, G, H, P) as (B, C, H, P)."""
        return out.view(-1, self.shape.columns, self.shape.horizon, len(self.location_mask))

    def outputs_and_targets(self, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        return self(batch), batch["target"], batch["wanted"]

    def drawn(
        self, batch: dict[str, Tensor], samples: int, noise: torch.Generator
    ) -> tuple[Tensor, Tensor | None, Tensor | None]:
        out = self(batch)
        scale = batch["scale"].to(out.dtype)[..., None].expand(out.shape[:-1])
        point = self.head.point(out, scale)
        if isinstance(self.head, Quantiles):
            return point, self.head.quantiles(out), None
        return point, None, torch.stack([self.head.draw(out, scale, noise) for _ in range(samples)])


class Autoregressive(_Network):
    """One step after the other, each drawn from the distribution given those before (Salinas et al. 2020, DeepAR)."""

    @property
    def width(self) -> int:
        return 2 * self.columns + self.shape.ahead + self.shape.static

    @property
    def steps(self) -> int:
        return 1

    def features(self, batch: dict[str, Tensor]) -> Tensor:
        """(n, R, width) what the layers read: the values before each step, and what is known of the step."""
        before, static = batch["before"], batch["static"]
        parts = [before.permute(2, 0, 1), batch["seen"].permute(2, 0, 1), batch["ahead"].transpose(0, 1)]
        return torch.cat([*parts, static.expand(before.shape[-1], *static.shape)], -1)

    def of_each_step(self, y: Tensor) -> Tensor:
        """(R, G, n, learned outputs) from the layers' output (n, R, hidden)."""
        return self.output(y).view(len(y), y.shape[1], self.columns, -1).permute(1, 2, 0, 3)

    def outputs_and_targets(self, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """With teacher forcing; steps of the past are learned from too, from the second on."""
        values = self.rows(torch.cat([batch["past"], batch["target"]], -1))
        seen = self.rows(torch.cat([batch["seen"], batch["wanted"]], -1))
        known = torch.cat([batch["covariates"], batch["ahead"]], 1)
        T = self.shape.context_length
        steps = {
            "before": values[..., :-1],
            "seen": seen[..., :-1],
            "ahead": self.per_row(known[:, 1:]),
            "static": self.per_row(batch["static"]),
            "windows": pad(values[..., :-1], (T - 1, 0)).unfold(-1, T, 1),
        }
        out, _ = forward_steps(self, steps)
        shape = (-1, self.shape.columns, values.shape[-1] - 1)
        return out.reshape(*shape, out.shape[-1]), values[..., 1:].reshape(shape), seen[..., 1:].reshape(shape)

    def drawn(
        self, batch: dict[str, Tensor], samples: int, noise: torch.Generator
    ) -> tuple[Tensor, Tensor | None, Tensor | None]:
        assert not isinstance(self.head, Quantiles)  # `Forecaster` refuses that
        T = self.shape.context_length
        past, seen = self.rows(batch["past"]), self.rows(batch["seen"])
        static = self.per_row(batch["static"])
        known = self.per_row(torch.cat([batch["covariates"], batch["ahead"]], 1))
        state: Any = None
        if T > 1:
            read = {"before": past[..., :-1], "seen": seen[..., :-1], "ahead": known[:, 1:T], "static": static}
            _, state = self.layers(self.features(read))

        def repeated(values: Tensor, dim: int = 0) -> Tensor:
            return values.repeat_interleave(samples, dim)

        if state is not None:
            state = tuple(repeated(s, 1) for s in state) if isinstance(state, tuple) else repeated(state, 1)
        recent, last_seen = repeated(past), repeated(seen[..., -1:])
        known, static = repeated(known), repeated(static)
        scale = repeated(self.rows(batch["scale"].to(past.dtype)[..., None]))
        paths = []
        for step in range(T, T + self.shape.horizon):
            read = {
                "before": recent[..., -1:],
                "seen": last_seen,
                "ahead": known[:, step : step + 1],
                "static": static,
                "windows": recent[:, :, None],
            }
            out, state = forward_steps(self, read, state)
            drawn = self.head.draw(out, scale, noise)
            paths.append(drawn)
            recent, last_seen = torch.cat([recent[..., 1:], drawn], -1), torch.ones_like(last_seen)
        drawn = torch.cat(paths, -1).view(-1, samples, self.columns, self.shape.horizon).transpose(0, 1)
        drawn = drawn.reshape(samples, -1, self.shape.columns, self.shape.horizon)
        return drawn.mean(0), None, drawn
