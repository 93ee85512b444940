"""Runs a cell over time."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..algebra import Cell
from . import native, operators
from .native import threads
from .reference import pointwise_parameters

__all__ = ["both_directions", "pointwise", "pointwise_parameters", "recurrence", "step", "threads"]


def recurrence(
    cell: Cell,
    x: Tensor,
    state: Sequence[Tensor],
    weights: Sequence[Tensor],
    lengths: Tensor | None = None,
    resets: Tensor | None = None,
    reverse: bool = False,
    history: bool = False,
) -> tuple[list[Tensor], list[Tensor]]:
    """A whole layer, by the fastest backend that computes exactly this.

    Args:
        x: (T, B, D), T at least 1.
        state: One (B, H) tensor per carried name ((B, P) for a projected output), before the first step.
        weights: One tensor per parameter of the cell, gate blocks stacked in the cell's order.
        lengths: (B,) integers in 0..T, unsorted, on any device: steps of each row that count.
        resets: (T, B) booleans: where True, a new sequence begins at this step, from a state of zeros.
        reverse: Run each row from its last step to its first.
        history: Return every carried value at every step, not the output alone.

    Returns:
        (T, B, H) per value shown, zero beyond a row's length; and the last state, (B, H) per carried name.
    """
    if _rounds_itself(x, state, weights):
        layer = native.Layer(cell, x, state, weights, lengths, resets, reverse, history, torch.bfloat16)
        [results] = native.run(layer)
    else:
        x, state, weights = _autocast(x, state, weights)
        run = operators.recurrence if torch.compiler.is_compiling() else operators.run_recurrence
        results = run(cell.key, x, state, weights, lengths, resets, reverse, history)
    shown = len(cell.carry) if history else 1
    return results[:shown], results[shown:]


def both_directions(
    cell: Cell,
    x: Tensor,
    states: Sequence[Sequence[Tensor]],
    weights: Sequence[Sequence[Tensor]],
    lengths: Tensor | None = None,
    resets: Tensor | None = None,
    history: bool = False,
) -> list[tuple[list[Tensor], list[Tensor]]]:
    """Two layers on the same input, the second from its last step to its first; at the same time where that pays.

    Args:
        states: Of each, as for `recurrence`; so are `weights`, and each one's results.
    """
    pairs = list(zip(states, weights, (False, True), strict=True))
    tensors = x, [*states[0], *states[1]], [*weights[0], *weights[1]]
    dtype = torch.bfloat16 if _rounds_itself(*tensors) else None
    plain = not torch.compiler.is_compiling() and not torch.is_autocast_enabled(x.device.type)
    if dtype is None and not (plain and native.fits(*tensors)):
        return [recurrence(cell, x, s, w, lengths, resets, reverse, history) for s, w, reverse in pairs]
    layers = [native.Layer(cell, x, s, w, lengths, resets, reverse, history, dtype) for s, w, reverse in pairs]
    shown = len(cell.carry) if history else 1
    return [(results[:shown], results[shown:]) for results in native.run(*layers)]


def step(cell: Cell, x: Tensor, state: Sequence[Tensor], weights: Sequence[Tensor]) -> list[Tensor]:
    """One step: x (B, D) and the state before it to the state after, for decoders and loops of one's own."""
    x, state, weights = _autocast(x, state, weights)
    run = operators.step if torch.compiler.is_compiling() else operators.run_step
    return run(cell.key, x, state, weights)


def pointwise(cell: Cell, sums: Tensor, state: Sequence[Tensor], weights: Sequence[Tensor] = ()) -> list[Tensor]:
    """The pointwise part of a step: sums of the products (B, A * H), one block per accumulator, to the next state.

    Args:
        weights: Those of `pointwise_parameters`, for a cell that uses some unit by unit, as peepholes are.
    """
    run = operators.pointwise if torch.compiler.is_compiling() else operators.run_pointwise
    return run(cell.key, sums, state, weights)


def _rounds_itself(x: Tensor, state: Sequence[Tensor], weights: Sequence[Tensor]) -> bool:
    """Under autocast to bfloat16 the native engine takes float32 as it is and rounds what it multiplies, no more."""
    return (
        x.device.type == "cpu"
        and torch.is_autocast_enabled("cpu")
        and torch.get_autocast_dtype("cpu") == torch.bfloat16
        and not torch.compiler.is_compiling()
        and native.fits_mixed(x, state, weights)
    )


def _autocast(
    x: Tensor, state: Sequence[Tensor], weights: Sequence[Tensor]
) -> tuple[Tensor, list[Tensor], list[Tensor]]:
    """Under autocast, what is float32 goes to the dtype asked for, as `torch.nn.LSTM` does; float64 stays."""
    device = x.device.type
    if not torch.is_autocast_enabled(device):
        return x, list(state), list(weights)
    low = torch.get_autocast_dtype(device)

    def cast(tensor: Tensor) -> Tensor:
        return tensor if tensor.dtype == torch.float64 else tensor.to(low)

    return cast(x), [cast(s) for s in state], [cast(w) for w in weights]
