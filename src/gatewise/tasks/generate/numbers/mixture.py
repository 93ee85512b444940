"""What a mixture-density network says of the next step, and how to draw from it. Needs no framework.

D real channels, F binary ones, K Gaussians.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate, pairwise

import numpy as np

WIDEST_COUPLED = 6  # real channels up to which the Gaussians may lie aslant
NARROWEST = 0.02  # least width of a Gaussian, of scaled channels: else a value that comes back often has no finite loss


@dataclass(frozen=True)
class Layout:
    """How the numbers that a network puts out are divided: K scores of the Gaussians, K * D means, K * D widths before
    `softplus`, K * D * (D - 1) / 2 couplings if D is at most 6, F scores of the binary channels, and, if sequences may
    end, one of the end.

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
        """Of each part."""
        D, K = self.real, self.mixtures
        return K, K * D, K * D, K * D * (D - 1) // 2 if self.coupled else 0, self.binary, int(self.ends)

    @property
    def size(self) -> int:
        return sum(self.sizes)

    @property
    def parts(self) -> Iterator[slice]:
        """Where each part stands."""
        return (slice(start, end) for start, end in pairwise(accumulate(self.sizes, initial=0)))

    @property
    def lower(self) -> tuple[np.ndarray, np.ndarray]:
        """Rows and columns of R's couplings."""
        return np.tril_indices(self.real, -1) if self.coupled else (np.empty(0, int), np.empty(0, int))


@dataclass(frozen=True)
class Expected:
    """Where least squares on the last step would have the next one. The Gaussians stand around that, in units of how
    far it is usually wrong: so a network begins as good as least squares are, and what it reads and says is of one size
    however slowly a channel moves.

    Attributes:
        weights: (1 + D, D), of 1 and the last step; of scaled channels.
        spread: (D,) how far it is wrong.
    """

    weights: np.ndarray
    spread: np.ndarray

    def __call__(self, last: np.ndarray) -> np.ndarray:
        """(..., D) of the last step (..., D)."""
        found: np.ndarray = self.weights[0] + last @ self.weights[1:]
        return found


def draw(
    found: np.ndarray, layout: Layout, rng: np.random.Generator, temperature: float = 1.0
) -> tuple[np.ndarray, np.ndarray, bool]:
    """One step: its real channels (D,), its binary ones (F,), and whether the sequence ends before it.

    Args:
        found: (layout.size,), what the network put out.
        temperature: 1 draws as the network believes; less, from likelier Gaussians that are narrower; 0 takes the mean
            of the likeliest one, and the likelier of 0 and 1.

    Source: Ha & Eck (2018), "A neural representation of sketch drawings", section 3.3.
    """
    found = np.asarray(found, np.float64)
    scores, means, widths, couplings, binary, end = (found[part] for part in layout.parts)
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
