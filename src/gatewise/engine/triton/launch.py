"""A cell's kernels: made of their text once, sized for a layer, launched. One launch is a whole layer over time."""

from __future__ import annotations

import linecache
import re
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from typing import Any

import torch
from torch import Tensor

from ...algebra import Cell
from ...algebra.expression import Node
from . import emit
from .plan import plan_of

_ROWS = 16  # of a block: the least that tensor cores multiply
_ROOM = 227 * 1024  # bytes of shared memory that a program may have on an H100 or H200
# Of Triton's compiler. Compiled for an H100, four groups of 32 threads leave too few registers for float32 at 64 units,
# where eight do not; loads of a step that are on their way while another is computed take as much shared memory again
# with three stages, and with one Triton 3.9 fails on some kernels. An fma in a program is meant.
OPTIONS = {"num_warps": 8, "num_stages": 2, "enable_fp_fusion": True}
_TILE = 16384  # values of the widest tile: 64 kB in float32, a quarter of a multiprocessor's registers


@dataclass(frozen=True)
class Layer:
    """What a layer is run with, besides tensors that have gradients.

    Attributes:
        sizes: A number for every size letter.
        extras: (T, B, size) per further input of the cell.
        inside: (T, B), False beyond the end of a row; None if every row has all steps.
        fresh: (T, B), True where a state of zeros is set before a step; None if nowhere.
    """

    cell: Cell
    T: int
    B: int
    sizes: Mapping[str, int]
    dtype: torch.dtype
    device: torch.device
    reverse: bool
    extras: Sequence[Tensor]
    inside: Tensor | None
    fresh: Tensor | None

    @property
    def accumulates(self) -> torch.dtype:
        return torch.float64 if self.dtype == torch.float64 else torch.float32

    def empty(self, *shape: int) -> Tensor:
        return torch.empty(shape, dtype=self.dtype, device=self.device)

    def block(self, letter: str, least: int = 16) -> int:
        """A size as tiles have it: a power of two, and 16 at least, which is what tensor cores multiply."""
        if letter == "H" and self.cell.heads > 1:
            return self.block("N", least) * self.block("K", least)
        if letter == "M":
            return self.block("N", least) * self.block("K", least) ** 2
        least = {"N": 1, "K": -(-least // self.cell.heads)}.get(letter, least)
        return power_of_two(max(self.sizes[letter], least))

    def constants(self) -> dict[str, Any]:
        """What every kernel of the layer is compiled for."""
        blocks = {f"BLOCK_{letter}": self.block(letter) for letter in self.sizes}
        return {**self.sizes, **blocks, "ACC": accumulator_type(self.accumulates), "PRECISION": precision()}


def power_of_two(size: int) -> int:
    """The next one that is not below."""
    return 1 << max(size - 1, 0).bit_length()


def accumulator_type(dtype: torch.dtype) -> Any:
    import triton.language as tl

    return tl.float64 if dtype == torch.float64 else tl.float32


def precision() -> str:
    """How products of float32 round, as torch was told to."""
    return "tf32" if torch.backends.cuda.matmul.allow_tf32 else "ieee"


@lru_cache(maxsize=1024)
def kernel(text: str, name: str) -> Any:
    """The function that a text defines. Triton reads the source of what it compiles, so `linecache` gets to know it."""
    file = f"<gatewise {name} {zlib.crc32(text.encode()):08x}>"
    linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)
    names: dict[str, Any] = {"__name__": f"{__name__}.{name}"}
    exec(compile(text, file, "exec"), names)
    return names[name]


@lru_cache(maxsize=1024)
def recurrence_text(cell: Cell, back: bool) -> tuple[str, str]:
    """Text and name of a cell's kernel for a whole layer."""
    name = emit.identifier(f"{cell.name}_{'backward' if back else 'forward'}")
    return emit.recurrence_text(plan_of(cell, back), name), name


def shared_bytes(layer: Layer, back: bool) -> int:
    """Shared memory of a layer's kernel, at most: its matrices, and a tile for each load that is on its way.

    Triton, compiling for an H100, takes no more for any cell (tests/engine/test_triton_compiled.py).
    """
    matrices = plan_of(layer.cell, back).matrices()
    shapes = [(m.size.letter, m.columns.letter) for m, _ in matrices if m.columns is not None]
    loads = recurrence_text(layer.cell, back)[0].partition("for moment")[2].count("tl.load(")
    held = sum(prod(map(layer.block, letters)) for letters in shapes)
    return (held + loads * _ROWS * widest(layer)) * layer.dtype.itemsize


@lru_cache(maxsize=64)
def _room_of(device: int) -> int:
    from triton.runtime import driver

    room: int = driver.active.utils.get_device_properties(device)["max_shared_mem"]
    return room


def widest(layer: Layer) -> int:
    """Units of the widest tile of a layer's kernels."""
    texts = [recurrence_text(layer.cell, back)[0] for back in (False, True)]
    return max(layer.block(letter) for text in texts for letter in re.findall(r"BLOCK_([DHPM]): ", text))


def stays_on_chip(layer: Layer) -> bool:
    """Whether one program can hold the recurrent matrices, and tiles of all units."""
    room = _ROOM  # the interpreter, which has no such limit, chooses like a GPU
    if layer.device.type == "cuda":
        room = _room_of(layer.device.index or 0)
    return _ROWS * widest(layer) <= _TILE and max(shared_bytes(layer, back) for back in (False, True)) <= room


def run(layer: Layer, back: bool, tensors: Mapping[str, Tensor], switches: Mapping[str, bool]) -> None:
    """Launch a layer's kernel: `tensors` by the names of its pointers, without "_ptr"."""
    function = kernel(*recurrence_text(layer.cell, back))
    values: dict[str, Any] = {f"{name}_ptr": tensor for name, tensor in tensors.items()}
    values |= layer.constants()
    values |= {**switches, "T": layer.T, "B": layer.B, "REVERSE": int(layer.reverse), "BLOCK_B": _ROWS}
    values |= {"LENGTHS": layer.inside is not None, "RESETS": layer.fresh is not None}
    grid = (-(-layer.B // _ROWS),)
    function[grid](**{name: values[name] for name in function.arg_names}, **OPTIONS)


def flags(layer: Layer, like: Tensor) -> Tensor:
    """Of each step and row: 1 if it is inside, plus 2 if it begins afresh; `like` if neither is asked for."""
    found = None
    for bit, mask in ((1, layer.inside), (2, layer.fresh)):
        if mask is not None:
            part = mask.to(torch.uint8) * bit
            found = part if found is None else found + part
    return like if found is None else found.contiguous()


def forward(
    layer: Layer, history: Mapping[str, Tensor], sums: Tensor, streams: Mapping[Node, Tensor], saved: Tensor | None
) -> None:
    """All steps: fills the history, and what the backward pass needs.

    Args:
        history: (T + 1, B, size) per carried name; the state at the start stands at one end, see `slots`.
        sums: (T, B, width), what accumulators begin with.
        streams: The input, extras, and each weight's block, by node.
        saved: (T, B, width), or None if there will be no backward pass.
    """
    names = emit.names_of(layer.cell, back=False)
    tensors = {names[node]: tensor for node, tensor in streams.items() if node in names}
    tensors |= {**history, "sums": sums, "saved": sums if saved is None else saved, "flags": flags(layer, sums)}
    run(layer, False, tensors, {"KEEP": saved is not None})


def backward(
    layer: Layer,
    history: Mapping[str, Tensor],
    saved: Tensor,
    streams: Mapping[Node, Tensor],
    arriving: Mapping[str, Tensor | None],
    gradients: Mapping[str, Tensor],
    left: Tensor,
) -> None:
    """All steps, from the last one.

    Args:
        arriving: (T, B, size) per carried name, gradients of its value at every step.
        gradients: (B, size) per carried name, of the last state; overwritten by that of the first.
        left: (T, B, width), filled with what weight gradients are made of.
    """
    names = emit.names_of(layer.cell, back=True)
    tensors = {names[node]: tensor for node, tensor in streams.items() if node in names}
    tensors |= {**history, "saved": saved, "left": left, "flags": flags(layer, saved)}
    tensors |= {f"d{c}": tensor for c, tensor in gradients.items()}
    tensors |= {f"d{c}_arriving": gradients[c] if tensor is None else tensor for c, tensor in arriving.items()}
    run(layer, True, tensors, {f"ARRIVES_{c}": tensor is not None for c, tensor in arriving.items()})
