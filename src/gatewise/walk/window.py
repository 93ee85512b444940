"""Some steps of a layer of somebody's own model, as a story."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from ..algebra import Cell
from ..algebra.derive import backward
from ..algebra.expression import evaluate
from ..errors import OptionError
from ..runtime import equations
from .story import Array, Story

MOST_STEPS, MOST_UNITS = 8, 8


def window(
    name: str,
    cell: Cell,
    x: Array,
    start: Sequence[Array],
    weights: Sequence[Array],
    steps: Sequence[str],
    at: int,
    arriving: Sequence[Array] | None = None,
) -> Story:
    """The steps of a row up to one of them, at most `MOST_STEPS`, with the state that they began from.

    Args:
        name: The page's title for it.
        x: (T, D), what the layer reads.
        start: (H,) per carried name, before the first step of the row.
        weights: One array per parameter of the cell, as `Story` has them: the two biases that layers store are added.
        steps: T names.
        at: The last step that is walked through, from 0.
        arriving: (T, size) per carried name, the gradient that each step's state gets from what reads it, and none by
            way of later steps: what those hand back to the last step shown is computed here. Without it each output
            of the last step counts 1.

    Raises:
        OptionError: There is no such step.
        ShapeError: An array has another shape than the cell wants, or the layer is too large for a page.
    """
    if not 0 <= at < len(x):
        raise OptionError(f"there is no step {at + 1} to walk to: the row has {len(x)}")
    first = max(0, at - MOST_STEPS + 1)
    x, given = np.asarray(x, float), tuple(np.asarray(w, float) for w in weights)
    began, every = [np.asarray(s, float) for s in start], [np.asarray(a, float) for a in arriving or ()]
    until = at + 1 if arriving is None else _last_read(every, at) + 1
    states = states_of(cell, x[:until], began, given)
    if arriving is None:
        taken = [np.zeros((at + 1 - first, s.size)) for s in began]
        taken[0][-1] = 1.0
    else:
        taken = [a[first : at + 1].copy() for a in every]
        *_, (_, handed) = handed_back(cell, x, states, every, given, at)
        for own, later in zip(taken, handed, strict=True):
            own[-1] += later
    output = np.stack([state[0] for state in states[first : at + 2]])
    effect = np.abs(np.diff(output, axis=0)).sum(0) * np.maximum(np.abs(taken[0]).sum(0), 1e-12)
    most = sorted(np.argsort(-effect, kind="stable")[:MOST_UNITS].tolist())
    shown = tuple(most) if output.shape[1] > MOST_UNITS and not cell.projected else ()
    part = slice(first, at + 1)
    before, names = tuple(states[first]), tuple(steps[part])
    known = arriving is not None
    return Story(name, cell, x[part], before, given, names, arriving=tuple(taken), assumed=not known, units=shown)


def _last_read(arriving: Sequence[Array], at: int) -> int:
    """The last step whose state is read by anything, `at` or one after it."""
    return max([at, *(int(step) for a in arriving for step in np.flatnonzero(a.any(-1)))])


def handed_back(
    cell: Cell, x: Array, states: list[list[Array]], arriving: Sequence[Array], weights: Sequence[Array], first: int
) -> Iterator[tuple[int, list[Array]]]:
    """From the last step back to `first`: the step, and (H,) per carried name the gradient that the state after it gets
    from all steps after it.

    Args:
        x, arriving, weights: As of `window`. What arrives at a step is read after the step was given.
        states: As `states_of` gives them.
    """
    back, table, blocks = backward(cell), _operations(cell, states[0]), equations.blocks(cell, weights)
    handed = [np.zeros(s.size) for s in states[0]]
    for t in reversed(range(first, len(states) - 1)):
        yield t, handed
        known = {cell.x: x[t], **dict(zip(cell.before, states[t], strict=True)), **blocks}
        known |= {seed: a[t] + h for seed, a, h in zip(back.seeds, arriving, handed, strict=True)}
        found = evaluate(back.before, known, table)
        handed = [np.broadcast_to(slope, h.shape) for slope, h in zip(found, handed, strict=True)]


def _operations(cell: Cell, start: Sequence[Array]) -> dict[str, Callable[..., Any]]:
    """What the cell is evaluated with in float64."""
    letters = dict(zip(cell.carry_sizes, start, strict=True))
    table = equations.operations(cell.heads, letters["H"].size // cell.heads if "H" in letters else 0)
    return table | {"constant": np.float64}


def states_of(cell: Cell, x: Array, start: list[Array], weights: Sequence[Array]) -> list[list[Array]]:
    """The carried values before the first step, and after each."""
    table, blocks, states = _operations(cell, start), equations.blocks(cell, weights), [start]
    for now in x:
        known = {cell.x: now, **dict(zip(cell.before, states[-1], strict=True)), **blocks}
        states.append(evaluate(cell.after, known, table))
    return states
