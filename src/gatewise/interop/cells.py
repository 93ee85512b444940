"""Our cells by what other formats say of them: a kind, and the activations in it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from .. import cells
from ..algebra import Cell
from ..algebra.activations import ACTIVATIONS, activation, with_activations

_NAMES = {"lstm": "lstm", "gru": "gru", "gru_2014": "gru_2014", "rnn": "rnn_tanh"}  # kind of `layouts` -> our cell


@dataclass(frozen=True)
class Recognised:
    """What a cell is in terms of `layouts`.

    Attributes:
        kind: A key of `layouts.OURS`.
        gate, candidate: Names of its activations; an LSTM reads its memory through that of its candidate.
        peephole, projected: Whether an LSTM has these.
    """

    kind: str
    gate: str = "sigmoid"
    candidate: str = "tanh"
    peephole: bool = False
    projected: bool = False


@lru_cache(maxsize=256)
def cell_of(
    kind: str,
    gate: str = "sigmoid",
    candidate: str = "tanh",
    output: str | None = None,
    *,
    peephole: bool = False,
    projected: bool = False,
) -> Cell:
    """The cell of a kind with these activations, by the names of `algebra.activations`.

    Args:
        output: What an LSTM reads its memory through; as `candidate`, if omitted.

    Raises:
        OptionError: There is no such activation.
    """
    name = "peephole" if peephole else "lstmp" if projected else _NAMES[kind]
    output = output or candidate
    if name == "rnn_tanh" and candidate == "relu":
        return cells.find("rnn_relu")
    changed = [
        f"_{one}" for one, usual in ((gate, "sigmoid"), (candidate, "tanh"), (output, candidate)) if one != usual
    ]
    return with_activations(
        cells.find(name), activation(gate), activation(candidate), activation(output), suffix="".join(changed)
    )


@lru_cache(maxsize=256)
def recognised(cell: Cell) -> Recognised | None:
    """What `cell_of` makes such a cell of; None if it makes none."""
    for found in _possible():
        made = cell_of(found.kind, found.gate, found.candidate, peephole=found.peephole, projected=found.projected)
        if made.equations == cell.equations:
            return found
    return None


def _possible() -> Iterator[Recognised]:
    """The usual ones first."""
    for kind in _NAMES:
        yield Recognised(kind)
    yield Recognised("rnn", candidate="relu")
    yield Recognised("lstm", peephole=True)
    yield Recognised("lstm", projected=True)
    for kind in _NAMES:
        gates = ["sigmoid"] if kind == "rnn" else ["sigmoid", "hard_sigmoid", "hard_sigmoid_6"]
        for gate in gates:
            yield from (Recognised(kind, gate, candidate) for candidate in ACTIVATIONS)
