"""What a gate or a unit is for: what changes when it no longer moves.

A value is held at its mean over all steps of the data, and the network run again. What its movement was for is missing
then. A layer runs as fast as ever, since its cell with a value held is a cell like any other (`algebra.pinning`).

Source: of the idea, Greff et al. (2017), who leave gates out and train anew, and Lakretz et al. (2019), who silence
units of trained networks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..algebra import Cell
from .relevance import fed_of
from .traces import Held, Trace, trace

Array = np.ndarray


@dataclass(frozen=True)
class Effect:
    """What holding a value at its mean does to an answer.

    Attributes:
        place, layer, reverse: Of the layer, as in its `Trace`.
        name: What its equations call the value.
        change: The answer less what it is otherwise, as an array of the answer's shape.
    """

    place: str
    layer: int
    reverse: bool
    name: str
    change: Array

    @property
    def size(self) -> float:
        """Mean size of the change."""
        return float(np.mean(np.abs(self.change))) if self.change.size else 0.0


def gate_effects(network: Any, run: Callable[[Any], Array]) -> list[Effect]:
    """Hold each gate of each layer at its mean, one after the other: which of them the answer needs, most needed first.

    Gates are here all values with a name that are not carried on: an LSTM's g, too.

    Args:
        network: As for `trace`.
        run: A function of the network to an array of numbers that say what matters: scores or margins, rather than
            probabilities, which hardly move where they are near 0 or 1.
    """
    answer, traces = trace(network, run)
    effects = []
    for gate in gates_at_their_mean(traces):
        changed, _ = trace(network, run, [gate])
        effects.append(Effect(gate.place, gate.layer, gate.reverse, gate.name, np.asarray(changed) - answer))
    return sorted(effects, key=lambda effect: -effect.size)


def gates_at_their_mean(traces: Iterable[Trace]) -> Iterator[Held]:
    """Each gate of each layer, one after the other."""
    for layers in by_layer(traces):
        first = layers[0]
        for name in _inner_names(first.cell):
            level = _mean_of(layers, name)
            yield Held(first.place, first.layer, first.reverse, name, np.ones_like(level), level)


def by_layer(traces: Iterable[Trace]) -> list[list[Trace]]:
    """Traces that belong together, as those of a layer that is called several times do."""
    found: dict[tuple[str, int, bool], list[Trace]] = {}
    for one in traces:
        found.setdefault((one.place, one.layer, one.reverse), []).append(one)
    return list(found.values())


def _inner_names(cell: Cell) -> list[str]:
    """What its equations give a name and do not carry on, and what follows from its input."""
    fed = fed_of(cell)
    return [name for node, name in cell.names.items() if node not in cell.after and node in fed]


def _mean_of(traces: Sequence[Trace], name: str) -> Array:
    """(size,) the mean of a value over all steps of all rows."""
    steps = [one.values[name][np.arange(len(one.x))[:, None] < one.lengths] for one in traces]
    found: Array = np.concatenate(steps).mean(0)
    return found
