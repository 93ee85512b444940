"""Random masks by a generator that counts instead of carrying a state: Philox4x32-10.

Each number follows from the seed, the stream and its own place, so that a mask has the same bits on every device and
engine, and on however many threads.

Source: Salmon, Moraes, Dror & Shaw (2011), Parallel Random Numbers: As Easy as 1, 2, 3.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import torch
from torch import Tensor

from ..native.library import _native
from .reference import recorded, transformed

_WORD = 0xFFFFFFFF


def bernoulli(
    shape: Sequence[int], rate: float, value: float, seed: Tensor, stream: int, device: torch.device | str = "cpu"
) -> Tensor:
    """Float32 values that are 0 at this rate, and `value` otherwise.

    Args:
        rate: 0 <= rate < 1, to 32 bits.
        seed: One int64, all of its bits; each draw of a program has its own.
        stream: 63 bits; draws with the same seed and another stream have nothing to do with one another.
    """
    run = _operator if recorded(seed) and not torch.jit.is_tracing() else _bernoulli
    return run(shape, rate, value, seed, stream, torch.device(device))


def _bernoulli(
    shape: Sequence[int], rate: float, value: float, seed: Tensor, stream: int, device: torch.device
) -> Tensor:
    count = prod(shape)
    # Under vmap every example may have its own seed, whose value cannot be read. A trace knows plain operations alone.
    if device.type == "cpu" and not transformed() and not torch.jit.is_tracing():
        mask = torch.empty(count)
        _native.bernoulli(mask, int(seed) & (_WORD << 32 | _WORD), stream, rate, value)
        return mask.view(shape)
    drawn = philox(torch.arange(-(-count // 4), device=device), seed.to(device), stream)[:count].view(shape)
    return torch.where(drawn < int(rate * 2**32), 0.0, value)


_operator = torch.library.custom_op(
    "gatewise::bernoulli",
    _bernoulli,
    mutates_args=(),
    schema="(SymInt[] shape, float rate, float value, Tensor seed, int stream, Device device) -> Tensor",
)


@_operator.register_fake
def _(shape: Sequence[int], rate: float, value: float, seed: Tensor, stream: int, device: torch.device) -> Tensor:
    return torch.empty(shape, device=device)


def philox(counter: Tensor, seed: Tensor | int, stream: int) -> Tensor:
    """Four numbers of 32 bits, as int64, for each counter (an int64 tensor)."""
    a, b = counter & _WORD, counter >> 32 & _WORD
    c, d = torch.full_like(a, stream & _WORD), torch.full_like(a, stream >> 32)
    low, high = seed & _WORD, seed >> 32 & _WORD
    for _ in range(10):
        p, q = 0xD2511F53 * a, 0xCD9E8D57 * c  # 64 bits, of which int64 shows the highest as a sign
        a, b = (q >> 32 & _WORD) ^ b ^ low, q & _WORD
        c, d = (p >> 32 & _WORD) ^ d ^ high, p & _WORD
        low, high = low + 0x9E3779B9 & _WORD, high + 0xBB67AE85 & _WORD
    return torch.stack([a, b, c, d], -1).flatten()
