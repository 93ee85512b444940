"""The networks of `forecast`: a recurrent part that corrects a linear one, all steps at once or one after the other.

B windows, C target columns, T steps of past, H of future, R rows of the recurrent layers: B where they read all columns
together, B * C where each column is a row of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import dropout, pad

from ...algebra import Cell
from ...nn import Recurrent
from ..network import Network
from .heads import Quantiles, head_of
from .linear import NOISE
from .windows import Batch, Inputs, Part, Series

_AHEAD = 32  # units that join what is known ahead of a step to what was read
_SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)  # of what was learned that may be kept
_SHARE = 0.1  # of a step of the optimiser that the solved weights move by: they are nearly right


@dataclass(frozen=True)
class Shape:
    """Sizes of a network.

    Attributes:
        columns: Target columns, C.
        joint: Whether they are read together.
        context_length, horizon: T and H.
        patch: Steps of past that make one step of the recurrent layers.
        covariates, ahead, static: Numbers per step of past, per step of future, per series.
        spread: Whether doubt is learned too. Else only the middle is, and doubt stays as held-out windows show it: few
            windows, learned by heart, leave too little of it.
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
    spread: bool
    hidden_size: int
    num_layers: int
    dropout: float


class _Network(Network):
    """What both have in common: the head, and its loss over the values that are there."""

    trust: Tensor  # share of what was learned beyond the linear part, see `settle`
    located: Tensor  # (P,) 1 where a number of the head is moved by the linear part
    linear: Tensor
    start: Tensor

    def __init__(self, shape: Shape, head: str, levels: tuple[float, ...]):
        super().__init__()
        self.shape, self.head = shape, head_of(head, levels)
        self.register_buffer("located", self.head.located.clone(), persistent=False)
        self.register_buffer("trust", torch.ones(()))

    @property
    def columns(self) -> int:
        """Columns that a row of the recurrent layers reads."""
        return self.shape.columns if self.shape.joint else 1

    @property
    def numbers(self) -> int:
        """What is learned of each value: all numbers of the head, or one that moves its middle."""
        return len(self.located) if self.shape.spread else 1

    def learned(self, out: Tensor, base: Tensor, start: Tensor) -> Tensor:
        """(..., P) numbers of the head: its start, moved by what was learned (..., `numbers`) and the linear part."""
        moved = out if self.shape.spread else out * self.located
        return self.trust * moved + start + base[..., None] * self.located

    def rows(self, values: Tensor) -> Tensor:
        """(B, C, n) as (R, columns, n)."""
        return values if self.shape.joint else values.reshape(-1, 1, values.shape[-1])

    def per_row(self, values: Tensor) -> Tensor:
        """(B, ...) of each window as (R, ...)."""
        return values if self.shape.joint else values.repeat_interleave(self.shape.columns, 0)

    @torch.no_grad()
    def settle(self, validation: Windows) -> None:
        """Keep no more of what was learned beyond the linear part than makes validation windows better."""
        losses = {}
        for share in _SHARES:
            self.trust.fill_(share)
            sums = [self.validation_sums(validation.at(step)) for step in range(len(validation))]
            losses[share] = float(sum(total for total, _ in sums))
        least = min(losses.values())
        self.trust.fill_(min(share for share, loss in losses.items() if loss <= least + NOISE * abs(least)))

    def _start(self, residuals: np.ndarray | None, horizon: int) -> Tensor:
        """(H, P) numbers that the head begins with."""
        if residuals is None or not len(residuals):
            return torch.zeros(horizon, len(self.located))
        # Around nothing: how far held-out windows were off on average says little of those to come.
        return torch.tensor(self.head.start(residuals - np.median(residuals, axis=0))).float()

    # What the training loop asks for: `training.Trainable`.

    def training_loss(self, batch: dict[str, Tensor]) -> Tensor:
        total, count = self._sums(batch)
        return total / count.clamp_min(1)

    def validation_sums(self, batch: dict[str, Tensor]) -> tuple[Tensor, int]:
        total, count = self._sums(batch)
        return total, int(count)

    def _sums(self, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        out, target, wanted = self.scored(batch)
        scale = batch["scale"].to(out.dtype)[..., None].expand_as(target)
        losses = self.head.loss(out, target, scale)
        return torch.where(wanted > 0, losses, torch.zeros_like(losses)).sum(), wanted.sum()

    def scored(self, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Output (B, C, n, P) of the head, its targets (B, C, n), and which of them are there."""
        raise NotImplementedError


class Direct(_Network):
    """All steps of the horizon at once.

    Args:
        linear: (H, T) weights of the linear part, which training moves a little.
        residuals: (N, H) what it leaves over, which the head begins with.

    Shape:
        batch: As `Batch`, of tensors.
        returns: (B, C, H, P).
    """

    def __init__(
        self,
        shape: Shape,
        head: str,
        levels: tuple[float, ...],
        cell: Cell,
        layers: dict[str, Any],
        linear: np.ndarray | None = None,
        residuals: np.ndarray | None = None,
    ):
        super().__init__(shape, head, levels)
        P, H, T, G = self.numbers, shape.horizon, shape.context_length, self.columns
        width = shape.patch * (2 * G + shape.covariates) + shape.static
        self.layers = Recurrent(cell, width, shape.hidden_size, shape.num_layers, dropout=between(shape), **layers)
        self.output = nn.Linear(shape.hidden_size, G * H * P)
        nn.init.zeros_(self.output.weight)  # it begins as its linear part
        nn.init.zeros_(self.output.bias)
        if shape.ahead:
            self.known = nn.Linear(shape.ahead + shape.hidden_size, _AHEAD)
            self.joined = nn.Linear(_AHEAD, G * P)
            nn.init.zeros_(self.joined.weight)
            nn.init.zeros_(self.joined.bias)
        self.register_buffer("linear", torch.zeros(H, T) if linear is None else torch.tensor(linear).float())
        self.register_buffer("start", self._start(residuals, H))
        self.moved = nn.Parameter(torch.zeros(H, T))

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        shape, G, P = self.shape, self.columns, self.numbers
        past, seen = self.rows(batch["past"]), self.rows(batch["seen"])
        R = len(past)
        parts = [self._patched(past.transpose(1, 2)), self._patched(seen.transpose(1, 2))]
        if shape.covariates:
            parts.append(self.per_row(self._patched(batch["covariates"]).transpose(0, 1)).transpose(0, 1))
        if shape.static:
            parts.append(self.per_row(batch["static"]).expand(len(parts[0]), R, -1))
        y, _ = self.layers(torch.cat(parts, -1))
        h = dropout(y[-1], shape.dropout, self.training)
        out = self.output(h).view(R, G, shape.horizon, P)
        if shape.ahead:
            ahead = self.per_row(batch["ahead"])
            joined = self.known(torch.cat([ahead, h[:, None].expand(-1, shape.horizon, -1)], -1)).tanh()
            out = out + self.joined(joined).view(R, shape.horizon, G, P).transpose(1, 2)
        base = past @ (self.linear + _SHARE * self.trust * self.moved).T
        out = self.learned(out, base, self.start)
        return out.view(-1, shape.columns, shape.horizon, len(self.located))

    def scored(self, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        return self(batch), batch["target"], batch["wanted"]

    def _patched(self, values: Tensor) -> Tensor:
        """(R, T, n) as (T / patch, R, patch * n); steps that fill no patch come with the first."""
        R, T, n = values.shape
        padded = pad(values, (0, 0, -T % self.shape.patch, 0))
        return padded.reshape(R, -1, self.shape.patch * n).transpose(0, 1)

    @torch.no_grad()
    def forecast(self, batch: dict[str, Tensor], samples: int, noise: torch.Generator) -> tuple[Tensor, Any, Any]:
        """Point (B, C, H), and quantiles (B, C, H, Q) or samples (S, B, C, H), in normalised units."""
        out = self(batch)
        scale = batch["scale"].to(out.dtype)[..., None].expand(out.shape[:-1])
        point = self.head.point(out, scale)
        if isinstance(self.head, Quantiles):
            return point, self.head.quantiles(out), None
        return point, None, torch.stack([self.head.draw(out, scale, noise) for _ in range(samples)])


class Autoregressive(_Network):
    """One step after the other, each drawn from what the head says given those before (Salinas et al. 2020, DeepAR).

    Args:
        linear: (1, T) weights of the linear part, from the T values before a step.
        residuals: (N, 1) what it leaves over, which the head begins with.

    Shape: As `Direct`.
    """

    def __init__(
        self,
        shape: Shape,
        head: str,
        levels: tuple[float, ...],
        cell: Cell,
        layers: dict[str, Any],
        linear: np.ndarray | None = None,
        residuals: np.ndarray | None = None,
    ):
        super().__init__(shape, head, levels)
        P, T, G = self.numbers, shape.context_length, self.columns
        width = 2 * G + shape.ahead + shape.static
        self.layers = Recurrent(cell, width, shape.hidden_size, shape.num_layers, dropout=between(shape), **layers)
        self.output = nn.Linear(shape.hidden_size, G * P)
        nn.init.zeros_(self.output.weight)
        nn.init.zeros_(self.output.bias)
        self.register_buffer("linear", torch.zeros(1, T) if linear is None else torch.tensor(linear).float())
        self.register_buffer("start", self._start(residuals, 1))
        self.moved = nn.Parameter(torch.zeros(1, T))

    def _inputs(self, before: Tensor, seen: Tensor, ahead: Tensor, static: Tensor) -> Tensor:
        """(n, R, D) from the values (R, G, n) before each step, and what is known of the step (R, n, F)."""
        parts = [before.permute(2, 0, 1), seen.permute(2, 0, 1), ahead.transpose(0, 1)]
        return torch.cat([*parts, static.expand(before.shape[-1], *static.shape)], -1)

    def _out(self, y: Tensor, base: Tensor) -> Tensor:
        """(R, G, n, P) from the layers' output (n, R, hidden) and the linear part's expectation (R, G, n)."""
        y = dropout(y, self.shape.dropout, self.training)
        out = self.output(y).view(len(y), y.shape[1], self.columns, -1).permute(1, 2, 0, 3)
        return self.learned(out, base, self.start[0])

    @property
    def _weights(self) -> Tensor:
        return (self.linear + _SHARE * self.trust * self.moved)[0]

    def scored(self, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Steps of the past are learned from too, from the second on."""
        values = self.rows(torch.cat([batch["past"], batch["target"]], -1))
        seen = self.rows(torch.cat([batch["seen"], batch["wanted"]], -1))
        known = torch.cat([batch["covariates"], batch["ahead"]], 1)
        x = self._inputs(values[..., :-1], seen[..., :-1], self.per_row(known[:, 1:]), self.per_row(batch["static"]))
        y, _ = self.layers(x)
        T = self.shape.context_length
        windows = pad(values[..., :-1], (T - 1, 0)).unfold(-1, T, 1)
        out = self._out(y, windows @ self._weights)
        shape = (-1, self.shape.columns, values.shape[-1] - 1)
        return out.reshape(*shape, out.shape[-1]), values[..., 1:].reshape(shape), seen[..., 1:].reshape(shape)

    @torch.no_grad()
    def forecast(self, batch: dict[str, Tensor], samples: int, noise: torch.Generator) -> tuple[Tensor, Any, Any]:
        shape, T = self.shape, self.shape.context_length
        past, seen = self.rows(batch["past"]), self.rows(batch["seen"])
        static = self.per_row(batch["static"])
        known = self.per_row(torch.cat([batch["covariates"], batch["ahead"]], 1))
        state = None
        if T > 1:
            _, state = self.layers(self._inputs(past[..., :-1], seen[..., :-1], known[:, 1:T], static))

        def spread(values: Tensor, dim: int = 0) -> Tensor:
            return values.repeat_interleave(samples, dim)

        if state is not None:
            state = tuple(spread(s, 1) for s in state) if isinstance(state, tuple) else spread(state, 1)
        recent, last_seen = spread(past), spread(seen[..., -1:])
        known, static = spread(known), spread(static)
        scale = spread(self.rows(batch["scale"].to(past.dtype)[..., None]))
        paths = []
        for step in range(shape.horizon):
            y, state = self.layers(
                self._inputs(recent[..., -1:], last_seen, known[:, T + step : T + step + 1], static), state
            )
            assert not isinstance(self.head, Quantiles)  # `Forecaster` refuses that
            drawn = self.head.draw(self._out(y, (recent @ self._weights)[..., None]), scale, noise)
            paths.append(drawn)
            recent, last_seen = torch.cat([recent[..., 1:], drawn], -1), torch.ones_like(last_seen)
        drawn = torch.cat(paths, -1).view(-1, samples, self.columns, shape.horizon).transpose(0, 1)
        drawn = drawn.reshape(samples, -1, shape.columns, shape.horizon)
        return drawn.mean(0), None, drawn


def tensors(batch: Batch) -> dict[str, Tensor]:
    return {field.name: torch.from_numpy(getattr(batch, field.name)) for field in fields(batch)}


class Windows:
    """Windows as batches for the training loop: drawn at random, by a seed and the step's number, or in order."""

    def __init__(
        self, series: Series, part: Part, size: int, shape: Shape, scaling: str, inputs: Inputs, seed: int | None
    ):
        self.series, self.part, self.size, self.shape = series, part, size, shape
        self.scaling, self.inputs, self.seed = scaling, inputs, seed

    def __len__(self) -> int:
        return -(-len(self.part) // self.size)

    def at(self, step: int) -> dict[str, Tensor]:
        if self.seed is None:
            which = np.arange(step * self.size, min(len(self.part), (step + 1) * self.size))
        else:
            which = np.random.default_rng([self.seed, 2, step]).integers(0, len(self.part), self.size)
        return tensors(self.batch(which))

    def batch(self, which: np.ndarray) -> Batch:
        series, origins = self.part[which]
        return self.series.batch(
            series, origins, self.shape.context_length, self.shape.horizon, self.scaling, self.inputs
        )

    def __iter__(self) -> Iterator[np.ndarray]:
        """Numbers of the windows, in pieces."""
        return (np.arange(at, min(len(self.part), at + self.size)) for at in range(0, len(self.part), self.size))


def between(shape: Shape) -> float:
    """Dropout between recurrent layers, of which there may be only one."""
    return shape.dropout if shape.num_layers > 1 else 0.0
