"""Weights in fewer bytes, and the order in which exported kernels read a matrix."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..compression import quantised
from ..errors import OptionError, suggest

Array = np.ndarray

ROWS = 16  # of a block: as many sums as a kernel keeps in registers


def _as_float16(matrix: Array) -> Array:
    if np.abs(matrix).max(initial=0) > np.finfo(np.float16).max:
        raise OptionError("it has weights above 65,504, which float16 does not hold. Export it with --weights int8")
    return matrix.astype(np.float16).astype(np.float32)


def _as_int8(matrix: Array) -> Array:
    whole, scale = quantised(matrix)
    return whole * scale[:, None]


ROUNDING: dict[str, Callable[[Array], Array]] = {  # --weights -> float32 numbers that it can hold
    "float32": lambda matrix: matrix,
    "float16": _as_float16,
    "int8": _as_int8,
}


def rounding(kind: str, target: str, kinds: tuple[str, ...]) -> Callable[[Array], Array]:
    """What weights of a kind make of a matrix (rows, columns). OptionError if the target does not hold that kind."""
    if kind not in kinds:
        raise OptionError(f"--weights: {suggest(f'kind of weights in {target}', kind, kinds)}")
    return ROUNDING[kind]


def held(matrix: Array, kind: str) -> bool:
    """Whether weights of a kind hold these very numbers: what was not rounded stays float32."""
    if kind == "float16" and np.abs(matrix).max(initial=0) > np.finfo(np.float16).max:
        return False
    return bool(np.allclose(ROUNDING[kind](matrix), matrix, rtol=1e-6, atol=0))


def blocked(matrix: Array) -> Array:
    """A matrix (rows, columns) in blocks of `ROWS` rows, the last filled up with zeros; a block column by column."""
    rows, columns = matrix.shape
    filled = np.zeros((-(-rows // ROWS) * ROWS, columns), matrix.dtype)
    filled[:rows] = matrix
    return filled.reshape(-1, ROWS, columns).swapaxes(1, 2).reshape(-1)
