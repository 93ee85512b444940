"""The output of a mixture-density network: sampling from it, and its loss, on numpy's arrays or torch's tensors.

D real channels, F binary ones, K Gaussians.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any

import numpy as np

WIDEST_COUPLED = 6  # real channels up to which the Gaussians have correlations
NARROWEST = 0.02  # minimum width of a Gaussian, in scaled units: else the loss of a frequent value has no lower bound


@dataclass(frozen=True)
class Layout:
    """How the output of the network is divided: K scores of the Gaussians, K * D means, K * D widths before
    `softplus`, K * D * (D - 1) / 2 couplings if D is at most 6, F logits of the binary channels, and, if sequences may
    end, a logit of the end.

    Gaussian k stands for mean + width * (I + R) noise, where R, below its diagonal, holds the couplings row by row: a
    Cholesky factor whose diagonal never comes near 0.

    Source: Bishop (1994), "Mixture density networks"; Graves (2013), arXiv:1308.0850, equations 15 to 22, whose
    bivariate Gaussian with a correlation is the case D = 2.
    """

    real: int
    binary: int
    mixtures: int
    ends: bool

    @property
    def coupled(self) -> bool:
        return 1 < self.real <= WIDEST_COUPLED

    @property
    def sizes(self) -> tuple[int, ...]:
        """Size of each part."""
        D, K = self.real, self.mixtures
        return K, K * D, K * D, K * D * (D - 1) // 2 if self.coupled else 0, self.binary, int(self.ends)

    @property
    def size(self) -> int:
        return sum(self.sizes)

    @property
    def parts(self) -> Iterator[slice]:
        """Position of each part."""
        return (slice(start, end) for start, end in pairwise(accumulate(self.sizes, initial=0)))

    @property
    def lower(self) -> tuple[np.ndarray, np.ndarray]:
        """Rows and columns of R's couplings."""
        return np.tril_indices(self.real, -1) if self.coupled else (np.empty(0, int), np.empty(0, int))


@dataclass(frozen=True)
class Expected:
    """The next step as least squares predict it from the last. The Gaussians are relative to that, in units of its
    typical error: so a network starts as good as least squares, and its inputs and outputs have one scale, however
    slowly a channel moves.

    Attributes:
        weights: (1 + D, D), of 1 and the last step; of scaled channels.
        spread: (D,) standard deviation of its errors.
    """

    weights: np.ndarray
    spread: np.ndarray

    @staticmethod
    def shapes(real: int) -> dict[str, tuple[int | None, ...]]:
        """Of both, for so many real channels."""
        return {"weights": (1 + real, real), "spread": (real,)}

    def __call__(self, last: np.ndarray) -> np.ndarray:
        """(..., D) from the last step (..., D)."""
        predicted: np.ndarray = self.weights[0] + last @ self.weights[1:]
        return predicted


@dataclass(frozen=True)
class Ends:
    """When sequences end, as far as their lengths tell: what the network's logit of the end is relative to. So a model
    of sequences that all have 120 steps need not learn to count.

    Attributes:
        odds: (L,) log-odds that a sequence ends after its first, second, ... step, if it has come so far; after more
            than L steps those of the last. One 0 where the network alone says when.
    """

    odds: np.ndarray

    @classmethod
    def learn(cls, lengths: np.ndarray) -> Ends:
        """From the lengths of training sequences, smoothed by as much as they vary (Silverman 1986, equation 3.31),
        with half a sequence that may end after any step, for what was never seen."""
        count, longest, usual = len(lengths), int(lengths.max()), 0.5 / (lengths.mean() + 1)
        quartiles = np.subtract(*np.quantile(lengths, (0.75, 0.25))) / 1.34
        width = 0.9 * min(lengths.std(), quartiles or np.inf) * count**-0.2
        reach = int(np.ceil(4 * width))
        frequency = np.bincount(lengths, minlength=longest + reach + 1).astype(np.float64)
        if reach:
            kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / width) ** 2)
            spread = np.convolve(frequency, kernel / kernel.sum())
            frequency, below = spread[reach:], spread[: reach + 1]
            frequency[1 : len(below) + 1] += below[::-1]  # reflected, for no sequence has less than one step
            frequency[0] = 0
        still = frequency[::-1].cumsum()[::-1]
        chance = ((frequency + usual) / (still + 0.5))[1:]
        return cls(np.log(chance / (1 - chance)).astype(np.float32))

    def after(self, steps: np.ndarray) -> np.ndarray:
        """Log-odds of the end after so many steps, each 1 or more."""
        found: np.ndarray = self.odds[np.minimum(steps, len(self.odds)) - 1]
        return found


NEVER_LEARNED = Ends(np.zeros(1, np.float32))  # of models from before


def draw(
    output: np.ndarray, layout: Layout, rng: np.random.Generator, temperature: float = 1.0
) -> tuple[np.ndarray, np.ndarray, bool]:
    """One step: its real channels (D,), its binary ones (F,), and whether the sequence ends before it.

    Args:
        output: (layout.size,), of the network.
        temperature: 1 samples from the model's distribution; lower values favour the more probable Gaussians, and
            narrow them; 0 takes the mean of the most probable one, and the more probable of 0 and 1.

    Source: Ha & Eck (2018), "A neural representation of sketch drawings", section 3.3.
    """
    output = np.asarray(output, np.float64)
    scores, means, widths, couplings, binary, end = (output[part] for part in layout.parts)
    K, D = layout.mixtures, layout.real
    chosen, noise = int(scores.argmax()), np.zeros(D)
    if temperature > 0:
        weights = np.exp((scores - scores.max()) / temperature).cumsum()
        chosen = int(np.searchsorted(weights, rng.random() * weights[-1], side="right"))
        noise = rng.standard_normal(D) * np.sqrt(temperature)
    slant = np.eye(D)
    slant[layout.lower] = couplings.reshape(K, -1)[chosen]
    width = NARROWEST + np.logaddexp(0, widths.reshape(K, D)[chosen])
    real = means.reshape(K, D)[chosen] + width * (slant @ noise)
    chances = 0.5 * (1 + np.tanh(0.5 * np.concatenate([binary, end])))
    drawn = rng.random(len(chances)) < chances if temperature > 0 else chances > 0.5
    return real, drawn[: layout.binary].astype(float), bool(drawn[layout.binary :].any())


# Losses. `ops` are `runtime.ops`, or those of torch, in which this is differentiated.


def summed_loss(ops: Any, output: Any, layout: Layout, batch: Any, log_scale: float) -> tuple[Any, Any]:
    """Loss in nats of all that is predicted, and how much that is.

    Args:
        output: (T, B, layout.size), of the network.
        batch: What it read, an `examples.Batch` in the same arrays.
        log_scale: Added to the loss of each step, so that it is of the values before scaling.
    """
    follows, ended = batch.marks
    real, binary = batch.targets[..., : layout.real], batch.targets[..., layout.real :]
    each = log_scale - log_density(ops, output, layout, real) + binary_loss(ops, output, layout, binary)
    nats, count = (each * follows).sum(), follows.sum()
    if layout.ends:
        nats = nats + (end_loss(ops, output, batch.odds, ended) * (follows + ended)).sum()
        count = count + ended.sum()
    return nats, count


def log_density(ops: Any, output: Any, layout: Layout, real: Any) -> Any:
    """(...) logarithm of the mixture's density at `real`.

    Args:
        output: (..., layout.size), of the network.
        real: (..., D), scaled.
    """
    scores, means, widths, couplings, _, _ = (output[..., part] for part in layout.parts)
    K, D, rest = layout.mixtures, layout.real, output.shape[:-1]
    width = NARROWEST + ops.softplus(widths.reshape(*rest, K, D))
    apart = (real[..., None, :] - means.reshape(*rest, K, D)) / width
    if layout.coupled:
        apart = _uncoupled(ops, apart, couplings.reshape(*rest, K, D * (D - 1) // 2))
    each = -0.5 * (apart**2).sum(-1) - ops.log(width).sum(-1) - 0.5 * D * math.log(2 * math.pi)
    return ops.logsumexp(ops.log_softmax(scores, -1) + each, -1)


def binary_loss(ops: Any, output: Any, layout: Layout, binary: Any) -> Any:
    """(...) nats of the binary channels (..., F)."""
    return ops.binary_cross_entropy(output[..., tuple(layout.parts)[4]], binary).sum(-1)


def end_loss(ops: Any, output: Any, odds: Any, ended: Any) -> Any:
    """(...) nats of whether the sequence ended, (...), where the layout has ends.

    Args:
        odds: (...) what the network's logit is relative to; see `Ends`.
    """
    return ops.binary_cross_entropy(output[..., -1] + odds, ended)


def _uncoupled(ops: Any, apart: Any, couplings: Any) -> Any:
    """The noise e for which (I + R) e is `apart`, (..., D), channel by channel."""
    noise: list[Any] = []
    place = 0
    for d in range(apart.shape[-1]):
        value = apart[..., d]
        for earlier in noise:
            value = value - couplings[..., place] * earlier
            place += 1
        noise.append(value)
    return ops.stack(noise, -1)
