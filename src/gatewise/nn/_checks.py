"""Checks that several layers share, so that the same error reads the same everywhere."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .. import cells, engine
from ..algebra import Cell
from ..checks import number
from ..errors import OptionError, OptionTypeError, ShapeError


def check_tensor(title: str, input: Any, weight: Tensor) -> None:
    """The input must be a tensor of the weights' dtype, on their device."""
    if not isinstance(input, Tensor):
        raise OptionTypeError(f"{title} takes a tensor, not {type(input).__name__}. Convert it: torch.as_tensor(input)")
    if input.dtype != weight.dtype and not engine.autocasts(input.device):
        raise ShapeError(
            f"the input is {input.dtype} but the weights of {title} are {weight.dtype}. "
            f"Convert one: input.to({weight.dtype}), or model.to({input.dtype})"
        )
    if input.device != weight.device:
        raise ShapeError(
            f"the input is on {input.device} but the weights of {title} are on {weight.device}. "
            f"Move one: input.to('{weight.device}'), or model.to('{input.device}')"
        )


def check_size(name: str, size: Any) -> None:
    """A size must be an int, at least 1."""
    if isinstance(size, bool) or not isinstance(size, int):
        raise OptionTypeError(f"{name} must be int, not {type(size).__name__}: {size!r}")
    if size < 1:
        raise OptionError(f"{name} must be at least 1, not {size}")


def found_cell(cell: Any) -> Cell:
    """The cell, which may be given by its name."""
    found = cells.find(cell) if isinstance(cell, str) else cell
    if not isinstance(found, Cell):
        raise OptionTypeError(f"cell must be a Cell or the name of one, not {type(cell).__name__}: {cell!r:.60}")
    return found


def check_options(
    *,
    input_size: Any,
    hidden_size: Any,
    num_layers: Any = 1,
    bias: Any = True,
    batch_first: Any = False,
    dropout: Any = 0.0,
    proj_size: Any = 0,
) -> None:
    """Refuse what torch.nn refuses, with the same types of exception."""
    sizes = {"input_size": input_size, "hidden_size": hidden_size, "num_layers": num_layers}
    number("dropout", dropout, "from 0 to 1", lambda v: 0 <= v <= 1)
    for name, value, kind in (
        ("bias", bias, bool),
        ("batch_first", batch_first, bool),
        *((name, size, int) for name, size in {**sizes, "proj_size": proj_size}.items()),
    ):
        if not isinstance(value, kind):
            raise OptionTypeError(f"{name} must be {kind.__name__}, not {type(value).__name__}: {value!r}")
    for name, value in sizes.items():
        if value <= 0:
            raise OptionError(f"{name} must be at least 1, not {value}")
    if not 0 <= proj_size < hidden_size:
        raise OptionError(f"proj_size must be below hidden_size={hidden_size}, or 0 for no projection, not {proj_size}")
    if float(dropout) > 0 and num_layers == 1:
        warnings.warn(
            f"dropout={dropout} acts between layers, and num_layers=1 has no place for it", UserWarning, stacklevel=4
        )


def checked_lengths(lengths: Tensor | Sequence[int], x: Tensor) -> Tensor:
    """Lengths of the rows of x (T, B, ...) as a tensor (B,) of int64 from 0 to T, wherever they are."""
    try:
        if not isinstance(lengths, Tensor | Sequence):  # of a table's column torch would ask for elements by label
            lengths = np.array(lengths)
            lengths = lengths.astype(np.int64) if lengths.dtype.kind in "iu" else lengths
        if not isinstance(lengths, Tensor):  # torch would warn of one that is traced
            lengths = torch.as_tensor(lengths)
    except (TypeError, ValueError, RuntimeError):
        raise ShapeError(f"lengths must be whole numbers, one per row, not {lengths!r:.60}") from None
    if lengths.numel() == 0:
        lengths = lengths.long()  # an empty list has no type of its own
    whole = not (lengths.dtype.is_floating_point or lengths.dtype.is_complex or lengths.dtype == torch.bool)
    lengths = lengths.long() if whole else lengths  # torch neither compares nor orders the unsigned ones
    # Under vmap each example has its own lengths; those, and recorded ones, have no values that could be read.
    known = not (lengths.is_meta or engine.recorded(lengths) or engine.transformed())
    engine.check_lengths(lengths, x.shape[0], x.shape[1], whole, known)  # len(x) would fix T in an export
    return lengths
