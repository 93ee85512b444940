"""Mistakes that several layers tell in the same words."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from .. import cells
from ..algebra import Cell
from ..errors import OptionError, OptionTypeError, ShapeError


def check_tensor(title: str, input: Any, weight: Tensor) -> None:
    """The input must be a tensor of the weights' dtype, where they are."""
    if not isinstance(input, Tensor):
        raise OptionTypeError(f"{title} takes a tensor, not {type(input).__name__}. Convert it: torch.as_tensor(input)")
    if input.dtype != weight.dtype and not torch.is_autocast_enabled(input.device.type):
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
    """A size must be a whole number from 1 on."""
    if isinstance(size, bool) or not isinstance(size, int):
        raise OptionTypeError(f"{name} must be int, not {type(size).__name__}: {size!r}")
    if size < 1:
        raise OptionError(f"{name} must be at least 1, not {size}")


def found_cell(cell: Any) -> Cell:
    """A cell by itself or by its name."""
    found = cells.find(cell) if isinstance(cell, str) else cell
    if not isinstance(found, Cell):
        raise OptionTypeError(f"cell must be a Cell or the name of one, not {type(cell).__name__}: {cell!r:.60}")
    return found
