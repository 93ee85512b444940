"""Runs a cell over time."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..algebra import Cell
from ..errors import OptionError
from ..native.calls import check_lengths
from . import aten, backends, native, operators, reference
from .backends import check
from .native import threads
from .reference import pointwise_parameters, recorded, transformed

__all__ = [
    "autocasts",
    "both_directions",
    "check",
    "check_lengths",
    "pointwise",
    "pointwise_parameters",
    "recorded",
    "recurrence",
    "stack",
    "step",
    "threads",
    "transformed",
]


def recurrence(
    cell: Cell,
    x: Tensor,
    state: Sequence[Tensor],
    weights: Sequence[Tensor],
    lengths: Tensor | None = None,
    resets: Tensor | None = None,
    reverse: bool = False,
    history: bool = False,
    extras: Sequence[Tensor] = (),
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
        extras: One (T, B, H) tensor per further input of the cell; no gradient is taken with respect to them.

    Returns:
        (T, B, H) per value shown, zero beyond a row's length; and the last state, (B, H) per carried name.
    """
    dtype = _native_dtype(cell, x, state, weights)
    if dtype is not None:
        layer = native.Layer(cell, x, state, weights, lengths, resets, reverse, history, dtype, extras)
        [results] = native.run(layer)
    else:
        x, state, weights = _autocast(x, state, weights)
        extras = [extra.to(x.dtype) for extra in extras]
        exports = torch.onnx.is_in_onnx_export()
        fused = lengths is None and aten.fits(cell, resets, history) and not (exports and cell.projected)
        if torch.jit.is_tracing() and fused:
            # A layer of torch's own: ONNX has it, and a file of TorchScript does not need Gatewise to run.
            y, last = aten.recurrence(cell, x, state, weights, reverse=reverse)
            return [y], last
        if exports:
            raise OptionError(
                f"ONNX has no layer for cell '{cell.name}' with all that is asked of it, but for lstm, gru, rnn_tanh "
                "and rnn_relu without lengths, resets and cell states"
            )
        run = operators.recurrence if recorded(x) else operators.run_recurrence
        results = run(cell.key, x, state, weights, lengths, resets, reverse, history, extras)
    return _parted(cell, results, history)


def both_directions(
    cell: Cell,
    x: Tensor,
    states: Sequence[Sequence[Tensor]],
    weights: Sequence[Sequence[Tensor]],
    lengths: Tensor | None = None,
    resets: Tensor | None = None,
    history: bool = False,
    extras: Sequence[Sequence[Tensor]] = ((), ()),
) -> list[tuple[list[Tensor], list[Tensor]]]:
    """Two layers on the same input, the second from its last step to its first; at the same time where that pays.

    Args:
        states: Of each, as for `recurrence`; so are `weights` and `extras`, and each one's results.
    """
    both = list(zip(states, weights, (False, True), extras, strict=True))
    dtype = _native_dtype(cell, x, [*states[0], *states[1]], [*weights[0], *weights[1]])
    if dtype is None:
        return [recurrence(cell, x, s, w, lengths, resets, reverse, history, e) for s, w, reverse, e in both]
    layers = [native.Layer(cell, x, s, w, lengths, resets, reverse, history, dtype, e) for s, w, reverse, e in both]
    return [_parted(cell, results, history) for results in native.run(*layers)]


def stack(
    cell: Cell,
    x: Tensor,
    states: Sequence[Sequence[Tensor]],
    weights: Sequence[Sequence[Tensor]],
    lengths: Tensor | None = None,
    resets: Tensor | None = None,
    history: bool = False,
    extras: Sequence[Sequence[Tensor]] | None = None,
) -> list[tuple[list[Tensor], list[Tensor]]]:
    """Layers, each on the output of the one below it; several at the same time where that pays.

    Args:
        states: Of each layer, as for `recurrence`; so are `weights` and `extras`, and each one's results.
    """
    every = list(zip(states, weights, extras or [()] * len(states), strict=True))
    dtype = _native_dtype(cell, x, [s for state in states for s in state], [w for own in weights for w in own])
    if dtype is not None:
        layers = [native.Layer(cell, x, s, w, lengths, resets, False, history, dtype, e) for s, w, e in every]
        return [_parted(cell, results, history) for results in native.run_stack(layers)]
    runs = []
    for s, w, e in every:
        runs.append(recurrence(cell, x, s, w, lengths, resets, history=history, extras=e))
        x = runs[-1][0][0]
    return runs


def step(cell: Cell, x: Tensor, state: Sequence[Tensor], weights: Sequence[Tensor]) -> list[Tensor]:
    """One step: x (B, D) and the state before it to the state after, for decoders and loops of one's own."""
    x, state, weights = _autocast(x, state, weights)
    if torch.jit.is_tracing():  # plain operations, as ONNX has them
        return reference.step(cell, x, state, weights)
    run = operators.step if recorded(x) else operators.run_step
    return run(cell.key, x, state, weights)


def pointwise(cell: Cell, sums: Tensor, state: Sequence[Tensor], weights: Sequence[Tensor] = ()) -> list[Tensor]:
    """The pointwise part of a step: sums of the products (B, A * H), one block per accumulator, to the next state.

    Args:
        weights: Those of `pointwise_parameters`, for a cell that uses some unit by unit, as peepholes are.
    """
    run = operators.pointwise if torch.compiler.is_compiling() else operators.run_pointwise
    return run(cell.key, sums, state, weights)


def _parted(cell: Cell, results: list[Tensor], history: bool) -> tuple[list[Tensor], list[Tensor]]:
    """What is shown of every step, and the last state."""
    shown = len(cell.carry) if history else 1
    return results[:shown], results[shown:]


def _native_dtype(cell: Cell, x: Tensor, state: Sequence[Tensor], weights: Sequence[Tensor]) -> torch.dtype | None:
    """Of the native engine's results, if it is to run this cell on these tensors; None if it is not.

    Under autocast to bfloat16 it takes float32 as it is and rounds what it multiplies, no more.
    """
    if recorded(x) or not backends.allows("native") or not native.runs(cell):
        return None
    if not torch.is_autocast_enabled("cpu") or x.device.type != "cpu":
        return x.dtype if native.fits(x, state, weights) else None
    rounds = torch.get_autocast_dtype("cpu") == torch.bfloat16 and native.fits_mixed(x, state, weights)
    return torch.bfloat16 if rounds else None


def autocasts(device: torch.device) -> bool:
    """Whether autocast is on there; "meta" knows none."""
    return torch.amp.is_autocast_available(device.type) and torch.is_autocast_enabled(device.type)


def _autocast(
    x: Tensor, state: Sequence[Tensor], weights: Sequence[Tensor]
) -> tuple[Tensor, list[Tensor], list[Tensor]]:
    """Under autocast, what is float32 goes to the dtype asked for, as `torch.nn.LSTM` does; float64 stays."""
    if not autocasts(x.device):
        return x, list(state), list(weights)
    low = torch.get_autocast_dtype(x.device.type)

    def cast(tensor: Tensor) -> Tensor:
        return tensor if tensor.dtype == torch.float64 else tensor.to(low)

    return cast(x), [cast(s) for s in state], [cast(w) for w in weights]
