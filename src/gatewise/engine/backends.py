"""Which engine runs a layer: the first that computes exactly this, or the one that GATEWISE_ENGINE names."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from ..algebra import Cell
from ..errors import OptionError
from . import aten, chunkwise, compiled, native, reference, scan, triton


@dataclass(frozen=True)
class Backend:
    """One way to run a layer.

    Attributes:
        refusal: From cell, x, state, weights, resets and history to why it cannot run that, or "".
        run: As `run` below, without a choice.
    """

    refusal: Callable[..., str]
    run: Callable[..., list[Tensor]]


def _refuses_native(cell: Cell, x: Tensor, state: Sequence[Tensor], weights: Sequence[Tensor], *_: Any) -> str:
    if not native.runs(cell):
        return "it has no matrix memories"
    return "" if native.fits(x, state, weights) else "it takes float32 or bfloat16 tensors on the CPU"


def _run_native(
    cell: Cell,
    x: Tensor,
    state: Sequence[Tensor],
    weights: Sequence[Tensor],
    lengths: Tensor | None,
    resets: Tensor | None,
    reverse: bool,
    history: bool,
    extras: Sequence[Tensor],
) -> list[Tensor]:
    [results] = native.run(native.Layer(cell, x, state, weights, lengths, resets, reverse, history, extras=extras))
    return results


def _fused(module: Any, reason: str) -> Backend:
    """One that shows h alone at every step, and knows neither resets nor extras."""

    def refusal(cell: Cell, x: Tensor, state: Any, weights: Any, resets: Tensor | None, history: bool) -> str:
        return "" if module.fits(cell, resets, history) else reason

    def run(
        cell: Cell, x: Tensor, state: Any, weights: Any, lengths: Any, resets: Any, reverse: bool, *_: Any
    ) -> list[Tensor]:
        y, last = module.recurrence(cell, x, state, weights, lengths, reverse)
        return [y, *last]

    return Backend(refusal, run)


def _general(recurrence: Callable[..., Any], refusal: Callable[..., str]) -> Backend:
    """One that shows everything."""

    def run(
        cell: Cell,
        x: Tensor,
        state: Any,
        weights: Any,
        lengths: Any,
        resets: Any,
        reverse: bool,
        history: bool,
        extras: Any,
    ) -> list[Tensor]:
        every, last = recurrence(cell, x, state, weights, lengths, resets, reverse, extras=extras)
        return [*(every if history else every[:1]), *last]

    return Backend(refusal, run)


def _refuses_scan(cell: Cell, *_: Any) -> str:
    return "" if scan.fits(cell) else "the cell is not linear in what it carries"


def _refuses_triton(cell: Cell, x: Tensor, state: Sequence[Tensor], weights: Sequence[Tensor], *_: Any) -> str:
    return triton.refusal(cell, x, state, weights)


# In the order in which "auto" tries them, but for the two that have to be asked for.
BACKENDS = {
    "native": Backend(_refuses_native, _run_native),
    "aten": _fused(aten, "PyTorch has no layer that gives all that is asked for"),
    "chunkwise": _fused(chunkwise, "it runs mlstm alone, without resets and cell states"),
    "scan": _general(scan.recurrence, _refuses_scan),
    "triton": _general(triton.recurrence, _refuses_triton),
    "compiled": _general(compiled.recurrence, lambda *_: ""),
    "reference": _general(reference.recurrence, lambda *_: ""),
}
AUTO = "auto"
ON_REQUEST = ("triton", "compiled")
NAMES = (AUTO, *BACKENDS)


def _named() -> str:
    name = os.environ.get("GATEWISE_ENGINE") or AUTO
    if name not in NAMES:
        raise OptionError(f"no engine named '{name}'. GATEWISE_ENGINE may be {', '.join(NAMES)}")
    return name


chosen = _named()


def allows(name: str) -> bool:
    """Whether a backend may run layers: all may, unless one is named."""
    return chosen in (AUTO, name)


def run(
    cell: Cell,
    x: Tensor,
    state: Sequence[Tensor],
    weights: Sequence[Tensor],
    lengths: Tensor | None,
    resets: Tensor | None,
    reverse: bool,
    history: bool,
    extras: Sequence[Tensor],
) -> list[Tensor]:
    """Choose a backend and run a layer: first the carried values of every step (the output alone unless `history`),
    then the last state.

    Raises:
        OptionError: The backend that GATEWISE_ENGINE names cannot run it.
    """
    if chosen == AUTO:
        names = tuple(name for name in BACKENDS if name not in ON_REQUEST)
    else:  # but torch.func and forward derivatives pass through plain operations alone
        names = ("reference",) if reference.transformed() else (chosen,)
    for name in names:
        backend = BACKENDS[name]
        reason = backend.refusal(cell, x, state, weights, resets, history)
        if not reason:
            return backend.run(cell, x, state, weights, lengths, resets, reverse, history, extras)
    raise _cannot(cell, reason)


def check(cell: Cell) -> None:
    """Say early, when a layer is built, what no tensor could change.

    Raises:
        OptionError: The backend that GATEWISE_ENGINE names can never run this cell.
    """
    reasons = {
        "native": lambda: "" if native.runs(cell) else "it has no matrix memories",
        "aten": lambda: "" if aten.knows(cell) else "PyTorch has no layer with its equations",
        "chunkwise": lambda: "" if chunkwise.fits(cell, None, False) else "it runs mlstm alone",
        "scan": lambda: _refuses_scan(cell),
        "triton": triton.missing,
        "compiled": compiled.missing,
    }
    if chosen in reasons and (reason := reasons[chosen]()):
        raise _cannot(cell, reason)


def _cannot(cell: Cell, reason: str) -> OptionError:
    return OptionError(
        f"GATEWISE_ENGINE={chosen} cannot run cell '{cell.name}' here: {reason}. Unset it, or name another engine: "
        f"{', '.join(NAMES)}"
    )


def step(cell: Cell, x: Tensor, state: Sequence[Tensor], weights: Sequence[Tensor]) -> list[Tensor]:
    """One step, from the state before it to the state after it."""
    if allows("native") and not _refuses_native(cell, x, state, weights):
        [[_, *after]] = native.run(native.Layer(cell, x.unsqueeze(0), state, weights))
        return after
    if chosen == "triton" and not triton.refusal(cell, x, state, weights):
        return triton.recurrence(cell, x.unsqueeze(0), state, weights)[1]
    if chosen == "compiled" and not reference.transformed():
        return compiled.step(cell, x, state, weights)
    return reference.step(cell, x, state, weights)
