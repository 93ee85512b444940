"""What kernels are made of besides `triton.language`: functions of tiles, (rows, units) each.

In float32 their error is a few roundings of the value or of 1, whichever is larger; `tl.exp` is the hardware's.
"""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def sigmoid(v):
    small = tl.exp(-tl.abs(v))  # never above 1, so nothing overflows
    return tl.where(v >= 0, 1.0, small) / (1.0 + small)


@triton.jit
def tanh(v):
    small = tl.exp(-2.0 * tl.abs(v))
    size = (1.0 - small) / (1.0 + small)
    return tl.where(v >= 0, size, -size)


@triton.jit
def softplus(v):
    small = tl.exp(-tl.abs(v))
    above = 1.0 + small
    # The last term is what rounding took from 1 + small.
    return tl.maximum(v, 0.0) + tl.log(above) + (small - (above - 1.0)) / above


@triton.jit
def step(v):
    return (v > 0).to(v.dtype)


@triton.jit
def product(v, matrix, inside, total, PRECISION: tl.constexpr):
    """total + v @ matrix; `inside` is False for units that only fill the tile, which may hold anything."""
    v = tl.where(inside, v, 0.0).to(matrix.dtype)
    return tl.dot(v, matrix, total, input_precision=PRECISION, out_dtype=total.dtype)


@triton.jit
def mean(v, inside, count):
    total = tl.sum(tl.where(inside, v, 0.0), 1) / count
    return tl.broadcast_to(total[:, None], v.shape)


# Maps between units (H), a number per head (N) and a matrix per head (M); tiles are padded head by head.


@triton.jit
def spread(v, ROWS: tl.constexpr, HEADS: tl.constexpr, UNITS: tl.constexpr):
    wide = tl.broadcast_to(tl.reshape(v, (ROWS, HEADS, 1)), (ROWS, HEADS, UNITS))
    return tl.reshape(wide, (ROWS, HEADS * UNITS))


@triton.jit
def head_sum(v, inside, ROWS: tl.constexpr, HEADS: tl.constexpr, UNITS: tl.constexpr):
    return tl.sum(tl.reshape(tl.where(inside, v, 0.0), (ROWS, HEADS, UNITS)), 2)


@triton.jit
def rows(v, ROWS: tl.constexpr, HEADS: tl.constexpr, UNITS: tl.constexpr):
    wide = tl.broadcast_to(tl.reshape(v, (ROWS, HEADS, UNITS, 1)), (ROWS, HEADS, UNITS, UNITS))
    return tl.reshape(wide, (ROWS, HEADS * UNITS * UNITS))


@triton.jit
def columns(v, ROWS: tl.constexpr, HEADS: tl.constexpr, UNITS: tl.constexpr):
    wide = tl.broadcast_to(tl.reshape(v, (ROWS, HEADS, 1, UNITS)), (ROWS, HEADS, UNITS, UNITS))
    return tl.reshape(wide, (ROWS, HEADS * UNITS * UNITS))


@triton.jit
def row_sum(v, inside, ROWS: tl.constexpr, HEADS: tl.constexpr, UNITS: tl.constexpr):
    whole = tl.reshape(tl.where(inside, v, 0.0), (ROWS, HEADS, UNITS, UNITS))
    return tl.reshape(tl.sum(whole, 3), (ROWS, HEADS * UNITS))


@triton.jit
def column_sum(v, inside, ROWS: tl.constexpr, HEADS: tl.constexpr, UNITS: tl.constexpr):
    whole = tl.reshape(tl.where(inside, v, 0.0), (ROWS, HEADS, UNITS, UNITS))
    return tl.reshape(tl.sum(whole, 2), (ROWS, HEADS * UNITS))
