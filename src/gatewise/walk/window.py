"""Some steps of a layer of somebody's own model, as a story."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..algebra import Cell
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
            way of later steps. Without it each output of the last step counts 1.

    Raises:
        OptionError: There is no such step.
        ShapeError: An array has another shape than the cell wants, or the layer is too large for a page.
    """
    if not 0 <= at < len(x):
        raise OptionError(f"there is no step {at + 1} to walk to: the row has {len(x)}")
    first = max(0, at - MOST_STEPS + 1)
    x, given = np.asarray(x, float), tuple(np.asarray(w, float) for w in weights)
    states = _states(cell, x[: at + 1], [np.asarray(s, float) for s in start], given)
    if arriving is None:
        taken = [np.zeros((at + 1 - first, s.size)) for s in states[0]]
        taken[0][-1] = 1.0
    else:
        taken = [np.asarray(a[first : at + 1], float) for a in arriving]
    output = np.stack([state[0] for state in states[first : at + 2]])
    effect = np.abs(np.diff(output, axis=0)).sum(0) * np.maximum(np.abs(taken[0]).sum(0), 1e-12)
    most = sorted(np.argsort(-effect, kind="stable")[:MOST_UNITS].tolist())
    shown = tuple(most) if output.shape[1] > MOST_UNITS and not cell.projected else ()
    part = slice(first, at + 1)
    before, names = tuple(states[first]), tuple(steps[part])
    known = arriving is not None
    return Story(name, cell, x[part], before, given, names, arriving=tuple(taken), assumed=not known, units=shown)


def _states(cell: Cell, x: Array, start: list[Array], weights: Sequence[Array]) -> list[list[Array]]:
    """The carried values before the first step, and after each."""
    letters = dict(zip(cell.carry_sizes, start, strict=True))
    table = equations.operations(cell.heads, letters["H"].size // cell.heads if "H" in letters else 0)
    blocks, states = equations.blocks(cell, weights), [start]
    for now in x:
        known = {cell.x: now, **dict(zip(cell.before, states[-1], strict=True)), **blocks}
        states.append(evaluate(cell.after, known, table | {"constant": np.float64}))
    return states
