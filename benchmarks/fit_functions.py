"""Which polynomials should the CPU kernels use, and how close do they come?

python -m benchmarks.fit_functions

Prints the constants of src/gatewise/native/src/math.hpp, each fit with the largest relative error it has in exact
arithmetic; half a float's last place is 6e-8. Needs numpy only.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

POINTS = 3000
ROUNDS = 400


def chebyshev_nodes(low: float, high: float) -> np.ndarray:
    """Points dense at both ends, where the error of a polynomial peaks."""
    return (low + high) / 2 + (high - low) / 2 * np.cos(np.pi * (np.arange(POINTS) + 0.5) / POINTS)


def fit(x: np.ndarray, powers: range, target: np.ndarray, value: np.ndarray) -> tuple[np.ndarray, float]:
    """Float32 coefficients of x^powers whose sum comes closest to `target` where it is worst.

    Lawson's algorithm: least squares, each point weighted by the error it had so far, which tends to the minimax fit
    also where all the powers vanish inside the interval and Remez' exchange would not settle. Coefficients are rounded
    to float32 one after another, lowest power first, and those still free make up for what rounding lost.

    Args:
        x: Points of the interval.
        powers: Exponents, one per coefficient.
        target: What the sum should be, in the order of x.
        value: The function itself there; errors are relative to it.

    Returns:
        The coefficients and the largest relative error.
    """
    terms = np.stack([x**k / value for k in powers], axis=1)
    rest = target / value
    fixed: list[np.float32] = []
    for done in range(len(powers)):
        weight, least, lowest = np.ones(POINTS), np.inf, 0.0
        for _ in range(ROUNDS):
            root = np.sqrt(weight)
            found = np.linalg.lstsq(terms[:, done:] * root[:, None], rest * root, rcond=None)[0]
            miss = np.abs(terms[:, done:] @ found - rest)
            if miss.max() < least:
                least, lowest = miss.max(), found[0]
            weight = weight * miss / (weight * miss).sum()
        fixed.append(np.float32(lowest))
        rest = rest - float(fixed[-1]) * terms[:, done]
    return np.array(fixed), np.abs(rest).max()


def fit_exp(degree: int) -> tuple[np.ndarray, float]:
    """exp(r) = 1 + r + c2 r^2 + ... for |r| <= ln2 / 2, a little more as the quotient by ln2 is itself rounded."""
    r = chebyshev_nodes(-0.3467, 0.3467)
    return fit(r, range(2, degree + 1), np.exp(r) - 1 - r, np.exp(r))


def fit_log(degree: int) -> tuple[np.ndarray, float]:
    """log(1 + f) = f - f^2 / 2 + c3 f^3 + ... for 1 + f between sqrt(1/2) and sqrt(2)."""
    f = chebyshev_nodes(np.sqrt(0.5) - 1, np.sqrt(2) - 1)
    return fit(f, range(3, degree + 1), np.log1p(f) - f + f * f / 2, np.log1p(f))


def fit_log1p(degree: int) -> tuple[np.ndarray, float]:
    """log(1 + e) = e + c2 e^2 + ... for 0 <= e <= 1."""
    e = chebyshev_nodes(0, 1)
    return fit(e, range(2, degree + 1), np.log1p(e) - e, np.log1p(e))


def fit_tanh() -> tuple[np.ndarray, float]:
    """tanh(y) = y + c3 y^3 + c5 y^5 for |y| <= ln2 / 4, a little more as above."""
    y = chebyshev_nodes(1e-3, 0.1734)  # odd, so half the interval tells all
    return fit(y, range(3, 6, 2), np.tanh(y) - y, np.tanh(y))


def show(name: str, coefficients: Iterable[float], error: float | None = None) -> None:
    digits = ", ".join(f"{np.float32(c):.9g}" for c in coefficients)
    print(f"{name:<32}{digits}" + ("" if error is None else f"  (relative error {error:.1e})"))


def main() -> None:
    high = np.round(np.log(2) * 2**16) / 2**16  # 16 bits: times any exponent, 8 bits, it is exact in a float
    show("log2(e)", [1 / np.log(2)])
    show("ln2, high and low part", [high, np.log(2) - high])
    show("exp, from r^2", *fit_exp(6))
    show("exp inside sigmoid, from s^2", *fit_exp(5))
    show("tanh, y^3 and y^5", *fit_tanh())
    show("log(1 + f), from f^3", *fit_log(9))
    show("log(1 + e), from e^2", *fit_log1p(9))


if __name__ == "__main__":
    main()
